//! One counter: when the calls of the last window were let through. Times are nanoseconds since the first call of all,
//! in eight bytes instead of the sixteen of an `Instant`.

use std::collections::VecDeque;

/// Places made for a counter's first call.
const FIRST_PLACES: usize = 4;
/// A log gives memory back when fewer than one place in this many is taken.
const LOOSE: usize = 4;

/// The calls that one counter let through within its window, oldest first.
#[derive(Debug)]
pub(super) struct Log {
    window_nanos: u64,
    times: VecDeque<u64>,
}

impl Log {
    /// Makes an empty log, without memory of its own yet.
    pub(super) const fn new(window_nanos: u64) -> Self {
        Self { window_nanos, times: VecDeque::new() }
    }

    /// Returns for how many calls there is memory.
    pub(super) fn places(&self) -> usize {
        self.times.capacity()
    }

    /// Forgets calls that are as old as the window, and gives back memory that they leave unused.
    pub(super) fn forget_old(&mut self, now: u64) {
        let old = self.times.partition_point(|time| time.saturating_add(self.window_nanos) <= now);
        self.times.drain(..old);
        if self.times.len() < self.places() / LOOSE {
            self.times.shrink_to(2 * self.times.len());
        }
    }

    /// Returns how long to wait until fewer than `calls` (at least 1) lie within the window: 0 when there is room now.
    /// Only right after [`Self::forget_old`] with the same `now`.
    pub(super) fn wait_nanos(&self, calls: usize, now: u64) -> u64 {
        // More than `calls` may lie there when a new configuration lowered the number.
        let in_the_way = self.times.len().checked_sub(calls).and_then(|at| self.times.get(at));
        in_the_way.map_or(0, |time| time.saturating_add(self.window_nanos).saturating_sub(now))
    }

    /// Returns for how many more calls memory is needed before another one can be noted.
    pub(super) fn growth(&self, calls: usize) -> usize {
        if self.times.len() < self.places() {
            return 0;
        }
        let enough = (2 * self.places()).max(FIRST_PLACES).min(calls);
        enough.max(self.times.len() + 1) - self.places()
    }

    /// Notes a call at `now`, which is not before the last one.
    pub(super) fn note(&mut self, calls: usize, now: u64) {
        let growth = self.growth(calls);
        if growth > 0 {
            self.times.reserve_exact(self.places() + growth - self.times.len());
        }
        self.times.push_back(now);
    }

    /// Returns when the last call leaves the window; `None` when none is in it.
    pub(super) fn idle_at(&self) -> Option<u64> {
        self.times.back().map(|time| time.saturating_add(self.window_nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_leaves_the_window_exactly_at_its_end() {
        let mut log = Log::new(100);
        for time in [0, 10] {
            assert_eq!(log.wait_nanos(2, time), 0);
            log.note(2, time);
        }
        log.forget_old(99);
        assert_eq!((log.wait_nanos(2, 99), log.wait_nanos(1, 99), log.wait_nanos(3, 99)), (1, 11, 0));
        log.forget_old(100);
        assert_eq!((log.wait_nanos(2, 100), log.idle_at()), (0, Some(110)));
        log.forget_old(110);
        assert_eq!(log.idle_at(), None);
    }

    #[test]
    fn memory_grows_up_to_the_limit_and_is_given_back() {
        let mut log = Log::new(100);
        let mut most = 0;
        for _ in 0..1_000 {
            let expected = log.places() + log.growth(1_000);
            log.note(1_000, 0);
            assert_eq!(log.places(), expected);
            most = log.places();
        }
        assert_eq!(most, 1_000);
        log.note(2_000, 60);
        log.forget_old(100);
        assert!(log.places() <= 2, "{} places for one call", log.places());
        log.forget_old(160);
        assert_eq!(log.idle_at(), None);
    }
}

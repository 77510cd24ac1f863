//! Refusals at the door on the audit trail: one line each while they are few, one sum for the rest. Whoever is refused
//! needs no token, so what he makes us write must be bounded. The counters in `metrics.rs` count every one.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use audit::{Detail, Event, Trail};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Most lines of one reason within [`WINDOW`]: enough to see who knocks, too few to fill a disk in a day.
const MAX_LINES: u32 = 10;

/// The time over which lines are counted; it begins with the first line.
const WINDOW: Duration = Duration::from_secs(1);

/// What was written of the refusals, for each reason. Reasons are a closed set, so the table is bounded.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    budgets: Mutex<HashMap<&'static str, Budget>>,
    /// The last attempt to write failed, and the log knows.
    failing: AtomicBool,
}

/// The lines of one reason.
#[derive(Debug)]
struct Budget {
    since: Instant,
    lines: u32,
    suppressed: u64,
}

impl Refusals {
    /// Writes down one refusal, after the sum of those that were only counted before it; or only counts it.
    pub(crate) fn tell(&self, trail: &Trail, reason: &'static str, peer: SocketAddr) {
        let now = Instant::now();
        let allowed = self.budgets.lock().entry(reason).or_insert_with(|| Budget::new(now)).take_line(now);
        let Some(suppressed) = allowed else { return };
        self.write_sum(trail, reason, suppressed);
        let peer = peer.ip().to_string();
        self.write(trail, reason, ("peer", Detail::Text(&peer)), 1);
    }

    /// Writes down the sums of the refusals that were only counted. To be called now and then, and at the end.
    pub(crate) fn tell_suppressed(&self, trail: &Trail) {
        let sums: Vec<_> = self
            .budgets
            .lock()
            .iter_mut()
            .map(|(reason, budget)| (*reason, std::mem::take(&mut budget.suppressed)))
            .collect();
        for (reason, suppressed) in sums {
            self.write_sum(trail, reason, suppressed);
        }
    }

    fn write_sum(&self, trail: &Trail, reason: &'static str, suppressed: u64) {
        if suppressed > 0 {
            self.write(trail, reason, ("suppressed", Detail::Number(suppressed)), suppressed);
        }
    }

    /// Writes a line that stands for `refusals`; if it cannot be written they stay counted.
    fn write(&self, trail: &Trail, reason: &'static str, detail: (&str, Detail<'_>), refusals: u64) {
        let written = trail.event(Event { name: reason, details: &[detail] });
        let was_failing = self.failing.swap(written.is_err(), Ordering::Relaxed);
        let Err(error) = written else { return };
        if !was_failing {
            tracing::error!(%error, reason, "refusals cannot be audited; they are counted until they can");
        }
        if let Some(budget) = self.budgets.lock().get_mut(reason) {
            budget.suppressed = budget.suppressed.saturating_add(refusals);
        }
    }
}

impl Budget {
    const fn new(now: Instant) -> Self {
        Self { since: now, lines: 0, suppressed: 0 }
    }

    /// Takes the room for a line and for the sum before it. Returns the sum, or `None` when the refusal is only counted.
    fn take_line(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= WINDOW {
            self.since = now;
            self.lines = 0;
        }
        let lines = if self.suppressed > 0 { 2 } else { 1 };
        if self.lines + lines > MAX_LINES {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.lines += lines;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(budget: &mut Budget, now: Instant, refusals: usize) -> Vec<u64> {
        (0..refusals).filter_map(|_| budget.take_line(now)).collect()
    }

    #[test]
    fn few_refusals_are_all_written() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for second in 0..5 {
            assert_eq!(allowed(&mut budget, start + WINDOW * second, 10), vec![0; 10]);
        }
    }

    #[test]
    fn a_flood_is_summed_up_before_the_next_line() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!(allowed(&mut budget, start, 1_000), vec![0; 10]);
        let almost = start + WINDOW.saturating_sub(Duration::from_nanos(1));
        assert_eq!(budget.take_line(almost), None);
        // The sum takes the place of a line.
        let next = allowed(&mut budget, start + WINDOW, 1_000);
        assert_eq!(next, [vec![991], vec![0; 8]].concat());
        assert_eq!(budget.take_line(start + WINDOW * 2), Some(991));
    }

    #[test]
    fn every_refusal_is_a_line_or_in_a_sum() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut told = 0;
        for step in 0..5_000_u32 {
            told += budget.take_line(start + Duration::from_millis(7) * step).map_or(0, |sum| sum + 1);
        }
        assert_eq!(told + budget.suppressed, 5_000);
    }
}

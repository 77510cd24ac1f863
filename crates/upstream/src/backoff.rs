//! How long to wait before a server is tried again: longer with each failure, never in step with others.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// The first pause. A server that died once is back before a person notices.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause. A server that is repaired is used again soon.
const LONGEST: Duration = Duration::from_secs(30);
/// A server that was up for so long has recovered; its next failure counts as the first.
pub(crate) const STABLE: Duration = Duration::from_secs(60);

/// The pauses of one server.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Forgets earlier failures.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the pause after one more failure: doubled each time, and shortened by up to a fifth at random.
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        doubled - doubled.mul_f64(random_fraction() / 5.0)
    }
}

/// Returns a number from 0 to 1. Each hasher state of the standard library has fresh random keys.
pub(crate) fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).expect("the upper half fits")) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_anew() {
        let mut backoff = Backoff::default();
        for expected_ms in
            [100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, 12800.0, 25600.0, 30000.0, 30000.0]
        {
            let pause_ms = backoff.next().as_secs_f64() * 1000.0;
            assert!(
                pause_ms <= expected_ms && pause_ms >= expected_ms * 0.79,
                "{pause_ms} for {expected_ms}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

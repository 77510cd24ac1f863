//! Wall-clock time behind a trait, so that expiry and timestamps can be tested without waiting.
//! Durations and timeouts use the runtime's own timer instead.

use std::time::SystemTime;

/// Tells the wall-clock time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Returns the current time.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

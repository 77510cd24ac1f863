//! What one upstream's traffic amounts to: plain counters that others read. How they are exposed is the program's.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one upstream. They only grow, and live as long as its configuration stays the same.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) calls: Counter,
    pub(crate) busy: Counter,
    pub(crate) lost: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) garbage: Counter,
    pub(crate) stray_answers: Counter,
    pub(crate) dropped_notifications: Counter,
    pub(crate) refused_requests: Counter,
    pub(crate) restarts: Counter,
    pub(crate) listings: Counter,
    /// How often the server said, or may have wanted to say, that resources have changed.
    pub(crate) resource_changes: Counter,
}

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// What the counters of an upstream said at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CounterValues {
    /// Calls that were admitted.
    pub calls: u64,
    /// Calls that were refused because too many were in flight.
    pub busy: u64,
    /// Calls that may have been sent and got no answer.
    pub lost: u64,
    /// Calls whose caller no longer waited.
    pub cancelled: u64,
    /// Lines or events that were no MCP message, and messages that break the protocol.
    pub garbage: u64,
    /// Answers to unknown, finished or cancelled requests: late ones and repetitions.
    pub stray_answers: u64,
    /// Notifications that had no receiver or found no room.
    pub dropped_notifications: u64,
    /// Requests of the server that were answered with an error.
    pub refused_requests: u64,
    /// How often the upstream was started again after a failure.
    pub restarts: u64,
    /// How often it was asked for everything it offers.
    pub listings: u64,
}

impl Counter {
    pub(crate) fn add_one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Reads all counters, one after the other.
    pub(crate) fn values(&self) -> CounterValues {
        CounterValues {
            calls: self.calls.get(),
            busy: self.busy.get(),
            lost: self.lost.get(),
            cancelled: self.cancelled.get(),
            garbage: self.garbage.get(),
            stray_answers: self.stray_answers.get(),
            dropped_notifications: self.dropped_notifications.get(),
            refused_requests: self.refused_requests.get(),
            restarts: self.restarts.get(),
            listings: self.listings.get(),
        }
    }
}

//! Counts the calls in flight at one upstream and refuses more than it may have.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The calls in flight at one upstream.
#[derive(Debug)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    limit: usize,
    one_less: Notify,
}

/// One call in flight; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<InFlight>);

impl InFlight {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), limit, one_less: Notify::new() })
    }

    /// Returns how many calls may be in flight.
    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many calls are in flight.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Lets one more call in; `None` when the limit is reached.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Ticket> {
        let ticket = Ticket(Arc::clone(self));
        // The ticket exists first, so that a refused call is counted out again by its drop.
        (self.count.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(ticket)
    }

    /// Waits until no call is in flight. Cancel safe. Only one waits at a time.
    pub(crate) async fn idle(&self) {
        while self.count() > 0 {
            self.one_less.notified().await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.one_less.notify_one();
        }
    }
}

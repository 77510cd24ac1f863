//! Where a connection puts what its server says outside calls. Bounded, and never in the way of answers: what finds
//! no room is dropped and counted, except that something to list again is never forgotten.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::{metrics::Counters, transports::Incoming};

/// Notifications that wait for the supervisor. It hands them on at once unless the gateway as a whole is behind.
const CAPACITY: usize = 256;

/// The connection's end.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    queue: mpsc::Sender<Incoming>,
    lists_changed: Arc<Notify>,
    counters: Arc<Counters>,
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Mail {
    /// What arrived, oldest first.
    pub(crate) queue: mpsc::Receiver<Incoming>,
    /// Signalled when a listing of the server has changed; signals in a row count once.
    pub(crate) lists_changed: Arc<Notify>,
}

/// Makes both ends.
pub(crate) fn inbox(counters: Arc<Counters>) -> (Inbox, Mail) {
    let (sender, queue) = mpsc::channel(CAPACITY);
    let lists_changed = Arc::new(Notify::new());
    (
        Inbox { queue: sender, lists_changed: Arc::clone(&lists_changed), counters },
        Mail { queue, lists_changed },
    )
}

impl Inbox {
    /// Hands over a notification that belongs to no call. Never waits.
    pub(crate) fn deliver(&self, incoming: Incoming) {
        if incoming.method.ends_with("/list_changed") {
            self.lists_changed.notify_one();
        } else if self.queue.try_send(incoming).is_err() {
            self.counters.dropped_notifications.add_one();
        }
    }
}

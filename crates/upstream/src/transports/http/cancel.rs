//! Tells a legacy server that nobody waits for an answer any more. Closing the connection does not tell it that
//! (PROTOCOL section 2.3); a modern server is told by nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use protocol::encode;

use super::{HttpConnection, session::Home};
use crate::metrics::Counters;

/// Cancels a request when it is dropped, unless its answer has come.
pub(super) struct CancelGuard {
    connection: Arc<HttpConnection>,
    id: u64,
    /// The session of a legacy request.
    home: Option<Home>,
    is_armed: AtomicBool,
}

impl CancelGuard {
    /// Watches over the request `id`, which is about to be sent.
    pub(super) fn new(connection: &Arc<HttpConnection>, id: u64, home: Option<Home>) -> Self {
        Self { connection: Arc::clone(connection), id, home, is_armed: AtomicBool::new(true) }
    }

    /// Lets the request be: it was answered.
    pub(super) fn disarm(self) {
        self.forget();
    }

    /// Lets the request be: it never arrived, or its connection is lost with it.
    pub(super) fn forget(&self) {
        self.is_armed.store(false, Ordering::Relaxed);
    }

    /// Cancels the request now: it may have arrived, and its answer cannot. A modern server sees that by itself, for the
    /// connection is lost with it.
    pub(super) fn call_off(&self) {
        if self.is_armed.swap(false, Ordering::Relaxed) {
            self.tell();
        }
    }

    /// Tells a legacy server that the answer is not waited for.
    fn tell(&self) {
        if let Some(home) = self.home.clone() {
            let params = format!(r#"{{"requestId":{},"reason":"the caller no longer waits"}}"#, self.id);
            let notification = encode::notification("notifications/cancelled", Some(params.as_bytes()));
            self.connection.tell_later(home, notification.into());
        }
    }

    fn counters(&self) -> &Counters {
        &self.connection.counters
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if !self.is_armed.load(Ordering::Relaxed) {
            return;
        }
        self.counters().cancelled.add_one();
        self.tell();
    }
}

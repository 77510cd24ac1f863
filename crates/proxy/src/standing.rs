//! What a legacy client is told outside its calls, whichever door it came through: that listings changed, and what
//! servers said or asked of their own accord.

use std::sync::Arc;

use bytes::Bytes;
use protocol::encode;

use crate::{Proxy, admission::Viewpoint, changes::Changes, session::Session};

/// One client's standing messages.
pub(crate) struct Standing {
    session: Arc<Session>,
    changes: Changes,
}

impl Standing {
    /// Starts with the world in force: only later changes are told.
    pub(crate) fn new(proxy: &Proxy, viewpoint: Viewpoint, session: Arc<Session>) -> Self {
        Self { session, changes: Changes::new(proxy, viewpoint) }
    }

    /// Returns the session that is served.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits for the next messages, as JSON-RPC texts. Cancel safe.
    pub(crate) async fn next(&mut self, proxy: &Proxy) -> Vec<Bytes> {
        tokio::select! {
            methods = self.changes.next(proxy) => {
                methods.into_iter().map(|method| encode::notification(method, None).into()).collect()
            }
            message = self.session.next_outside(proxy) => vec![message],
        }
    }
}

//! What a legacy client is told outside its calls, whichever door it came through: that listings changed, and what
//! servers said or asked of their own accord. On a message stream (`duplex`) it is told so by [`Standing`]; over
//! Streamable HTTP by the newest of its standing streams (`session/listeners`).

use std::sync::Arc;

use bytes::Bytes;
use protocol::encode;

use crate::{
    Proxy,
    admission::Viewpoint,
    changes::Changes,
    session::Session,
    updates::{self, next_update},
};

/// What there is to tell.
pub(crate) enum Telling {
    /// Listings changed: the methods of the notifications.
    Changed(Vec<&'static str>),
    /// A resource changed, or a server said or asked something: the JSON-RPC text.
    Message(Bytes),
}

/// Waits for the next thing to tell. `changes` is what the client was told of listings. Cancel safe.
pub(crate) async fn next(
    proxy: &Proxy,
    viewpoint: &Viewpoint,
    session: &Session,
    changes: &mut Changes,
) -> Telling {
    tokio::select! {
        methods = changes.next(proxy) => Telling::Changed(methods),
        update = next_update(proxy, viewpoint, session.watcher(proxy)) => {
            Telling::Message(updates::notification(&update, None))
        }
        message = session.next_outside(proxy) => Telling::Message(message),
    }
}

impl Telling {
    /// Returns the JSON-RPC texts.
    pub(crate) fn into_messages(self) -> Vec<Bytes> {
        match self {
            Self::Changed(methods) => {
                methods.into_iter().map(|method| encode::notification(method, None).into()).collect()
            }
            Self::Message(message) => vec![message],
        }
    }
}

/// One client's standing messages.
pub(crate) struct Standing {
    session: Arc<Session>,
    viewpoint: Viewpoint,
    changes: Changes,
}

impl Standing {
    /// Starts with the world in force: only later changes are told.
    pub(crate) fn new(proxy: &Proxy, viewpoint: Viewpoint, session: Arc<Session>) -> Self {
        Self { session, changes: Changes::new(proxy, viewpoint.clone()), viewpoint }
    }

    /// Waits for the next messages, as JSON-RPC texts. Cancel safe.
    pub(crate) async fn next(&mut self, proxy: &Proxy) -> Vec<Bytes> {
        next(proxy, &self.viewpoint, &self.session, &mut self.changes).await.into_messages()
    }
}

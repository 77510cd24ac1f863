//! What clients tell the gateway, whichever door they came through: that they do not wait for a request any more, and
//! that their roots changed. Their answers to what servers asked are in `session/asked`.

use std::sync::Arc;

use protocol::Notification;
use upstream::{News, SharedSession};

use crate::{
    Proxy,
    session::{Cancellable, Session},
};

/// Takes a client's notification. `cancellable` holds its requests in progress; a modern client has no session. Other
/// notifications mean nothing to the gateway.
pub(crate) fn take(
    proxy: &Proxy,
    session: Option<&Arc<Session>>,
    cancellable: &Cancellable,
    note: &Notification,
) {
    match &*note.method {
        "notifications/cancelled" => {
            if let Some(id) = note.params.as_deref().and_then(protocol::cancelled_id) {
                cancellable.cancel(&id);
            }
        }
        "notifications/roots/list_changed" => {
            if let Some(session) = session {
                proxy.upstreams.tell(&(Arc::clone(session) as SharedSession), News::Roots);
            }
        }
        _ => {}
    }
}

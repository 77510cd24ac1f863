//! Requests in progress that their client can cancel: one by its id, or all when the session ends.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use protocol::RequestId;
use tokio_util::sync::CancellationToken;

/// Most requests of one session that can be cancelled by id at a time; further ones run and end with the session.
const MAX_CANCELLABLE: usize = 1_024;

/// Requests in progress, by the client's own ids.
#[derive(Debug, Default)]
pub(crate) struct Cancellable {
    requests: Arc<Requests>,
    all: CancellationToken,
}

type Requests = Mutex<HashMap<RequestId, CancellationToken>>;

/// Keeps a request cancellable until it is dropped.
pub(crate) struct Entry {
    requests: Arc<Requests>,
    id: RequestId,
    token: CancellationToken,
    entered: bool,
}

impl Cancellable {
    /// Makes an empty table. Its requests are cancelled, and later ones are born cancelled, when `all` is.
    pub(super) fn within(all: CancellationToken) -> Self {
        Self { requests: Arc::default(), all }
    }

    /// Enters a request. A second request with the id of a running one is not cancellable by id, only the first is.
    pub(crate) fn enter(&self, id: &RequestId) -> Entry {
        let token = self.all.child_token();
        let mut requests = self.requests.lock();
        let entered = requests.len() < MAX_CANCELLABLE && !requests.contains_key(id);
        if entered {
            requests.insert(id.clone(), token.clone());
        }
        Entry { requests: self.requests.clone(), id: id.clone(), token, entered }
    }

    /// Cancels the request with this id; an unknown id is nothing (it may have ended already).
    pub(crate) fn cancel(&self, id: &RequestId) {
        if let Some(token) = self.requests.lock().get(id) {
            token.cancel();
        }
    }

    /// Cancels every request, and those that come later.
    pub(crate) fn cancel_all(&self) {
        self.all.cancel();
    }
}

impl Entry {
    /// Completes when the client cancels the request or its session ends.
    pub(crate) async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Tells whether the client cancelled the request or its session has ended.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.entered {
            self.requests.lock().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_cancelled_by_its_id_and_with_its_session() {
        let closed = CancellationToken::new();
        let cancellable = Cancellable::within(closed.clone());
        let (first, second) = (cancellable.enter(&1.into()), cancellable.enter(&2.into()));
        let same_id = cancellable.enter(&1.into());
        cancellable.cancel(&1.into());
        assert!(first.is_cancelled() && !second.is_cancelled() && !same_id.is_cancelled());
        closed.cancel();
        assert!(second.is_cancelled() && same_id.is_cancelled());
        assert!(cancellable.enter(&3.into()).is_cancelled(), "too late for the session");
    }

    #[test]
    fn an_entry_makes_room_for_its_id() {
        let cancellable = Cancellable::default();
        drop(cancellable.enter(&1.into()));
        let again = cancellable.enter(&1.into());
        drop(cancellable.enter(&1.into()));
        cancellable.cancel(&1.into());
        assert!(again.is_cancelled());
    }
}

//! What a server asks the client during one call. Questions that are not answered when the call ends, or when the
//! client is gone, are refused.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use domain::ServerId;
use tokio_util::sync::CancellationToken;
use upstream::ServerRequest;

use crate::{
    call::Running,
    session::{Questions, Session},
};

/// The questions of one call.
pub(super) struct Asking {
    /// Only sessions are asked.
    session: Option<Arc<Session>>,
    server: ServerId,
    questions: Questions,
    is_deserted: AtomicBool,
}

impl Asking {
    /// Begins without a question.
    pub(super) fn of(running: &Running) -> Self {
        let (session, server) = (running.session().cloned(), running.server().clone());
        Self { session, server, questions: Questions::default(), is_deserted: AtomicBool::new(false) }
    }

    /// Enters a question; returns the message that puts it to the client. One for which there is no room is refused.
    pub(super) fn ask(&self, request: ServerRequest) -> Option<Bytes> {
        let Some(session) = &self.session else {
            request.refuse();
            return None;
        };
        let question = session.asked().ask(&self.server, request)?;
        Some(self.questions.add(question, session.asked()))
    }

    /// Puts a question to the client on a standing stream, if it has one; else it is refused.
    pub(super) fn ask_elsewhere(&self, request: ServerRequest) {
        match &self.session {
            Some(session) => session.ask_outside(&self.server, request, &self.questions),
            None => request.refuse(),
        }
    }

    /// Waits until a server takes a question back; returns what the client is to be told. Cancel safe.
    pub(super) async fn withdrawn(&self) -> Bytes {
        match &self.session {
            Some(session) => self.questions.withdrawn(session.asked()).await,
            None => std::future::pending().await,
        }
    }

    /// Waits, once, until the client is gone, and refuses what it has not answered. Cancel safe.
    pub(super) async fn deserted(&self, closed: &CancellationToken) {
        if self.is_deserted.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        closed.cancelled().await;
        self.is_deserted.store(true, Ordering::Relaxed);
        self.forget();
    }

    fn forget(&self) {
        if let Some(session) = &self.session {
            self.questions.forget(session.asked());
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.forget();
    }
}

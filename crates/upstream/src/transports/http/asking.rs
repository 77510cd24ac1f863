//! What a legacy server asks: `ping` is answered at once, what a client allows becomes a [`ServerRequest`] whose answer
//! finds its way back, and the rest is refused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use protocol::{Request, ResponseBody, code, encode};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};

use super::{
    HttpConnection,
    session::{Entered, Home, Question},
};
use crate::{CallError, ServerRequest};

/// Questions of one server that may wait for answers at once, in all of its sessions.
pub(super) const MAX_QUESTIONS: usize = 1_024;
/// Longest parameters of a question: what a client's request may have.
const MAX_PARAMS_BYTES: usize = 4 * 1024 * 1024;
/// The pauses before each attempt to bring an answer to a server that cannot be connected to.
const ATTEMPTS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1)];
/// How long the server may take to accept an answer, which may hold images.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers a request for which no client is asked: `ping` is answered, anything else refused.
pub(super) fn answer_ourselves(connection: &Arc<HttpConnection>, home: &Home, request: &Request) {
    let answer = if &*request.method == "ping" {
        encode::result(&request.id, b"{}")
    } else {
        connection.counters.refused_requests.add_one();
        encode::error(Some(&request.id), code::METHOD_NOT_FOUND, "the method is not available", None)
    };
    match Arc::clone(&connection.questions).try_acquire_owned() {
        Ok(room) => connection.bring_later(home.clone(), answer.into(), room),
        Err(_) => connection.tell_later(home.clone(), answer.into()),
    }
}

impl HttpConnection {
    /// Makes what a client is asked out of a server's request, which came during the request `call` of ours or outside
    /// any. `None` when it is too much, which is answered here, or the same is being asked.
    pub(super) fn question(
        self: &Arc<Self>,
        home: &Home,
        request: Request,
        call: Option<u64>,
    ) -> Option<ServerRequest> {
        let is_bearable = request.params.as_ref().is_none_or(|params| params.len() <= MAX_PARAMS_BYTES);
        let room = Arc::clone(&self.questions).try_acquire_owned().ok().filter(|_| is_bearable);
        let Some(room) = room else {
            answer_ourselves(self, home, &request);
            return None;
        };
        let Request { id, method, params } = request;
        let is_settled = Arc::new(AtomicBool::new(false));
        let asked = ServerRequest::new(method, params, {
            let (connection, home) = (Arc::clone(self), home.clone());
            let (id, is_settled) = (id.clone(), Arc::clone(&is_settled));
            move |body| {
                if !is_settled.swap(true, Ordering::AcqRel) {
                    connection.bring_later(home, answer(&id, &body), room);
                }
            }
        });
        let (withdrawn, dropped) = (asked.withdrawn().clone(), Arc::clone(&is_settled));
        match home.session.questions.enter(Question { id, call, withdrawn, is_settled }) {
            Entered::Open => return Some(asked),
            // The first of the two is answered.
            Entered::Again => dropped.store(true, Ordering::Release),
            Entered::Full => self.counters.refused_requests.add_one(),
        }
        None
    }

    /// Brings an answer to the server, in the background, in room that was kept for it.
    fn bring_later(self: &Arc<Self>, home: Home, answer: Bytes, room: OwnedSemaphorePermit) {
        // Outside a runtime, or in one that ends, the whole gateway goes down.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (connection, closing) = (Arc::clone(self), self.closing.clone());
        // If this task died, the server would wait until its own patience ends.
        let bringing = async move {
            let _ = closing.run_until_cancelled(connection.bring(&home, answer)).await;
            drop(room);
        };
        self.tasks.spawn_on(bringing, &runtime);
    }

    async fn bring(self: &Arc<Self>, home: &Home, answer: Bytes) {
        for pause in ATTEMPTS {
            sleep(pause).await;
            let told = timeout(PATIENCE, self.tell(home, answer.clone())).await;
            // Only what certainly has not arrived is brought again.
            if !matches!(told, Ok(Err(CallError::Unavailable { .. }))) {
                return;
            }
        }
    }
}

fn answer(id: &protocol::RequestId, body: &ResponseBody) -> Bytes {
    match body {
        ResponseBody::Result(result) => encode::result(id, result).into(),
        ResponseBody::Error(error) => encode::error_object(id, error).into(),
    }
}

//! A batch on a message stream: its messages are taken one by one, the answers to it are one array.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Era, Malformed, Message, RequestId};
use tokio::task::JoinHandle;

use super::{Arrival, Begun, Duplex};
use crate::batch;

/// What a member of a batch is answered with.
enum Due {
    /// This.
    Now(Bytes),
    /// What a task returns; nothing, if the request is cancelled. The request has its place until then.
    Later(JoinHandle<(Begun, Option<Bytes>)>),
}

impl Duplex {
    /// Tells whether the client's revision has batches; none before `initialize`.
    pub(crate) fn has_batches(&self) -> bool {
        self.session.lock().as_ref().is_some_and(|session| batch::has_batches(session))
    }

    /// Takes a batch. Its requests run at the same time; their answers are sent together when the last is there.
    pub(crate) fn take_batch(self: &Arc<Self>, messages: Vec<Result<Message, Malformed>>, arrival: &Arrival) {
        let due: Vec<_> =
            messages.into_iter().filter_map(|message| self.take_member(message, arrival)).collect();
        if !due.is_empty() {
            let duplex = self.clone();
            self.exchange.proxy.drain.tasks().spawn(async move { duplex.gather(due).await });
        }
    }

    fn take_member(
        self: &Arc<Self>,
        message: Result<Message, Malformed>,
        arrival: &Arrival,
    ) -> Option<(Option<RequestId>, Due)> {
        match message {
            Ok(Message::Request(request)) => {
                let id = request.id.clone();
                let due = match self.refused_in_batch(&request) {
                    Some(refusal) => Due::Now(refusal),
                    None => self.begin_member(request, arrival.clone()),
                };
                Some((Some(id), due))
            }
            Ok(Message::Notification(note)) => {
                self.notified(&note);
                None
            }
            Ok(Message::Response(response)) => {
                self.answered(response);
                None
            }
            Err(malformed) => Some((malformed.id.clone(), Due::Now(batch::refuse_malformed(&malformed)))),
        }
    }

    fn refused_in_batch(&self, request: &protocol::Request) -> Option<Bytes> {
        if &*request.method == "initialize" {
            return Some(batch::refuse(&request.id, "`initialize`"));
        }
        match self.client(request, 0) {
            Ok(client) if client.version.era() == Era::Legacy => None,
            Ok(_) => Some(batch::refuse(&request.id, "a request of a revision without batches")),
            Err(refusal) => Some(refusal),
        }
    }

    fn begin_member(self: &Arc<Self>, request: protocol::Request, arrival: Arrival) -> Due {
        let begun = match self.begin(request, arrival) {
            Ok(begun) => begun,
            Err(refusal) => return Due::Now(refusal),
        };
        let duplex = self.clone();
        Due::Later(self.exchange.proxy.drain.tasks().spawn(async move {
            let answer = duplex.finish(&begun).await;
            (begun, answer)
        }))
    }

    async fn gather(&self, due: Vec<(Option<RequestId>, Due)>) {
        let (mut answers, mut places) = (Vec::with_capacity(due.len()), Vec::new());
        for (id, due) in due {
            match due {
                Due::Now(answer) => answers.push((id, answer)),
                Due::Later(task) => {
                    // A request's own panic is answered in its task.
                    let Ok((begun, answer)) = task.await else { continue };
                    answers.extend(answer.map(|answer| (id, answer)));
                    places.push(begun);
                }
            }
        }
        if !answers.is_empty() {
            self.exchange.send(batch::join(answers, self.exchange.proxy.limits.line_bytes())).await;
        }
    }
}

//! The task that reads a child's standard output and brings each message to where it belongs.
//! What is no message is dropped and counted; only a line beyond all bounds ends the child.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use protocol::{
    Edit, Message, Notification, Object, Request, RequestId, Response, ResponseBody, code, encode, splice,
};
use tokio::{process::ChildStdout, time};

use super::{StdioConnection, salvage::salvage};
use crate::{
    CallError, Event, Payload,
    child::{Line, LineReader},
    transports::Incoming,
};

/// How long output is still read after the child's end. Its last answers are there already.
const LAST_LINES: Duration = Duration::from_millis(100);
/// How long the end of the output waits for the end of the child, which says more.
const EXIT_WAIT: Duration = Duration::from_millis(300);

/// Reads until the output ends, the child ends, or it must be ended; then ends the connection.
pub(super) async fn read(connection: Arc<StdioConnection>, stdout: ChildStdout, line_bytes: usize) {
    let mut lines = LineReader::new(stdout, line_bytes);
    let mut over = pin!(input_or_child_over(&connection));
    let reason = loop {
        let line = tokio::select! {
            biased;
            line = lines.next() => line,
            () = &mut over => break None,
        };
        match line {
            Ok(Some(Line::Message(line))) => connection.take(&line),
            Ok(Some(Line::TooLong)) => {
                break Some(format!("it wrote a line of more than {line_bytes} bytes"));
            }
            Ok(None) | Err(_) => break None,
        }
    };
    let reason = match reason {
        Some(reason) => reason,
        None => connection.why_over().await,
    };
    connection.end(&reason);
}

/// Waits until the child is gone, or does not hear us any more, and a little longer for its last lines.
async fn input_or_child_over(connection: &StdioConnection) {
    tokio::select! {
        _ = connection.process.wait() => {}
        () = connection.outbox.closed() => {}
    }
    time::sleep(LAST_LINES).await;
}

impl StdioConnection {
    /// Says why there is no more output, best by how the child ended.
    async fn why_over(&self) -> String {
        match time::timeout(EXIT_WAIT, self.process.wait()).await {
            Ok(exit) => format!("it {exit}"),
            Err(_) => "it closed its standard input or output".to_owned(),
        }
    }

    /// Brings the message in one line to where it belongs.
    fn take(&self, line: &Bytes) {
        match Message::parse(line) {
            Ok(message) => self.route(message),
            Err(_) => {
                self.counters.garbage.add_one();
                self.garbage.lock().note(&self.process, line);
                salvage(line).into_iter().for_each(|message| self.route(message));
            }
        }
    }

    fn route(&self, message: Message) {
        match message {
            Message::Response(response) => self.answer(response),
            Message::Notification(notification) => self.notification(notification),
            Message::Request(request) => self.refuse(&request),
        }
    }

    /// Ends the call that the response is for.
    fn answer(&self, response: Response) {
        let slot = response.id.as_ref().and_then(number).and_then(|id| self.pending.remove(id));
        let Some(slot) = slot else {
            return self.counters.stray_answers.add_one();
        };
        slot.finish(Ok(match response.body {
            ResponseBody::Result(result) => Event::Result(Payload::Whole(result)),
            ResponseBody::Error(error) => Event::Error(error),
        }));
    }

    fn notification(&self, Notification { method, params }: Notification) {
        match (&*method, params) {
            ("notifications/progress", Some(params)) => self.progress(method, &params),
            ("notifications/message", params) => match self.pending.only_call() {
                Some(slot) => {
                    let dropped = slot.notify(Event::Notification { method, params });
                    self.counters.dropped_notifications.add(dropped);
                }
                None => self.inbox.deliver(Incoming { method, params }),
            },
            // Asked for by us and of no further interest.
            ("notifications/subscriptions/acknowledged", _) => {}
            ("notifications/cancelled", params) => self.cancelled(params.as_ref()),
            (_, params) => self.inbox.deliver(Incoming { method, params }),
        }
    }

    /// Hands progress to its call, under the client's own token.
    fn progress(&self, method: Box<str>, params: &Bytes) {
        let delivered = Object::parse(params, &["progressToken"]).ok().and_then(|object| {
            let at = object.span("progressToken")?;
            let slot = self.pending.find(object.get("progressToken")?.parse().ok()?)?;
            let mut renamed = Vec::with_capacity(params.len() + 32);
            splice(&mut renamed, params, &[Edit { at, with: slot.client_token()?.as_bytes() }]);
            Some(slot.notify(Event::Notification { method, params: Some(renamed.into()) }))
        });
        self.counters.dropped_notifications.add(delivered.unwrap_or(1));
    }

    /// Ends a request of our own that the server gives up: how some end a subscription. Calls cannot be ended so.
    fn cancelled(&self, params: Option<&Bytes>) {
        let id = params.and_then(|params| {
            let object = Object::parse(params, &["requestId"]).ok()?;
            object.get("requestId")?.parse().ok()
        });
        let own = id.filter(|id| self.pending.find(*id).is_some_and(|slot| !slot.is_callers()));
        match own.and_then(|id| self.pending.remove(id)) {
            Some(slot) => slot.finish(Err(CallError::Lost {
                server: self.server.clone(),
                reason: "it cancelled the request".to_owned(),
            })),
            None => self.counters.dropped_notifications.add_one(),
        }
    }

    /// Answers a request of the server. None but `ping` is granted; we declared no capability.
    fn refuse(&self, request: &Request) {
        let answer = if &*request.method == "ping" {
            encode::result(&request.id, b"{}")
        } else {
            self.counters.refused_requests.add_one();
            encode::error(Some(&request.id), code::METHOD_NOT_FOUND, "the client does not support this", None)
        };
        // A server that floods us with requests and does not read gets no answers; nothing else would help it.
        let _ = self.send(answer);
    }
}

/// Returns the number that one of our ids is.
fn number(id: &RequestId) -> Option<u64> {
    std::str::from_utf8(id.as_json()).ok()?.parse().ok()
}

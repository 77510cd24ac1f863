//! The reply to one request: JSON that arrives at once or is streamed, or events that end with the answer.
//! What the parts of it mean is in `envelope` and `scope`; sending the request was `exchange`'s work.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use hyper::body::Incoming;
use protocol::Message;

use super::{
    HttpConnection,
    body::Collecting,
    cancel::CancelGuard,
    chunks::{ResultChunks, Value},
    events::{EventStream, Next},
    json::{self, Found},
    scope::{Meaning, Scope},
};
use crate::{CallError, Event, Payload, ResultStream};

const AFTER_THE_END: &str = "nothing follows the final answer";
/// What an envelope may add to a result of the largest size.
const ENVELOPE_BYTES: u64 = 8192;

/// The reply to one request. Dropping it before its final event cancels the request.
pub(crate) struct HttpReply {
    connection: Arc<HttpConnection>,
    scope: Scope,
    state: State,
    guard: Option<CancelGuard>,
}

enum State {
    /// One JSON message, or an array with one (2025-03-26).
    Json(Collecting),
    /// All that will come is in the scope.
    Read,
    /// Messages as they come.
    Events(Box<EventStream>),
    /// The stream has broken off and is taken up again.
    Resuming(Resuming),
    /// The answer came with the head of the response.
    Answered(Result<Bytes, CallError>),
    Over,
}

/// What one step of reading brought.
enum Received {
    /// A message to be understood, or nothing yet.
    Message(Option<Message>),
    /// The final answer.
    Answer(Event),
}

/// A stream that will go on, or the reason why it does not.
pub(super) type Resuming = Pin<Box<dyn Future<Output = Result<Box<EventStream>, CallError>> + Send>>;

/// What a body holds, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transports) enum ContentKind {
    Json,
    Events,
    Other,
}

impl HttpReply {
    /// Begins to read a response with a success status.
    pub(super) fn begin(
        connection: &Arc<HttpConnection>,
        scope: Scope,
        response: Response<Incoming>,
        guard: CancelGuard,
    ) -> Result<Self, CallError> {
        let state = State::begin(connection, response).inspect_err(|_| guard.forget())?;
        Ok(Self { connection: Arc::clone(connection), scope, state, guard: Some(guard) })
    }

    /// Makes the reply to a request that was refused, with a JSON-RPC error or without.
    pub(super) fn refused(
        connection: &Arc<HttpConnection>,
        scope: Scope,
        error: Result<Bytes, CallError>,
    ) -> Self {
        Self { connection: Arc::clone(connection), scope, state: State::Answered(error), guard: None }
    }

    /// Waits for the next event. Cancel safe. Nothing comes after a final event or an error.
    pub(crate) async fn next(&mut self) -> Result<Event, CallError> {
        let event = self.advance().await;
        match &event {
            Ok(Event::Notification { .. } | Event::Request(_)) => return event,
            Ok(Event::Result(_) | Event::Error(_)) => self.scope.close(),
            // It may be worked on still, and its answer cannot come.
            Err(CallError::Lost { .. }) => {
                if let Some(guard) = &self.guard {
                    guard.call_off();
                }
            }
            Err(_) => {}
        }
        self.end();
        event
    }

    /// Has the request forgotten in silence when the reply is dropped: for those that must not be cancelled.
    pub(crate) fn forget_on_drop(&mut self) {
        self.disarm();
    }

    async fn advance(&mut self) -> Result<Event, CallError> {
        loop {
            let message = match self.scope.next_waiting() {
                Some(message) => Some(message),
                None => match self.receive().await? {
                    Received::Message(message) => message,
                    Received::Answer(answer) => return Ok(answer),
                },
            };
            if let Some(message) = message
                && let Some(event) = self.take(message)?
            {
                return Ok(event);
            }
        }
    }

    /// Waits for the next thing to arrive. Cancel safe.
    async fn receive(&mut self) -> Result<Received, CallError> {
        let connection = &self.connection;
        match &mut self.state {
            State::Json(body) => match json::find(body, self.scope.id_text()).await {
                Ok(Found::Whole(body)) => {
                    self.state = State::Read;
                    return self.scope.read(connection, &body).map(Received::Message);
                }
                Ok(Found::Result(result)) => {
                    let parts = body.split();
                    return self.stream(parts, result).map(Received::Answer);
                }
                Err(bad) => return Err(connection.bad_answer(bad)),
            },
            State::Events(stream) => match stream.next().await {
                Next::Data(data) => return self.scope.read(connection, &data).map(Received::Message),
                Next::TooLarge => {
                    // It may be worked on still: what is too large need not have been the answer.
                    self.guard.iter().for_each(CancelGuard::call_off);
                    return Err(connection.too_large());
                }
                Next::Ended(end) => self.state = State::Resuming(self.scope.resume(connection, end)?),
            },
            State::Resuming(resuming) => self.state = State::Events(resuming.await?),
            State::Read => return Err(connection.protocol("its answer is no answer to the request")),
            State::Answered(error) => return error.clone().map(Event::Error).map(Received::Answer),
            State::Over => return Err(connection.protocol(AFTER_THE_END)),
        }
        Ok(Received::Message(None))
    }

    /// Finds out what a message means to this reply; `None` if it was nothing to hand on.
    fn take(&mut self, message: Message) -> Result<Option<Event>, CallError> {
        match self.scope.meaning(&self.connection, message) {
            Meaning::Nothing => Ok(None),
            Meaning::Notification { method, params } => Ok(Some(Event::Notification { method, params })),
            Meaning::Request(request) => Ok(Some(Event::Request(request))),
            Meaning::Result(result) if result.len() > self.connection.result_bytes => {
                Err(self.connection.too_large())
            }
            Meaning::Result(result) => Ok(Some(Event::Result(Payload::Whole(result)))),
            Meaning::Error(error) => Ok(Some(Event::Error(error))),
        }
    }

    /// Hands the rest of the answer over to be passed on as it arrives; the result begins at `result`.
    fn stream(&mut self, (held, body): (Bytes, Option<Incoming>), result: usize) -> Result<Event, CallError> {
        let body = body.ok_or_else(|| self.connection.protocol(AFTER_THE_END))?;
        let (before, arrived) = (held.slice(..result), held.slice(result..));
        let value = Value::new(self.scope.id(), before);
        let chunks = ResultChunks::new(Arc::clone(&self.connection), value, arrived, body);
        Ok(Event::Result(Payload::Streamed(ResultStream::new(chunks))))
    }

    fn end(&mut self) {
        self.disarm();
        if let State::Events(stream) = std::mem::replace(&mut self.state, State::Over) {
            self.connection.drain(stream.into_body());
        }
    }

    fn disarm(&mut self) {
        if let Some(guard) = self.guard.take() {
            guard.disarm();
        }
    }
}

impl State {
    fn begin(connection: &HttpConnection, response: Response<Incoming>) -> Result<Self, CallError> {
        if response.status() == StatusCode::ACCEPTED {
            return Err(connection.protocol("it took a request for a notification"));
        }
        match content_kind(response.headers()) {
            ContentKind::Json => collecting(connection, response.into_body()).map(Self::Json),
            ContentKind::Events => {
                let stream = EventStream::new(response.into_body(), connection.result_bytes);
                Ok(Self::Events(Box::new(stream)))
            }
            ContentKind::Other => Err(connection.protocol("its answer is neither JSON nor an event stream")),
        }
    }
}

/// Begins to collect a body unless it is announced to be too large.
fn collecting(connection: &HttpConnection, body: Incoming) -> Result<Collecting, CallError> {
    let collecting = Collecting::new(body);
    let limit = connection.result_bytes as u64 + ENVELOPE_BYTES;
    if collecting.announced().is_some_and(|bytes| bytes > limit) {
        return Err(connection.too_large());
    }
    Ok(collecting)
}

/// Tells what a body holds; a compressed one holds nothing we asked for.
pub(in crate::transports) fn content_kind(headers: &HeaderMap) -> ContentKind {
    let is_plain = headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    let written = headers.get(CONTENT_TYPE).filter(|_| is_plain).and_then(|value| value.to_str().ok());
    let essence = written.unwrap_or_default().split(';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case("application/json") {
        ContentKind::Json
    } else if essence.eq_ignore_ascii_case("text/event-stream") {
        ContentKind::Events
    } else {
        ContentKind::Other
    }
}

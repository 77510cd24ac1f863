//! From an answer to an HTTP response: JSON while there is a single message, an event stream as soon as there are
//! several or the call is slow. A legacy client that goes away does not cancel its call; a modern one does.

use std::{
    io,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use guardrails::Cleared;
use http::{HeaderValue, Response, StatusCode, header};
use protocol::{Era, Request, RequestId, encode, sse};
use tokio::time::timeout;
use upstream::{Event, ResultStream};

use super::{body::ReplyBody, post::Accepts};
use crate::{
    Proxy,
    admission::Admission,
    answer::{self, Encoded},
    call::Running,
    detached::Detached,
    error::Failure,
    methods::{self, Answer, Listening},
    session::Session,
};

/// Everything that the answer to one request needs while it is on its way.
struct Replying {
    proxy: Arc<Proxy>,
    id: RequestId,
    era: Era,
    is_tool_call: bool,
    accepts: Accepts,
    session: Option<Arc<Session>>,
}

/// Answers an admitted request.
pub(super) async fn respond(
    proxy: Arc<Proxy>,
    admission: Admission,
    request: Request,
    accepts: Accepts,
) -> Response<ReplyBody> {
    let replying = Replying {
        id: request.id.clone(),
        era: admission.era(),
        is_tool_call: &*request.method == "tools/call",
        accepts,
        session: admission.client().session.clone(),
        proxy,
    };
    match replying.era {
        Era::Modern => replying.run(admission, request).await,
        Era::Legacy => {
            let tasks = replying.proxy.drain.tasks().clone();
            Detached::future(tasks, replying.run(admission, request)).await
        }
    }
}

/// Builds the JSON-RPC error response to a request that failed.
pub(super) fn failed(failure: &Failure, id: &RequestId, era: Era) -> Response<ReplyBody> {
    let (status, body) = failure.response(id, era);
    json(status, body.into())
}

impl Replying {
    async fn run(self, admission: Admission, request: Request) -> Response<ReplyBody> {
        // Futures are pinned where they are made: passed by value, each layer around them would copy them.
        let outcome = {
            let outcome = pin!(self.outcome(admission, request));
            guarded(outcome).await
        };
        self.respond_with(outcome)
    }

    /// Answers the request unless its client cancels it.
    async fn outcome(&self, admission: Admission, request: Request) -> Outcome {
        let Some(_slot) = self.proxy.enter() else {
            return Outcome::Failed(Failure::Overloaded { limit: self.proxy.limits.in_flight() });
        };
        let entry = self.session.as_ref().map(|session| session.cancellable().enter(&request.id));
        let answering = pin!(self.answer(admission, request));
        tokio::select! {
            outcome = answering => outcome,
            () = cancelled(entry.as_ref()) => Outcome::Failed(Failure::Cancelled),
        }
    }

    async fn answer(&self, admission: Admission, request: Request) -> Outcome {
        match methods::answer(&self.proxy, admission, request).await {
            Ok(Answer::Result(result)) => Outcome::Message(encode::result(&self.id, &result).into()),
            Ok(Answer::Running(running)) => self.first(running).await,
            Ok(Answer::Listening(listening)) => Outcome::Listening(listening),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// Waits for the first event for as long as a quiet connection may stay quiet.
    async fn first(&self, mut running: Box<Running>) -> Outcome {
        let quiet = self.proxy.limits.sse_keep_alive();
        let first = match timeout(quiet, pin!(running.next())).await {
            Ok(Ok(event)) => Some(event),
            Ok(Err(failure)) => return Outcome::Failed(failure),
            Err(_) => None,
        };
        match first.map(|event| answer::encode_event(event, &self.id, &running)) {
            Some(Encoded::Final(message)) => Outcome::Message(message),
            Some(Encoded::Streamed(head, stream)) => Outcome::Large(running, head, stream),
            Some(Encoded::Notification(message)) => Outcome::Several(running, Some(message)),
            None => Outcome::Several(running, None),
        }
    }

    fn respond_with(self, outcome: Outcome) -> Response<ReplyBody> {
        match (outcome, self.accepts) {
            (Outcome::Failed(failure), _) => self.failed(&failure),
            (Outcome::Message(message), Accepts::OnlyEvents) => {
                events(ReplyBody::Whole(sse::encode(&message).into()))
            }
            (Outcome::Message(message), Accepts::Both | Accepts::OnlyJson) => json(StatusCode::OK, message),
            (Outcome::Large(running, head, stream), Accepts::Both | Accepts::OnlyJson) => {
                let mut response = json(StatusCode::OK, Bytes::new());
                *response.body_mut() = self.body(Flow::large(running, head, stream, Framing::Json));
                response
            }
            (Outcome::Large(running, head, stream), Accepts::OnlyEvents) => {
                events(self.body(Flow::large(running, head, stream, Framing::Events)))
            }
            (Outcome::Several(running, _), Accepts::OnlyJson) => {
                let mut response = json(StatusCode::OK, Bytes::new());
                *response.body_mut() = self.body(Flow::waiting(running, None, Framing::Json));
                response
            }
            (Outcome::Several(running, first), Accepts::Both | Accepts::OnlyEvents) => {
                events(self.body(Flow::waiting(running, first, Framing::Events)))
            }
            (Outcome::Listening(listening), _) => events(ReplyBody::stream(listen(self.proxy, listening))),
        }
    }

    fn failed(&self, failure: &Failure) -> Response<ReplyBody> {
        let (status, _) = failure.response(&self.id, self.era);
        let message = answer::encode_failure(failure, &self.id, self.is_tool_call, self.era);
        match self.accepts {
            Accepts::OnlyEvents if status == StatusCode::OK => {
                events(ReplyBody::Whole(sse::encode(&message).into()))
            }
            Accepts::Both | Accepts::OnlyJson | Accepts::OnlyEvents => json(status, message),
        }
    }

    fn body(self, flow: Flow) -> ReplyBody {
        let era = self.era;
        let tasks = self.proxy.drain.tasks().clone();
        let chunks = futures_util::stream::unfold((self, flow), |(replying, mut flow)| async move {
            let chunk = flow.next_chunk(&replying).await?;
            Some((chunk, (replying, flow)))
        });
        match era {
            Era::Modern => ReplyBody::stream(chunks),
            Era::Legacy => ReplyBody::stream(Detached::stream(tasks, chunks)),
        }
    }
}

/// What the first event of an answer decides.
enum Outcome {
    Failed(Failure),
    Message(Bytes),
    Large(Box<Running>, Vec<u8>, ResultStream),
    Several(Box<Running>, Option<Bytes>),
    Listening(Box<Listening>),
}

/// A panic fails this request and no other.
async fn guarded(answering: Pin<&mut impl Future<Output = Outcome>>) -> Outcome {
    AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request panicked; the panic message stands above");
        Outcome::Failed(Failure::Internal)
    })
}

async fn cancelled(entry: Option<&crate::session::Entry<'_>>) {
    match entry {
        Some(entry) => entry.cancelled().await,
        None => std::future::pending().await,
    }
}

fn json(status: StatusCode, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Builds an event stream; proxies on the way must neither buffer nor keep it.
pub(super) fn events(body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// How messages stand in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// One JSON message, nothing else.
    Json,
    /// Events with one message each.
    Events,
}

/// An answer that is written while it arrives.
struct Flow {
    running: Box<Running>,
    framing: Framing,
    state: State,
    written: u64,
}

enum State {
    /// A message to write before anything else.
    Ready(Bytes),
    /// Waiting for the next event.
    Waiting,
    /// A large result's beginning is to be written.
    Opening(Vec<u8>, ResultStream),
    /// A large result is passing through.
    Passing(ResultStream),
    /// Everything is written.
    Done,
}

impl Flow {
    fn waiting(running: Box<Running>, first: Option<Bytes>, framing: Framing) -> Self {
        Self { running, framing, state: first.map_or(State::Waiting, State::Ready), written: 0 }
    }

    const fn large(running: Box<Running>, head: Vec<u8>, stream: ResultStream, framing: Framing) -> Self {
        Self { running, framing, state: State::Opening(head, stream), written: 0 }
    }

    /// Returns the next chunk of the body; `None` at its end.
    async fn next_chunk(&mut self, replying: &Replying) -> Option<io::Result<Bytes>> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Ready(message) => {
                self.state = State::Waiting;
                Some(Ok(self.framed(&message)))
            }
            State::Waiting => Some(Ok(self.wait(replying).await)),
            State::Opening(head, stream) => self.open(head, stream).await,
            State::Passing(stream) => self.pass(stream).await,
            State::Done => None,
        }
    }

    /// Waits for the next event; a comment keeps a quiet stream alive. Without events there is nothing to write but
    /// white space, which JSON allows before a message.
    async fn wait(&mut self, replying: &Replying) -> Bytes {
        let quiet = replying.proxy.limits.sse_keep_alive();
        let entry = replying.session.as_ref().map(|session| session.cancellable().enter(&replying.id));
        let next = tokio::select! {
            next = timeout(quiet, self.running.next()) => next,
            () = cancelled(entry.as_ref()) => Ok(Err(Failure::Cancelled)),
        };
        match next {
            Err(_) => {
                self.state = State::Waiting;
                self.keep_alive()
            }
            Ok(Ok(event)) => self.take(event, &replying.id),
            Ok(Err(failure)) => {
                self.running.fail(&failure);
                self.framed(&answer::encode_failure(
                    &failure,
                    &replying.id,
                    replying.is_tool_call,
                    replying.era,
                ))
            }
        }
    }

    fn take(&mut self, event: Cleared<Event>, id: &RequestId) -> Bytes {
        match answer::encode_event(event, id, &self.running) {
            Encoded::Notification(message) => {
                self.state = State::Waiting;
                if self.framing == Framing::Events { self.framed(&message) } else { self.keep_alive() }
            }
            Encoded::Final(message) => self.framed(&message),
            Encoded::Streamed(head, stream) => {
                self.state = State::Opening(head, stream);
                self.keep_alive()
            }
        }
    }

    async fn open(&mut self, head: Vec<u8>, mut stream: ResultStream) -> Option<io::Result<Bytes>> {
        let first = match self.running.next_chunk(&mut stream).await {
            Ok(first) => first.unwrap_or_default(),
            Err(failure) => return Some(Err(broken(&failure))),
        };
        let mut out = match self.framing {
            Framing::Json => head,
            Framing::Events => [&b"event: message\ndata: "[..], &head].concat(),
        };
        let rest = answer::open_streamed(&mut out, &first, answer::additions(&self.running));
        self.written = first.len() as u64;
        out.extend_from_slice(&self.on_one_line(rest));
        self.state = State::Passing(stream);
        Some(Ok(out.into()))
    }

    async fn pass(&mut self, mut stream: ResultStream) -> Option<io::Result<Bytes>> {
        match self.running.next_chunk(&mut stream).await {
            Ok(Some(chunk)) => {
                self.written += chunk.len() as u64;
                self.state = State::Passing(stream);
                Some(Ok(self.on_one_line(chunk)))
            }
            Ok(None) => {
                self.running.returned(self.written);
                Some(Ok(Bytes::from_static(if self.framing == Framing::Json { b"}" } else { b"}\n\n" })))
            }
            Err(failure) => Some(Err(broken(&failure))),
        }
    }

    fn framed(&self, message: &Bytes) -> Bytes {
        match self.framing {
            Framing::Json => message.clone(),
            Framing::Events => sse::encode(message).into(),
        }
    }

    fn keep_alive(&self) -> Bytes {
        match self.framing {
            Framing::Json => Bytes::from_static(b" "),
            Framing::Events => Bytes::from_static(sse::KEEP_ALIVE),
        }
    }

    /// In an event a line end would begin a new field. In JSON one can only be white space between tokens.
    fn on_one_line(&self, chunk: Bytes) -> Bytes {
        if self.framing == Framing::Json { chunk } else { answer::on_one_line(chunk) }
    }
}

fn broken(failure: &Failure) -> io::Error {
    io::Error::other(failure.to_string())
}

/// A modern client's subscription as an event stream. It ends with its final answer when the gateway stops.
fn listen(proxy: Arc<Proxy>, listening: Box<Listening>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::unfold((proxy, Some(listening)), |(proxy, listening)| async move {
        let mut listening = listening?;
        let quiet = proxy.limits.sse_keep_alive();
        let chunk = tokio::select! {
            messages = listening.next(&proxy) => messages.iter().flat_map(|message| sse::encode(message)).collect(),
            () = tokio::time::sleep(quiet) => sse::KEEP_ALIVE.to_vec(),
            () = proxy.drain.stopping().cancelled() => {
                let end = sse::encode(&listening.end());
                return Some((Ok(end.into()), (proxy, None)));
            }
        };
        Some((Ok(Bytes::from(chunk)), (proxy, Some(listening))))
    })
}

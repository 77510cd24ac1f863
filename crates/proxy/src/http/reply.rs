//! From an answer to an HTTP response: JSON while there is a single message, an event stream as soon as there are
//! several or the call is slow (`reply/flow.rs`). A legacy client that goes away does not cancel its call, and may come
//! back for the rest of its events (`session/events`); a modern one does. A slow call whose caller loses its right to
//! call is cancelled in either era (`vouching`).

mod delivery;
mod flow;
mod framing;
pub(super) mod watched;

use std::{io, panic::AssertUnwindSafe, pin::Pin, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use delivery::Recipient;
pub(super) use delivery::greeting;
use flow::Flow;
use framing::Framing;
use futures_util::{FutureExt, Stream};
use guardrails::Cleared;
use http::{HeaderValue, Response, StatusCode, header};
use identity::Authenticated;
use protocol::{Era, Request, RequestId, Version, encode, sse};
use tokio::time::{Instant, sleep_until, timeout};
use upstream::{Event, ResultStream};
use watched::{Patience, Watched};

use super::{body::ReplyBody, post::Accepts, refusal::RETRY_AFTER};
use crate::{
    Proxy,
    admission::Admission,
    answer::{self, Encoded},
    call::Running,
    detached::Detached,
    error::Failure,
    methods::{self, Answer, Listening},
    places::Place,
    proxy::standing_streams,
    session::{Entry, Questions, Session},
    vouching::{self, Lost},
};

/// Everything that the answer to one request needs while it is on its way. It lives as long as the answer: until then
/// the request has its place and can be cancelled.
struct Replying {
    proxy: Arc<Proxy>,
    id: RequestId,
    era: Era,
    is_tool_call: bool,
    accepts: Accepts,
    /// Makes the request cancellable by its client; the modern era cancels by going away.
    entry: Option<Entry>,
    /// Who came through the door.
    caller: Authenticated,
    /// The legacy client's session.
    session: Option<Arc<Session>>,
    /// What the server asked the client so far; forgotten with the answer.
    questions: Questions,
    _place: Place,
}

/// How long an answer may take before its response begins as a stream that can be taken up again. Most are there by
/// then, and one message is cheaper.
const PRIMED_AFTER: Duration = Duration::from_millis(500);

/// An answer on its way. It is boxed, because a slow one moves into the body of its response.
type Answering = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What the beginning of an answer decides.
enum Outcome {
    /// There is no answer.
    Failed(Failure),
    /// A single message.
    Message(Bytes),
    /// The upstream's own error, with its HTTP status.
    Refused(StatusCode, Bytes),
    /// A single message, large and still arriving.
    Large(Box<Running>, Vec<u8>, ResultStream),
    /// Several messages, the first of which is here.
    Several(Box<Running>, Bytes),
    /// Messages without end.
    Listening(Box<Listening>),
}

/// Answers an admitted request.
pub(super) async fn respond(
    proxy: Arc<Proxy>,
    admission: Admission,
    request: Request,
    accepts: Accepts,
) -> Response<ReplyBody> {
    let (era, is_tool_call) = (admission.era(), &*request.method == "tools/call");
    let place = match place(&proxy, &request) {
        Ok(place) => place,
        Err(failure) => {
            proxy.metrics.refused("overloaded");
            return overloaded(&failure, &request.id, is_tool_call, era);
        }
    };
    let session = admission.client().session.clone();
    let replying = Arc::new(Replying {
        id: request.id.clone(),
        era,
        is_tool_call,
        accepts,
        caller: admission.caller().clone(),
        entry: session.as_ref().map(|session| session.cancellable().enter(&request.id)),
        session,
        questions: Questions::default(),
        _place: place,
        proxy,
    });
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
    json(status, ReplyBody::Whole(body.into()))
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

/// Builds the answer to a request for which there is no place. It was not begun, so it may come again.
///
/// To a modern client it is refused as a whole. A legacy client has a session to lose: some take any 5xx for the end of
/// the transport, and of all that is under way on it.
fn overloaded(failure: &Failure, id: &RequestId, is_tool_call: bool, era: Era) -> Response<ReplyBody> {
    let mut response = match era {
        Era::Modern => {
            let (_, body) = failure.response(id, era);
            json(StatusCode::SERVICE_UNAVAILABLE, ReplyBody::Whole(body.into()))
        }
        Era::Legacy => {
            let message = answer::encode_failure(failure, id, is_tool_call, era);
            json(StatusCode::OK, ReplyBody::Whole(message))
        }
    };
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// Takes the request's place. A subscription is no call: it stands among the streams.
fn place(proxy: &Proxy, request: &Request) -> Result<Place, Failure> {
    let (place, limit) = match &*request.method {
        "subscriptions/listen" => (proxy.stand(), standing_streams(&proxy.limits)),
        _ => (proxy.enter(), proxy.limits.in_flight()),
    };
    place.ok_or(Failure::Overloaded { limit })
}

/// Builds a response of one JSON text.
pub(super) fn json(status: StatusCode, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Replying {
    /// Waits for the beginning of the answer for as long as a quiet connection may stay quiet; a slower answer gets
    /// its response now and follows in the body.
    async fn run(self: Arc<Self>, admission: Admission, request: Request) -> Response<ReplyBody> {
        let mut answering: Answering = Box::pin(Arc::clone(&self).outcome(admission, request));
        match self.beginning(answering.as_mut()).await {
            Some(outcome) => self.respond_with(outcome),
            None => {
                let framing = self.framing_of_several();
                let flow = Flow::answering(answering, self.revoked());
                self.flowing(flow, framing)
            }
        }
    }

    /// Waits for the beginning of the answer; `None` when it is too slow. Its caller's right to it is only looked at
    /// again when it is not there soon.
    async fn beginning(
        &self,
        mut answering: Pin<&mut (dyn Future<Output = Outcome> + Send)>,
    ) -> Option<Outcome> {
        let patience = self.patience();
        let soon = patience.min(vouching::INTERVAL);
        if let Ok(outcome) = timeout(soon, guarded(answering.as_mut())).await {
            return Some(outcome);
        }
        let rest = patience.saturating_sub(soon);
        if rest.is_zero() {
            return None;
        }
        tokio::select! {
            biased;
            () = self.revoked() => Some(Outcome::Failed(Failure::Cancelled)),
            begun = timeout(rest, guarded(answering)) => begun.ok(),
        }
    }

    /// Completes when what the caller has begun may not go on.
    fn revoked(&self) -> Lost {
        self.proxy.vouching.revoked(&self.caller)
    }

    /// Returns how long the response waits for its answer: as long as a quiet connection may stay quiet. Where a broken
    /// stream can be taken up again from its first event on, it begins soon.
    fn patience(&self) -> Duration {
        let quiet = self.proxy.limits.sse_keep_alive();
        let is_primed =
            self.session.as_ref().is_some_and(|session| session.version() >= Version::V2025_11_25);
        if is_primed && self.accepts == Accepts::Both { quiet.min(PRIMED_AFTER) } else { quiet }
    }

    /// Answers the request unless its client cancels it.
    async fn outcome(self: Arc<Self>, admission: Admission, request: Request) -> Outcome {
        // Pinned where it is made: passed by value, each layer around it would copy it.
        let answering = pin!(self.answer(admission, request));
        tokio::select! {
            outcome = answering => outcome,
            () = self.cancelled() => Outcome::Failed(Failure::Cancelled),
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

    async fn first(&self, mut running: Box<Running>) -> Outcome {
        loop {
            match running.next().await.map(|event| self.encode_event(event, &running)) {
                Ok(Encoded::Final(message)) => return Outcome::Message(message),
                Ok(Encoded::Refused(status, message)) => return Outcome::Refused(status, message),
                Ok(Encoded::Streamed(head, stream)) => return Outcome::Large(running, head, stream),
                Ok(Encoded::Message(message)) if message.is_empty() => {}
                Ok(Encoded::Message(message)) => return Outcome::Several(running, message),
                Err(failure) => return Outcome::Failed(failure),
            }
        }
    }

    /// Encodes an event of the answer. A server's request is put to the client here, because it is forgotten with the
    /// answer; where the answer cannot carry it, the client's standing stream does.
    fn encode_event(&self, event: Cleared<Event>, running: &Running) -> Encoded {
        let (Event::Request(_), Some(session)) = (event.get(), &self.session) else {
            return answer::encode_event(event, &self.id, running);
        };
        let Event::Request(request) = event.into_inner() else { return Encoded::Message(Bytes::new()) };
        Encoded::Message(match self.framing_of_several() {
            Framing::Events => {
                let question = session.asked().ask(running.server(), request);
                question.map(|question| self.questions.add(question, session.asked())).unwrap_or_default()
            }
            Framing::Json => {
                session.ask_outside(running.server(), request, &self.questions);
                Bytes::new()
            }
        })
    }

    /// Waits until a server takes a question back that this answer carried; returns what the client is to be told.
    async fn withdrawn(&self) -> Bytes {
        match (&self.session, self.framing_of_several()) {
            (Some(session), Framing::Events) => self.questions.withdrawn(session.asked()).await,
            (Some(_) | None, _) => std::future::pending().await,
        }
    }

    fn respond_with(self: Arc<Self>, outcome: Outcome) -> Response<ReplyBody> {
        match outcome {
            Outcome::Failed(failure) => {
                let (status, _) = failure.response(&self.id, self.era);
                let message = self.encode_failure(&failure);
                self.single(status, message)
            }
            Outcome::Message(message) => self.single(StatusCode::OK, message),
            Outcome::Refused(status, message) => self.single(status, message),
            Outcome::Large(running, head, stream) => {
                let framing = self.framing_of_one();
                let flow = Flow::large(running, head, stream, self.revoked());
                self.flowing(flow, framing)
            }
            Outcome::Several(running, first) => {
                let framing = self.framing_of_several();
                let flow = Flow::several(running, first, self.revoked());
                self.flowing(flow, framing)
            }
            Outcome::Listening(listening) => {
                let patience = Patience::with_standing(&self.proxy.limits);
                events(ReplyBody::stream(Watched::new(listen(self, listening), patience)))
            }
        }
    }

    fn encode_failure(&self, failure: &Failure) -> Bytes {
        answer::encode_failure(failure, &self.id, self.is_tool_call, self.era)
    }

    /// Builds the response of a single message. An event stream has no other status than 200.
    fn single(self: Arc<Self>, status: StatusCode, message: Bytes) -> Response<ReplyBody> {
        match (self.framing_of_one(), &self.session) {
            (Framing::Events, Some(_)) if status == StatusCode::OK => {
                self.flowing(Flow::single(message), Framing::Events)
            }
            (Framing::Events, None) if status == StatusCode::OK => {
                events(ReplyBody::Whole(sse::encode(&message).into()))
            }
            (Framing::Events | Framing::Json, _) => json(status, ReplyBody::Whole(message)),
        }
    }

    /// Builds the response of an answer that is written while it arrives.
    fn flowing(self: Arc<Self>, flow: Flow, framing: Framing) -> Response<ReplyBody> {
        let recipient = Recipient {
            session: self.session.clone(),
            request: self.id.clone(),
            tasks: self.proxy.drain.tasks().clone(),
            patience: Patience::with_answers(&self.proxy.limits),
        };
        let pieces = futures_util::stream::unfold((self, flow), |(replying, mut flow)| async move {
            let piece = flow.next_piece(&replying).await?;
            Some((piece, (replying, flow)))
        });
        let body = recipient.body(pieces, framing);
        match framing {
            Framing::Json => json(StatusCode::OK, body),
            Framing::Events => events(body),
        }
    }

    const fn framing_of_one(&self) -> Framing {
        match self.accepts {
            Accepts::Both | Accepts::OnlyJson => Framing::Json,
            Accepts::OnlyEvents => Framing::Events,
        }
    }

    const fn framing_of_several(&self) -> Framing {
        match self.accepts {
            Accepts::Both | Accepts::OnlyEvents => Framing::Events,
            Accepts::OnlyJson => Framing::Json,
        }
    }

    /// Completes when the client says that it does not want the answer any more.
    async fn cancelled(&self) {
        match &self.entry {
            Some(entry) => entry.cancelled().await,
            None => std::future::pending().await,
        }
    }

    fn is_cancelled(&self) -> bool {
        self.entry.as_ref().is_some_and(Entry::is_cancelled)
    }
}

impl Drop for Replying {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            self.questions.forget(session.asked());
        }
    }
}

/// A panic fails this request and no other.
async fn guarded(answering: Pin<&mut (dyn Future<Output = Outcome> + Send)>) -> Outcome {
    AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request panicked; the panic message stands above");
        Outcome::Failed(Failure::Internal)
    })
}

/// A modern client's subscription as an event stream. It ends with its final answer when the gateway stops, and without
/// one when its caller may not listen any more.
fn listen(
    replying: Arc<Replying>,
    listening: Box<Listening>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let due = Instant::now() + replying.proxy.limits.sse_keep_alive();
    let standing = Some((listening, replying.proxy.vouching.lost(&replying.caller), due));
    futures_util::stream::unfold((replying, standing), |(replying, standing)| async move {
        let (mut listening, mut lost, mut due) = standing?;
        let proxy = &replying.proxy;
        let chunk = tokio::select! {
            biased;
            () = proxy.drain.stopping().cancelled() => {
                let end = sse::encode(&listening.end());
                return Some((Ok(end.into()), (replying, None)));
            }
            () = &mut lost => return None,
            () = sleep_until(due) => {
                due = Instant::now() + proxy.limits.sse_keep_alive();
                sse::KEEP_ALIVE.to_vec()
            }
            messages = listening.next(proxy) => messages.iter().flat_map(|message| sse::encode(message)).collect(),
        };
        Some((Ok(Bytes::from(chunk)), (replying, Some((listening, lost, due)))))
    })
}

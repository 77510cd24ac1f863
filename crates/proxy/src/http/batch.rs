//! A batch over Streamable HTTP (revision 2025-03-26, transports: sending messages to the server): one POST, every
//! request in it admitted, counted and written down as if it had come alone. The answers are events of one stream, each
//! when it is there, or one JSON array for a client that takes no events.

use std::{io, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use http::{HeaderMap, Response};
use protocol::{Era, Malformed, Message, Request, RequestId, sse};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    body::ReplyBody,
    legacy, modern,
    post::{Accepts, Extent, accepted},
    refusal::Refusal,
    reply::{
        self,
        watched::{Patience, Watched},
    },
};
use crate::{
    Proxy,
    admission::{Admission, Client, Viewpoint},
    batch,
    duplex::{Exchange, failed},
    error::Failure,
    places::Place,
    session::{Entry, Session},
};

/// Events that wait for the client to read; then the requests wait.
const OUTBOX: usize = 64;

/// A member that is answered.
enum Due {
    /// With this.
    Now(Option<RequestId>, Bytes),
    /// With what the request comes to.
    Later(Box<Member>),
}

/// An answer, what it answers, and what it holds until it is written.
type Answered = (Option<RequestId>, Bytes, Option<Box<Member>>);

/// A request in progress: it has its place and can be cancelled until this is dropped.
struct Member {
    admission: Admission,
    request: Request,
    entry: Entry,
    _place: Place,
}

/// Answers a POST that holds an array.
pub(super) fn post(
    proxy: &Arc<Proxy>,
    viewpoint: &Viewpoint,
    headers: &HeaderMap,
    body: &Bytes,
    extent: Extent,
) -> Result<Response<ReplyBody>, Refusal> {
    if modern::is_modern(headers, "", None) {
        return Err(Refusal::Batch);
    }
    legacy::check_version(headers, None)?;
    let session = legacy::session(proxy, viewpoint, headers, None)?;
    if !batch::has_batches(&session) {
        return Err(Refusal::Batch);
    }
    let texts = batch::split(body).map_err(Refusal::Malformed)?;
    let taking = Taking { proxy, viewpoint, session: &session, headers, passed: extent.passed };
    let due: Vec<Due> = texts.iter().filter_map(|text| taking.take(Message::parse(text))).collect();
    Ok(match extent.accepts {
        _ if due.is_empty() => accepted(),
        Accepts::Both | Accepts::OnlyEvents => reply::events(ReplyBody::stream(events(proxy, due))),
        Accepts::OnlyJson => reply::json(http::StatusCode::OK, ReplyBody::stream(array(proxy, due))),
    })
}

/// What the messages of one batch have in common.
struct Taking<'a> {
    proxy: &'a Proxy,
    viewpoint: &'a Viewpoint,
    session: &'a Arc<Session>,
    headers: &'a HeaderMap,
    passed: u32,
}

impl Taking<'_> {
    /// Takes a member; returns what it is answered with, if it wants an answer.
    fn take(&self, member: Result<Message, Malformed>) -> Option<Due> {
        match member {
            Ok(Message::Request(request)) => Some(self.begin(request)),
            Ok(Message::Notification(note)) => {
                legacy::notified(self.proxy, self.session, &note);
                None
            }
            Ok(Message::Response(response)) => {
                self.session.asked().answer(response);
                None
            }
            Err(malformed) => Some(Due::Now(malformed.id.clone(), batch::refuse_malformed(&malformed))),
        }
    }

    fn begin(&self, request: Request) -> Due {
        if let Some(what) = self.refused(&request) {
            return Due::Now(Some(request.id.clone()), batch::refuse(&request.id, what));
        }
        let Some(place) = self.proxy.enter() else {
            self.proxy.metrics.refused("overloaded");
            let failure = Failure::Overloaded { limit: self.proxy.limits.in_flight() };
            return Due::Now(Some(request.id.clone()), failed(&failure, &request, Era::Legacy));
        };
        let client = Client::of_session(self.session.clone(), self.passed);
        Due::Later(Box::new(Member {
            admission: Admission::new(self.proxy, self.viewpoint.clone(), client),
            entry: self.session.cancellable().enter(&request.id),
            request,
            _place: place,
        }))
    }

    fn refused(&self, request: &Request) -> Option<&'static str> {
        if &*request.method == "initialize" {
            return Some("`initialize`");
        }
        let is_modern = modern::is_modern(self.headers, &request.method, request.params.as_deref());
        is_modern.then_some("a request of a revision without batches")
    }
}

impl Due {
    /// Waits for the answer; returns it with what it holds until it is written.
    async fn answer(self, exchange: &Exchange) -> Answered {
        match self {
            Self::Now(id, answer) => (id, answer, None),
            Self::Later(member) => {
                let answer = member.answer(exchange).await;
                (Some(member.request.id.clone()), answer, Some(member))
            }
        }
    }
}

impl Member {
    /// A panic fails this request and no other.
    async fn answer(&self, exchange: &Exchange) -> Bytes {
        let fail = |failure| failed(&failure, &self.request, Era::Legacy);
        let answering = exchange.answer(self.admission.clone(), &self.request);
        tokio::select! {
            ended = AssertUnwindSafe(answering).catch_unwind() => {
                ended.ok().flatten().unwrap_or_else(|| fail(Failure::Internal))
            }
            () = self.entry.cancelled() => fail(Failure::Cancelled),
        }
    }
}

/// Writes each message as an event when it is there. A client that goes away cancels nothing.
fn events(proxy: &Arc<Proxy>, due: Vec<Due>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let (outbox, messages) = mpsc::channel(OUTBOX);
    let exchange = exchange(proxy, Some(outbox));
    for due in due {
        let exchange = exchange.clone();
        proxy.drain.tasks().spawn(async move {
            let (_, answer, _held) = due.answer(&exchange).await;
            exchange.send(answer).await;
        });
    }
    let quiet = proxy.limits.sse_keep_alive();
    let chunks = futures_util::stream::unfold(messages, move |mut messages| async move {
        let chunk = match timeout(quiet, messages.recv()).await {
            Ok(message) => sse::encode(&message?).into(),
            Err(_) => Bytes::from_static(sse::KEEP_ALIVE),
        };
        Some((Ok(chunk), messages))
    });
    Watched::new(chunks, Patience::with_answers(&proxy.limits))
}

/// Writes one array when the last answer is there; white space meanwhile keeps a quiet connection open. The array holds
/// nothing but answers: what servers ask goes to the client's standing stream, and is refused if it has none.
fn array(proxy: &Arc<Proxy>, due: Vec<Due>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let exchange = exchange(proxy, None);
    let tasks = proxy.drain.tasks();
    let answers: Vec<_> = due
        .into_iter()
        .map(|due| {
            let exchange = exchange.clone();
            tasks.spawn(async move { due.answer(&exchange).await })
        })
        .collect();
    let (quiet, limit) = (proxy.limits.sse_keep_alive(), proxy.limits.line_bytes());
    let joining: Joining = Box::pin(join(answers, limit));
    let chunks = futures_util::stream::unfold(Some(joining), move |joining| async move {
        let mut joining = joining?;
        Some(match timeout(quiet, joining.as_mut()).await {
            Ok(array) => (Ok(array), None),
            Err(_) => (Ok(Bytes::from_static(b" ")), Some(joining)),
        })
    });
    Watched::new(chunks, Patience::with_answers(&proxy.limits))
}

type Joining = Pin<Box<dyn Future<Output = Bytes> + Send>>;

async fn join(tasks: Vec<JoinHandle<Answered>>, limit: usize) -> Bytes {
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        // A request's own panic is answered in its task.
        answers.extend(task.await);
    }
    batch::join(answers.iter().map(|(id, answer, _)| (id.clone(), answer.clone())), limit)
}

fn exchange(proxy: &Arc<Proxy>, outbox: Option<mpsc::Sender<Bytes>>) -> Arc<Exchange> {
    Arc::new(Exchange { proxy: proxy.clone(), outbox, closed: CancellationToken::new() })
}

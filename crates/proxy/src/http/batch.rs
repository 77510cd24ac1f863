//! A batch over Streamable HTTP (revision 2025-03-26, transports: sending messages to the server): one POST, every
//! request in it admitted, counted and written down as if it had come alone. The answers are events of one stream, each
//! when it is there, or one JSON array for a client that takes no events.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use http::{HeaderMap, Response, StatusCode};
use protocol::{Era, Message, Notification, Request, sse};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

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
    batch::{self, Answered, Due, Taking},
    duplex::{Exchange, Last, Outbox, Share, failed},
    error::Failure,
    places::Place,
    session::{Entry, Session},
};

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
    let (exchange, outlet) = outlet(proxy, extent.accepts);
    let exchange = Arc::new(exchange);
    let arriving =
        Arriving { viewpoint, session: &session, headers, passed: extent.passed, exchange: exchange.clone() };
    let due = batch::take(texts.iter().map(Message::parse), &arriving);
    drop(arriving);
    Ok(match outlet {
        _ if due.is_empty() => accepted(),
        Outlet::Events(messages) => reply::events(ReplyBody::stream(events(exchange, messages, due))),
        Outlet::Array => reply::json(StatusCode::OK, ReplyBody::stream(array(&exchange, due))),
    })
}

/// Where the answers come out.
enum Outlet {
    /// Each when it is there, and what comes before it.
    Events(mpsc::Receiver<Bytes>),
    /// All together.
    Array,
}

fn outlet(proxy: &Arc<Proxy>, accepts: Accepts) -> (Exchange, Outlet) {
    let (outbox, share, outlet) = match accepts {
        Accepts::Both | Accepts::OnlyEvents => {
            let (outbox, messages) = Outbox::new(proxy.limits.stall());
            let share = Share::each(proxy.limits.line_bytes());
            (Some(Arc::new(outbox)), share, Outlet::Events(messages))
        }
        Accepts::OnlyJson => {
            (None, Share::together(proxy.limits.line_bytes(), Arc::default()), Outlet::Array)
        }
    };
    (Exchange { proxy: proxy.clone(), outbox, share, closed: CancellationToken::new() }, outlet)
}

/// A batch that arrives.
struct Arriving<'a> {
    viewpoint: &'a Viewpoint,
    session: &'a Arc<Session>,
    headers: &'a HeaderMap,
    passed: u32,
    exchange: Arc<Exchange>,
}

impl Taking for Arriving<'_> {
    fn request(&self, request: Request) -> Due {
        let (proxy, id) = (&self.exchange.proxy, request.id.clone());
        if let Some(what) = self.refused(&request) {
            let refusal = batch::refuse(&id, what);
            return Due::now(Some(id), refusal);
        }
        let Some(place) = proxy.enter() else {
            proxy.metrics.refused("overloaded");
            let failure = Failure::Overloaded { limit: proxy.limits.in_flight() };
            return Due::now(Some(id), failed(&failure, &request, Era::Legacy));
        };
        let client = Client::of_session(self.session.clone(), self.passed);
        let member = Member {
            admission: Admission::new(proxy, self.viewpoint.clone(), client),
            entry: self.session.cancellable().enter(&id),
            request,
            _place: place,
        };
        let exchange = self.exchange.clone();
        Due::later(id, async move {
            let Last { message, held } = member.answer(&exchange).await;
            Answered { message: Some(message), _held: Some(Box::new((member, held))) }
        })
    }

    fn notification(&self, note: &Notification) {
        legacy::notified(&self.exchange.proxy, self.session, note);
    }

    fn response(&self, response: protocol::Response) {
        self.session.asked().answer(response);
    }
}

impl Arriving<'_> {
    fn refused(&self, request: &Request) -> Option<&'static str> {
        if &*request.method == "initialize" {
            return Some("`initialize`");
        }
        let is_modern = modern::is_modern(self.headers, &request.method, request.params.as_deref());
        is_modern.then_some("a request of a revision without batches")
    }
}

impl Member {
    /// A panic fails this request and no other. Whether its caller's token is revoked is looked at here and not beside
    /// the answers: the request goes on without its client.
    async fn answer(&self, exchange: &Exchange) -> Last {
        let fail = |failure| Last::from(failed(&failure, &self.request, Era::Legacy));
        let answering = exchange.answer(self.admission.clone(), &self.request);
        tokio::select! {
            ended = AssertUnwindSafe(answering).catch_unwind() => {
                ended.ok().flatten().unwrap_or_else(|| fail(Failure::Internal))
            }
            () = self.entry.cancelled() => fail(Failure::Cancelled),
            () = exchange.proxy.vouching.revoked_meanwhile(self.admission.caller()) => fail(Failure::Cancelled),
        }
    }
}

/// Writes each message as an event when it is there. A client that goes away cancels nothing, but what servers ask it
/// is refused from then on.
fn events(
    exchange: Arc<Exchange>,
    messages: mpsc::Receiver<Bytes>,
    due: Vec<Due>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    for due in due {
        let sender = exchange.clone();
        exchange.proxy.drain.tasks().spawn(async move {
            let answered = due.answer().await;
            if let Some(message) = &answered.message {
                sender.send(message.clone()).await;
            }
        });
    }
    let (quiet, patience) =
        (exchange.proxy.limits.sse_keep_alive(), Patience::with_answers(&exchange.proxy.limits));
    let here = exchange.closed.clone().drop_guard();
    // The messages end when the last task has dropped the exchange.
    drop(exchange);
    Watched::new(written(messages, here, quiet), patience)
}

/// Writes messages as they come, and signs of life. `here` is dropped with it: then the client is gone.
fn written(
    messages: mpsc::Receiver<Bytes>,
    here: DropGuard,
    quiet: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::unfold((messages, here), move |(mut messages, here)| async move {
        let chunk = match timeout(quiet, messages.recv()).await {
            Ok(message) => sse::encode(&message?).into(),
            Err(_) => Bytes::from_static(sse::KEEP_ALIVE),
        };
        Some((Ok(chunk), (messages, here)))
    })
}

/// Writes one array when the last answer is there; white space meanwhile keeps a quiet connection open. The array holds
/// nothing but answers: what servers ask goes to the client's standing stream, and is refused if it has none or does not
/// wait for the array any more.
fn array(exchange: &Exchange, due: Vec<Due>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let limits = &exchange.proxy.limits;
    let answers = batch::gather(exchange.proxy.drain.tasks(), due, limits.line_bytes());
    let (quiet, patience) = (limits.sse_keep_alive(), Patience::with_answers(limits));
    let here = exchange.closed.clone().drop_guard();
    Watched::new(joined(answers, here, quiet), patience)
}

/// Writes the array, and white space until it is there. `here` is dropped with it: then the client is gone.
fn joined(
    answers: impl Future<Output = Option<Bytes>> + Send,
    here: DropGuard,
    quiet: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::unfold(Some((Box::pin(answers), here)), move |state| async move {
        let (mut answers, here) = state?;
        Some(match timeout(quiet, answers.as_mut()).await {
            Ok(array) => (Ok(array.unwrap_or_default()), None),
            Err(_) => (Ok(Bytes::from_static(b" ")), Some((answers, here))),
        })
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    /// What is asked waits for `closed` (`duplex/asking`).
    #[tokio::test]
    async fn a_client_that_goes_away_is_not_waited_for() {
        let quiet = Duration::from_millis(1);
        let closed = CancellationToken::new();
        let (_sender, messages) = mpsc::channel(1);
        let mut events = Box::pin(written(messages, closed.clone().drop_guard(), quiet));
        assert_eq!(events.next().await.unwrap().unwrap(), sse::KEEP_ALIVE);
        assert!(!closed.is_cancelled(), "it is here");
        drop(events);
        assert!(closed.is_cancelled());

        let closed = CancellationToken::new();
        let mut array = Box::pin(joined(std::future::pending(), closed.clone().drop_guard(), quiet));
        assert_eq!(array.next().await.unwrap().unwrap(), " ");
        assert!(!closed.is_cancelled(), "it is here");
        drop(array);
        assert!(closed.is_cancelled());
    }
}

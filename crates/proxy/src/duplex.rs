//! A client on one stream of messages in each direction, whatever carries it: requests run concurrently, answers go out
//! as they come, and what the client is told of its own accord goes between them. The doors that have such a stream are
//! `stdio` and `http/sse`; they read and write, and everything between is here.

mod asker;
mod asking;
mod batch;
mod collecting;
mod exchange;
mod outbox;
mod share;
mod slot;

use std::{panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use catalog::View;
use domain::PrincipalKey;
use futures_util::FutureExt;
use identity::Authenticated;
use protocol::{Era, Message, Notification, Request, Response, code, encode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::slot::{Opened, Slot};
pub(crate) use self::{
    collecting::Last,
    exchange::{Exchange, failed},
    outbox::Outbox,
    share::{Batches, Share},
};
use crate::{
    Proxy,
    admission::{Admission, Client, Door, Viewpoint},
    error::Failure,
    methods, notified,
    places::Place,
    session::{Cancellable, Entry, OpenError, Opening, Session},
    standing::Standing,
};

/// The client on the other end of the stream.
pub(crate) struct Duplex {
    viewpoint: Viewpoint,
    exchange: Exchange,
    session: Slot,
    batches: Arc<Batches>,
    /// Not the session's: a client that goes away cancels nothing.
    cancellable: Cancellable,
}

/// Who sent a message, and how it came.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Who is vouched for at this moment; the configuration may since have named another agent. `None` when nobody
    /// is, and requests fail.
    pub(crate) caller: Option<Authenticated>,
    /// How many gateways the message has passed before this one.
    pub(crate) passed: u32,
}

/// A request in progress: it has its place and can be cancelled until this is dropped.
struct Begun {
    request: Request,
    arrival: Arrival,
    entry: Entry,
    _place: Place,
}

impl Duplex {
    /// Makes the client of a door, and where its messages come out. They end when nobody holds the client any more:
    /// neither the door nor a request in progress.
    pub(crate) fn new(proxy: Arc<Proxy>, viewpoint: Viewpoint) -> (Arc<Self>, mpsc::Receiver<Bytes>) {
        let (outbox, messages) = Outbox::new(proxy.limits.stall());
        let exchange = Exchange {
            outbox: Some(Arc::new(outbox)),
            share: Share::each(proxy.limits.line_bytes()),
            closed: CancellationToken::new(),
            proxy,
        };
        let duplex = Self {
            viewpoint,
            exchange,
            session: Slot::default(),
            batches: Arc::default(),
            cancellable: Cancellable::default(),
        };
        (Arc::new(duplex), messages)
    }

    /// Tells whether this principal opened the stream.
    pub(crate) fn is_of(&self, owner: &PrincipalKey) -> bool {
        self.viewpoint.caller.principal().key() == *owner
    }

    /// Tells whether the stream was opened at this endpoint.
    pub(crate) fn is_at(&self, view: &View) -> bool {
        self.viewpoint.view == *view
    }

    /// Completes when the client does not read any more, or took nothing for too long.
    pub(crate) async fn unread(&self) {
        match &self.exchange.outbox {
            Some(outbox) => outbox.unread().await,
            None => std::future::pending().await,
        }
    }

    /// Ends what the client is told of its own accord, and its session; it gets no other. Requests in progress go on,
    /// each until its caller's token is revoked.
    pub(crate) fn close(&self) {
        self.exchange.closed.cancel();
        if let Some(session) = self.session.close() {
            self.end(&session);
        }
    }

    /// Cancels every request in progress, and those that still come.
    pub(crate) fn cancel_all(&self) {
        self.cancellable.cancel_all();
    }

    /// Takes a message. It waits only while the client does not read what it is sent.
    pub(crate) async fn take(self: &Arc<Self>, message: Message, arrival: Arrival) {
        match message {
            Message::Request(request) if &*request.method == "initialize" => {
                self.initialize(&request, arrival).await;
            }
            Message::Request(request) => self.start(request, arrival).await,
            Message::Notification(note) => self.notified(&note),
            Message::Response(response) => self.answered(response),
        }
    }

    /// Sends a message; a client that is gone hears nothing.
    pub(crate) async fn send(&self, message: Bytes) {
        self.exchange.send(message).await;
    }

    /// Runs a request in a task of its own, so that a slow one holds up nobody. A client that writes and does not read
    /// holds up its own reader and starts no more tasks: while answers wait for room, and beyond the bound on requests,
    /// where the reader itself answers.
    async fn start(self: &Arc<Self>, request: Request, arrival: Arrival) {
        self.exchange.has_room().await;
        let begun = match self.begin(request, arrival) {
            Ok(begun) => begun,
            Err(refusal) => return self.send(refusal).await,
        };
        let duplex = self.clone();
        self.exchange.proxy.drain.tasks().spawn(async move {
            let Some(Last { message, held: _held }) = duplex.finish(&begun, &duplex.exchange).await else {
                return;
            };
            tokio::select! {
                () = duplex.send(message) => {}
                () = begun.entry.cancelled() => {}
            }
        });
    }

    /// Takes a request's place and makes it cancellable, before its task runs: the next message may cancel it.
    ///
    /// # Errors
    /// The answer, when there is no place.
    fn begin(&self, request: Request, arrival: Arrival) -> Result<Begun, Bytes> {
        let proxy = &self.exchange.proxy;
        let Some(place) = proxy.enter() else {
            proxy.metrics.refused("overloaded");
            let failure = Failure::Overloaded { limit: proxy.limits.in_flight() };
            return Err(failed(&failure, &request, self.era(&request)));
        };
        let entry = self.cancellable.enter(&request.id);
        Ok(Begun { request, arrival, entry, _place: place })
    }

    /// Returns the answer. A panic fails this request and no other; a cancelled request gets no answer (specification,
    /// cancellation), nor does one whose caller's token is revoked: its stream ends.
    async fn finish(&self, begun: &Begun, exchange: &Exchange) -> Option<Last> {
        let running = AssertUnwindSafe(self.run(&begun.request, &begun.arrival, exchange)).catch_unwind();
        tokio::select! {
            ended = running => ended.unwrap_or_else(|_| {
                Some(failed(&Failure::Internal, &begun.request, self.era(&begun.request)).into())
            }),
            () = begun.entry.cancelled() => None,
            () = self.revoked(&begun.arrival) => None,
        }
    }

    /// Completes when the request may not go on; it may be there longer than its client. Who launched us has no token.
    async fn revoked(&self, arrival: &Arrival) {
        match (self.viewpoint.door, &arrival.caller) {
            (Door::Http | Door::Sse, Some(caller)) => {
                self.exchange.proxy.vouching.revoked_meanwhile(caller).await;
            }
            (Door::Stdio, Some(_) | None) | (Door::Http | Door::Sse, None) => std::future::pending().await,
        }
    }

    async fn run(&self, request: &Request, arrival: &Arrival, exchange: &Exchange) -> Option<Last> {
        let client = match self.client(request, arrival.passed) {
            Ok(client) => client,
            Err(error) => return Some(error.into()),
        };
        let Some(caller) = arrival.caller.clone() else {
            return Some(failed(&Failure::Internal, request, client.version.era()).into());
        };
        let viewpoint = Viewpoint { caller, ..self.viewpoint.clone() };
        let admission = Admission::new(&self.exchange.proxy, viewpoint, client);
        exchange.answer(admission, request).await
    }

    fn client(&self, request: &Request, passed: u32) -> Result<Client, Bytes> {
        let session = self.session.get();
        asker::client(request, self.viewpoint.door, session, passed)
    }

    /// Returns the era to fail a request in, whether or not it can be read.
    fn era(&self, request: &Request) -> Era {
        self.client(request, 0).map_or(Era::Legacy, |client| client.version.era())
    }

    /// Opens a session for whoever is vouched for at this moment.
    async fn initialize(self: &Arc<Self>, request: &Request, arrival: Arrival) {
        let proxy = &self.exchange.proxy;
        let viewpoint = arrival.caller.map(|caller| Viewpoint { caller, ..self.viewpoint.clone() });
        let viewpoint = viewpoint.ok_or(Failure::Internal);
        let opened = viewpoint.and_then(|viewpoint| {
            methods::initialize(proxy, &viewpoint, request.params.as_ref()).map(|opened| (viewpoint, opened))
        });
        let (viewpoint, opened) = match opened {
            Ok(opened) => opened,
            Err(failure) => return self.send(failed(&failure, request, Era::Legacy)).await,
        };
        let opening = Opening {
            owner: viewpoint.caller.principal().key(),
            view: viewpoint.view.clone(),
            version: opened.version,
            client_info: opened.client_info,
            capabilities: opened.capabilities,
        };
        let Opened { session, before } = match self.session.fill(|| self.open(opening)) {
            Ok(opened) => opened,
            Err(error) => {
                let text = error.to_string();
                let refusal = encode::error(Some(&request.id), code::INTERNAL_ERROR, &text, None);
                return self.send(refusal.into()).await;
            }
        };
        // Before anything is waited for: who waits may be dropped.
        if let Some(before) = before {
            self.end(&before);
        }
        self.send(encode::result(&request.id, &opened.result).into()).await;
        self.stand(viewpoint, session);
    }

    /// Opens a session: the one client of this process's own streams stands outside the table.
    fn open(&self, opening: Opening) -> Result<Arc<Session>, OpenError> {
        match self.viewpoint.door {
            Door::Stdio => Session::open(opening).map(Arc::new),
            Door::Http | Door::Sse => self.exchange.proxy.sessions.open(opening),
        }
    }

    fn end(&self, session: &Session) {
        self.exchange.proxy.sessions.close(session);
        session.closed().cancel();
    }

    /// Tells a legacy client what it did not ask for, for as long as it is there.
    fn stand(self: &Arc<Self>, viewpoint: Viewpoint, session: Arc<Session>) {
        let duplex = self.clone();
        let over = session.closed().clone();
        let mut standing = Standing::new(&self.exchange.proxy, viewpoint, session);
        self.exchange.proxy.drain.tasks().spawn(async move {
            let announcing = over.run_until_cancelled(async {
                loop {
                    for message in standing.next(&duplex.exchange.proxy).await {
                        duplex.send(message).await;
                    }
                }
            });
            duplex.exchange.closed.run_until_cancelled(announcing).await;
        });
    }

    fn notified(&self, note: &Notification) {
        let session = self.session.get();
        notified::take(&self.exchange.proxy, session.as_ref(), &self.cancellable, note);
    }

    /// Takes the client's answer to what a server asked. Without a session nothing was asked.
    fn answered(&self, response: Response) {
        let session = self.session.get();
        if let Some(session) = session {
            session.asked().answer(response);
        }
    }
}

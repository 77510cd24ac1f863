//! Streamable HTTP upstreams, both eras (specification, transports: Streamable HTTP).
//!
//! There is no lasting connection: each request stands alone, legacy ones within a session (`http/session`). How a
//! request is sent is in `http/exchange`, how its answer is read in `http/reply`. What the server says outside calls
//! comes through `http/listen` for the gateway and through `http/session_stream` for the clients of a session; what it
//! asks is `http/asking`'s.

mod asking;
mod body;
mod cancel;
mod chunks;
mod client;
mod envelope;
mod errands;
mod events;
mod exchange;
mod headers;
mod json;
mod listen;
mod news;
mod opening;
mod progress;
mod reach;
mod reply;
mod resuming;
mod scope;
mod session;
mod session_stream;
mod utf8;

#[cfg(test)]
pub(super) mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::Bytes;
use domain::{Credential, ServerId};
use protocol::{Era, Version};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::{chunks::ResultChunks, listen::Subscription, reply::HttpReply};
// What a server asks and is told is remembered in the same way where there are no sessions.
pub(super) use self::session::{Entered, LogLevel, Question, Questions, Told};
// The older transport sends requests as this one does.
pub(super) use self::{
    client::{Client, Failure},
    headers::{BadHeader, Fixed, Purpose},
    reply::{ContentKind, content_kind},
};
use self::{json::BadAnswer, session::Sessions};
use super::{Exchange, Opening, SpokenVersion};
use crate::{
    CallError,
    config::{Affinity, HttpSettings},
    inbox::Inbox,
    instances::Instances,
    metrics::Counters,
};

/// A Streamable HTTP server.
pub(crate) struct HttpConnection {
    server: ServerId,
    client: Client,
    fixed: Fixed,
    instances: Arc<Instances>,
    sessions: Sessions,
    affinity: Affinity,
    version: SpokenVersion,
    next_id: AtomicU64,
    inbox: Inbox,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    initialize: Bytes,
    result_bytes: usize,
    /// Bounds what runs in the background beside calls.
    errands: Arc<Semaphore>,
    /// Bounds what the server asks and is not answered yet. Each keeps room for its answer.
    questions: Arc<Semaphore>,
    /// Bounds the streams of sessions.
    streams: Arc<Semaphore>,
    /// Whether the server is known to have no such streams.
    has_no_streams: AtomicBool,
    closing: CancellationToken,
    /// Why the server cannot be reached, once that is certain.
    unreachable: watch::Sender<Option<Arc<str>>>,
    is_being_checked: AtomicBool,
    is_being_tidied: AtomicBool,
}

impl HttpConnection {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when requests to this address cannot be built.
    pub(crate) fn open(settings: &HttpSettings, opening: Opening) -> Result<Arc<Self>, CallError> {
        let bad = |reason: String| CallError::Unavailable { server: opening.server.clone(), reason };
        let client = Client::new(settings.endpoint().url()).map_err(|error| bad(error.to_string()))?;
        let fixed = Fixed::new(settings.headers(), opening.depth).map_err(|error| bad(error.to_string()))?;
        Ok(Arc::new(Self {
            server: opening.server,
            client,
            fixed,
            instances: opening.instances,
            sessions: Sessions::default(),
            affinity: settings.affinity(),
            version: SpokenVersion::new(),
            next_id: AtomicU64::new(1),
            inbox: opening.inbox,
            counters: opening.counters,
            tasks: opening.tasks,
            initialize: opening.initialize,
            result_bytes: opening.result_bytes,
            errands: Arc::new(Semaphore::new(errands::MAX_ERRANDS)),
            questions: Arc::new(Semaphore::new(asking::MAX_QUESTIONS)),
            streams: Arc::new(Semaphore::new(session_stream::MAX_STREAMS)),
            has_no_streams: AtomicBool::new(false),
            closing: CancellationToken::new(),
            unreachable: watch::Sender::new(None),
            is_being_checked: AtomicBool::new(false),
            is_being_tidied: AtomicBool::new(false),
        }))
    }

    /// Sends a request and returns when the head of its response is here. Dropping the future cancels the request.
    ///
    /// A legacy request opens the session of its caller first, if there is none. `initialize` itself, sent for
    /// nobody, opens our own.
    ///
    /// # Errors
    /// [`CallError`]; the variant tells whether the request may have been sent.
    pub(crate) async fn request(
        self: &Arc<Self>,
        exchange: Exchange<'_>,
    ) -> Result<Box<HttpReply>, CallError> {
        let reply = match self.version().era() {
            Era::Modern => self.request_modern(&exchange).await,
            Era::Legacy if exchange.method == "initialize" => self.request_initialize(&exchange).await,
            Era::Legacy => self.request_legacy(&exchange).await,
        };
        reply.map(Box::new)
    }

    /// Sends a notification without parameters in our own session. Modern servers take none, and get none.
    ///
    /// # Errors
    /// [`CallError`] when it was not accepted.
    pub(crate) async fn notify(
        self: &Arc<Self>,
        method: &str,
        credential: Option<&Credential>,
    ) -> Result<(), CallError> {
        match self.version().era() {
            Era::Modern => Ok(()),
            Era::Legacy => {
                let home = self.home(None, credential).await?;
                self.tell(&home, protocol::encode::notification(method, None).into()).await
            }
        }
    }

    /// Waits until the server is known to be out of reach, and returns why. Cancel safe.
    ///
    /// One refused connection is not enough: a server that is back within a second is not missed.
    pub(crate) async fn closed(&self) -> String {
        let mut unreachable = self.unreachable.subscribe();
        let reason = unreachable.wait_for(Option::is_some).await.ok();
        reason.and_then(|reason| reason.as_deref().map(str::to_owned)).unwrap_or_default()
    }

    /// Stops listening and ends all sessions, within a bounded time. Calls in flight go on until they are dropped.
    pub(crate) async fn close(self: &Arc<Self>) {
        self.closing.cancel();
        self.end_all(self.sessions.take_all()).await;
    }

    /// Fixes the revision to speak.
    pub(crate) fn speak(&self, version: Version) {
        self.version.set(version);
    }

    /// Returns the revision that is spoken.
    pub(crate) fn version(&self) -> Version {
        self.version.get()
    }

    /// Has the server listed anew and watchers told: it may have changed while nobody listened.
    fn suspect_changes(&self) {
        self.inbox.suspect_changes();
    }

    /// Returns an id that no other request of this connection has.
    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// Errors in the name of this server.
impl HttpConnection {
    fn unavailable(&self, reason: &str) -> CallError {
        CallError::Unavailable { server: self.server.clone(), reason: reason.to_owned() }
    }

    fn lost(&self, reason: &str) -> CallError {
        self.counters.lost.add_one();
        CallError::Lost { server: self.server.clone(), reason: reason.to_owned() }
    }

    fn protocol(&self, what: &str) -> CallError {
        self.counters.garbage.add_one();
        CallError::Protocol { server: self.server.clone(), what: what.to_owned() }
    }

    fn too_large(&self) -> CallError {
        CallError::TooLarge { server: self.server.clone(), limit: self.result_bytes }
    }

    fn bad_answer(&self, bad: BadAnswer) -> CallError {
        match bad {
            BadAnswer::Broken => self.lost("the connection ended within the answer"),
            BadAnswer::Foreign => self.protocol("its answer is the answer to another request"),
            BadAnswer::Shapeless => self.protocol("its answer has no result where one can begin"),
        }
    }
}

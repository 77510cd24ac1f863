//! Sessions of legacy clients: opened by `initialize`, bound to a principal and an endpoint, bounded in number,
//! forgotten when idle. A session id is a handle and never a proof of identity.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use audit::SessionTag;
use bytes::Bytes;
use catalog::View;
use domain::PrincipalKey;
use parking_lot::Mutex;
use protocol::{RequestId, Version};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Random bytes in a session id: 256 bits, twice what guessing needs.
const ID_BYTES: usize = 32;

/// Most requests of one session that can be cancelled at a time; further ones run, but cannot be cancelled.
const MAX_CANCELLABLE: usize = 1_024;

/// Levels of `logging/setLevel` (RFC 5424), least severe first.
const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// One legacy client's session.
#[derive(Debug)]
pub(crate) struct Session {
    id: Box<str>,
    tag: SessionTag,
    owner: PrincipalKey,
    view: View,
    version: Version,
    client_info: Option<Bytes>,
    log_level: Mutex<Option<&'static str>>,
    cancellable: Cancellable,
    /// Milliseconds after the table was made; the sweeper compares it.
    last_used_ms: AtomicU64,
    closed: CancellationToken,
}

/// What `initialize` says, to open a session with.
pub(crate) struct Opening {
    /// Who opens it.
    pub(crate) owner: PrincipalKey,
    /// What its endpoint shows.
    pub(crate) view: View,
    /// The negotiated revision.
    pub(crate) version: Version,
    /// The JSON text of the client's `clientInfo`.
    pub(crate) client_info: Option<Bytes>,
}

/// Why a request that names a session is refused. All variants look the same from outside: 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    /// No such session, or not this principal's, or of another endpoint.
    #[error("unknown session")]
    Unknown,
    /// As many sessions as there may be.
    #[error("too many sessions")]
    TooMany,
}

impl Session {
    /// Makes a session outside any table: the one client of a stdio door.
    pub(crate) fn open(opening: Opening) -> Result<Self, SessionError> {
        let mut random = [0; ID_BYTES];
        getrandom::fill(&mut random).map_err(|_| SessionError::TooMany)?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            tag: SessionTag::of(&id),
            id: id.into(),
            owner: opening.owner,
            view: opening.view,
            version: opening.version,
            client_info: opening.client_info,
            log_level: Mutex::new(None),
            cancellable: Cancellable::default(),
            last_used_ms: AtomicU64::new(0),
            closed: CancellationToken::new(),
        })
    }

    /// Returns the handle that the client sends with each request.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the session as audit shows it.
    pub(crate) const fn tag(&self) -> &SessionTag {
        &self.tag
    }

    /// Returns the negotiated revision.
    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Returns the JSON text of the client's `clientInfo`.
    pub(crate) const fn client_info(&self) -> Option<&Bytes> {
        self.client_info.as_ref()
    }

    /// Returns the level that the client set by `logging/setLevel`.
    pub(crate) fn log_level(&self) -> Option<&'static str> {
        *self.log_level.lock()
    }

    /// Sets the level for log messages; tells whether there is such a level.
    pub(crate) fn set_log_level(&self, level: &str) -> bool {
        let known = LOG_LEVELS.into_iter().find(|known| *known == level);
        if known.is_some() {
            *self.log_level.lock() = known;
        }
        known.is_some()
    }

    /// Tells whether a message of this level is one the client wants.
    pub(crate) fn wants_log(&self, level: &str) -> bool {
        let rank = |level: &str| LOG_LEVELS.iter().position(|known| *known == level);
        match (self.log_level().and_then(rank), rank(level)) {
            (Some(wanted), Some(offered)) => offered >= wanted,
            (None, _) | (_, None) => true,
        }
    }

    /// Returns the requests in progress, to be cancelled by id.
    pub(crate) const fn cancellable(&self) -> &Cancellable {
        &self.cancellable
    }

    /// Completes when the session ends.
    pub(crate) const fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

/// Requests in progress, by the client's own ids.
#[derive(Debug, Default)]
pub(crate) struct Cancellable(Mutex<HashMap<RequestId, CancellationToken>>);

/// Keeps a request cancellable until it is dropped.
pub(crate) struct Entry<'a> {
    table: &'a Cancellable,
    id: RequestId,
    token: CancellationToken,
    entered: bool,
}

impl Cancellable {
    /// Enters a request. A second request with the id of a running one is not cancellable, only the first is.
    pub(crate) fn enter(&self, id: &RequestId) -> Entry<'_> {
        let token = CancellationToken::new();
        let mut requests = self.0.lock();
        let entered = requests.len() < MAX_CANCELLABLE && !requests.contains_key(id);
        if entered {
            requests.insert(id.clone(), token.clone());
        }
        Entry { table: self, id: id.clone(), token, entered }
    }

    /// Cancels the request with this id; an unknown id is nothing (it may have ended already).
    pub(crate) fn cancel(&self, id: &RequestId) {
        if let Some(token) = self.0.lock().get(id) {
            token.cancel();
        }
    }
}

impl Entry<'_> {
    /// Completes when the client cancels the request.
    pub(crate) async fn cancelled(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.entered {
            self.table.0.lock().remove(&self.id);
        }
    }
}

/// All sessions of the HTTP door.
#[derive(Debug)]
pub(crate) struct Sessions {
    table: Mutex<HashMap<Box<str>, Arc<Session>>>,
    started: Instant,
    limit: usize,
    idle: Duration,
}

impl Sessions {
    /// Makes the table: at most `limit` sessions, each forgotten after `idle` without a request.
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        Self { table: Mutex::default(), started: Instant::now(), limit, idle }
    }

    /// Opens a session.
    ///
    /// # Errors
    /// [`SessionError::TooMany`] when the table is full of sessions in use.
    pub(crate) fn open(&self, opening: Opening) -> Result<Arc<Session>, SessionError> {
        let session = Arc::new(Session::open(opening)?);
        self.touch(&session);
        let mut table = self.table.lock();
        if table.len() >= self.limit {
            return Err(SessionError::TooMany);
        }
        table.insert(session.id.clone(), session.clone());
        Ok(session)
    }

    /// Finds a session that this principal opened at this endpoint.
    ///
    /// # Errors
    /// [`SessionError::Unknown`], whether it does not exist or is somebody else's.
    pub(crate) fn find(
        &self,
        id: &str,
        owner: &PrincipalKey,
        view: &View,
    ) -> Result<Arc<Session>, SessionError> {
        let session = self.table.lock().get(id).cloned().ok_or(SessionError::Unknown)?;
        if session.owner != *owner || session.view != *view {
            return Err(SessionError::Unknown);
        }
        self.touch(&session);
        Ok(session)
    }

    /// Ends a session; its streams end with it.
    pub(crate) fn close(&self, session: &Session) {
        self.table.lock().remove(&session.id);
        session.closed.cancel();
    }

    /// Returns how many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Forgets the sessions that were idle for too long. A session with an open stream is not idle.
    pub(crate) fn sweep(&self) {
        let now = self.now_ms();
        let idle_ms = self.idle.as_millis() as u64;
        self.table.lock().retain(|_, session| {
            // The table and the sweeper's clone aside, every holder of the Arc is a request or a stream.
            let in_use = Arc::strong_count(session) > 1;
            let keep = in_use || now.saturating_sub(session.last_used_ms.load(Ordering::Relaxed)) < idle_ms;
            if !keep {
                session.closed.cancel();
            }
            keep
        });
    }

    fn touch(&self, session: &Session) {
        session.last_used_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

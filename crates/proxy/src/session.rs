//! One session of a legacy client: opened by `initialize`, bound to a principal and an endpoint. A session id is a
//! handle and never a proof of identity. How many there may be and when one is forgotten is in `table.rs`.

mod asked;
mod cancellable;
mod events;
mod listeners;
mod outside;
mod questions;
mod table;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use audit::SessionTag;
use bytes::Bytes;
use catalog::View;
use domain::{PrincipalKey, ServerId};
use guardrails::Untrusted;
use parking_lot::Mutex;
use protocol::{ClientCapabilities, Version};
use tokio_util::sync::CancellationToken;
use upstream::{ClientSession, Said, Watcher};

use self::{asked::Asked, listeners::Listeners, outside::Outside};
pub(crate) use self::{
    cancellable::{Cancellable, Entry},
    events::{Budget, EventId, EventStreams, Greeting, Leaving, Piece, Room, StreamKind},
    listeners::Listener,
    questions::Questions,
    table::Sessions,
};
use crate::Proxy;

/// Random bytes in a session id: 256 bits, twice what guessing needs.
const ID_BYTES: usize = 32;
/// Random bytes that tell a session's events from those of any other: nobody guesses 64 bits in a session's life.
const EVENT_BYTES: usize = size_of::<u64>();

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// One legacy client's session.
#[derive(Debug)]
pub(crate) struct Session {
    id: Arc<str>,
    tag: SessionTag,
    owner: PrincipalKey,
    view: View,
    version: Version,
    client_info: Option<Bytes>,
    capabilities: ClientCapabilities,
    log_level: Mutex<Option<&'static str>>,
    cancellable: Cancellable,
    asked: Asked,
    outside: Outside,
    /// The resources that the client subscribed to.
    watcher: OnceLock<Watcher>,
    listeners: Listeners,
    events: EventStreams,
    number: u64,
    /// Milliseconds after the table was made; the sweeper compares it.
    last_used_ms: AtomicU64,
    /// Its place in the table's order of use; changed under the table's lock alone.
    turn: AtomicU64,
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
    /// What the client declared.
    pub(crate) capabilities: ClientCapabilities,
}

/// No such session, or not this principal's, or of another endpoint: outside these look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown session")]
pub(crate) struct UnknownSession;

/// Why no session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// As many sessions as there may be, and all of them in use.
    #[error("too many sessions")]
    TooMany,
    /// The system has no random bytes for an id.
    #[error("no randomness for a session id")]
    NoRandomness,
}

impl Session {
    /// Makes a session outside any table: the one client of a stdio door.
    ///
    /// # Errors
    /// [`OpenError::NoRandomness`] when the system has no random bytes.
    pub(crate) fn open(opening: Opening) -> Result<Self, OpenError> {
        let (mut random, mut first_stream) = ([0; ID_BYTES], [0; EVENT_BYTES]);
        getrandom::fill(&mut random).map_err(|_| OpenError::NoRandomness)?;
        getrandom::fill(&mut first_stream).map_err(|_| OpenError::NoRandomness)?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let closed = CancellationToken::new();
        Ok(Self {
            tag: SessionTag::of(&id),
            id: id.into(),
            owner: opening.owner,
            view: opening.view,
            version: opening.version,
            client_info: opening.client_info,
            capabilities: opening.capabilities,
            asked: Asked::default(),
            outside: Outside::default(),
            watcher: OnceLock::new(),
            listeners: Listeners::default(),
            events: EventStreams::starting_at(u64::from_be_bytes(first_stream)),
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            log_level: Mutex::new(None),
            cancellable: Cancellable::within(closed.clone()),
            last_used_ms: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            closed,
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
        let known = crate::logs::LEVELS.into_iter().find(|known| *known == level);
        if known.is_some() {
            *self.log_level.lock() = known;
        }
        known.is_some()
    }

    /// Returns the requests in progress, to be cancelled by id.
    pub(crate) const fn cancellable(&self) -> &Cancellable {
        &self.cancellable
    }

    /// Returns what the client declared.
    pub(crate) const fn capabilities(&self) -> &ClientCapabilities {
        &self.capabilities
    }

    /// Returns the requests of servers that wait for the client's answer.
    pub(crate) const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Returns what was sent on the session's event streams.
    pub(crate) const fn events(&self) -> &EventStreams {
        &self.events
    }

    /// Returns what watches the resources that the client subscribed to.
    pub(crate) fn watcher(&self, proxy: &Proxy) -> &Watcher {
        self.watcher.get_or_init(|| proxy.upstreams.watcher())
    }

    /// Completes when the session ends.
    pub(crate) const fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

impl ClientSession for Session {
    fn number(&self) -> u64 {
        self.number
    }

    fn capabilities(&self) -> &ClientCapabilities {
        &self.capabilities
    }

    fn log_level(&self) -> Option<&'static str> {
        self.log_level()
    }

    fn hear(&self, server: &ServerId, said: Untrusted<Said>, bytes: usize) {
        self.take_said(server.clone(), said, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand sessions may be idle; what each has inline should stay well below a KiB.
    const MOST_INLINE: usize = 768;

    #[test]
    fn an_idle_session_is_small() {
        let bytes = size_of::<Session>();
        println!("{bytes} bytes inline");
        assert!(bytes <= MOST_INLINE, "{bytes}");
    }
}

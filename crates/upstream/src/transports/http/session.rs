//! One session at a legacy server, with what belongs to it alone: its name, its revision, what the server asks in it.
//! All sessions of a server are in `session/table`, whose they are says `session/owner`, who listens `session/audience`,
//! whom the server can mean where everybody listens `session/users`, which log level it knows `session/telling`.

mod audience;
mod level;
mod owner;
mod questions;
mod table;
mod telling;
mod users;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::Credential;
use http::HeaderValue;
use parking_lot::Mutex;
use protocol::Version;
use tokio_util::sync::CancellationToken;

pub(super) use self::{
    audience::{Audience, Following},
    owner::Owner,
    table::{Found, Opened, Sessions},
    telling::{Outcome, Telling},
    users::Caller,
};
pub(in crate::transports) use self::{
    level::{LogLevel, Told},
    questions::{Entered, Question, Questions},
};

#[cfg(test)]
pub(super) use self::table::MAX_IDLE;

/// An open session.
pub(super) struct Session {
    /// The server's name for it; some servers give none.
    pub(super) id: Option<HeaderValue>,
    /// The clients that it is for; nobody in our own.
    pub(super) audience: Arc<Audience>,
    /// What the server asks in it and is not answered yet.
    pub(super) questions: Questions,
    /// Which log level the server knows; none if it takes no level.
    pub(super) telling: Option<Telling>,
    /// The revision agreed on in it; none in the session whose revision the handshake fixes.
    version: Option<Version>,
    last_used: Mutex<Instant>,
    over: CancellationToken,
}

/// What opening a session has shown.
pub(super) struct Introduced {
    /// The server's name for the session.
    pub(super) id: Option<HeaderValue>,
    /// The revision agreed on.
    pub(super) version: Version,
    /// Whether the server takes a log level.
    pub(super) has_logging: bool,
}

/// A session with what authorizes its use.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) session: Arc<Session>,
    pub(super) credential: Option<Credential>,
}

impl Session {
    /// Makes our own session, whose revision the handshake fixes.
    pub(super) fn own(id: Option<HeaderValue>) -> Arc<Self> {
        Self::new(id, None, None, Arc::new(Audience::new(None)))
    }

    /// Makes the session of `audience`.
    pub(super) fn of(audience: Arc<Audience>, introduced: Introduced) -> Arc<Self> {
        let Introduced { id, version, has_logging } = introduced;
        Self::new(id, Some(version), has_logging.then(Telling::default), audience)
    }

    fn new(
        id: Option<HeaderValue>,
        version: Option<Version>,
        telling: Option<Telling>,
        audience: Arc<Audience>,
    ) -> Arc<Self> {
        let last_used = Mutex::new(Instant::now());
        let (questions, over) = (Questions::default(), CancellationToken::new());
        Arc::new(Self { id, audience, questions, telling, version, last_used, over })
    }

    /// Returns the revision to speak in it; `usual` is what the handshake fixed for the server.
    pub(super) fn version(&self, usual: Version) -> Version {
        self.version.unwrap_or(usual)
    }

    /// Completes when the session is known to be over, at the server or here.
    pub(super) const fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Notes that the session is over: nobody need be asked any more what the server asked in it.
    fn end(&self) {
        self.over.cancel();
        self.questions.settle_all();
    }

    fn touch(&self, now: Instant) {
        *self.last_used.lock() = now;
    }

    fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.last_used.lock())
    }
}

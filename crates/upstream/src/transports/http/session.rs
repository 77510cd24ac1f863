//! Sessions at a legacy server: one for each principal and one of our own, opened when first needed.
//! Invariant: a session is used for the principal it was opened for, and for nobody else.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{Credential, PrincipalKey};
use http::HeaderValue;
use parking_lot::Mutex;
use protocol::Version;
use tokio::sync::watch;

use crate::CallError;

/// Sessions at one server. Each costs the server memory, and us a few hundred bytes.
const MAX_SESSIONS: usize = 10_000;
/// A session that nobody used for so long is closed, as our clients' own sessions are.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(30 * 60);
/// Where there is no room, a session idle for longer than any call may take makes place.
const EVICTABLE_AFTER: Duration = Duration::from_secs(11 * 60);

/// An open session.
pub(super) struct Session {
    /// The server's name for it; some servers give none.
    pub(super) id: Option<HeaderValue>,
    /// The revision agreed on in it; none in the session whose revision the handshake fixes.
    version: Option<Version>,
    last_used: Mutex<Instant>,
}

/// A session with what authorizes its use.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) session: Arc<Session>,
    pub(super) credential: Option<Credential>,
}

/// How an opening went.
pub(super) type Opened = Result<Arc<Session>, CallError>;
type Announcement = watch::Receiver<Option<Opened>>;

/// All sessions at one server.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    own: Option<Slot>,
    principals: HashMap<PrincipalKey, Slot>,
}

struct Slot {
    state: SlotState,
    /// What authorizes closing it.
    credential: Option<Credential>,
}

enum SlotState {
    Opening(Announcement),
    Open(Arc<Session>),
}

/// What was found for an owner.
pub(super) enum Found {
    Open(Arc<Session>),
    /// Somebody opens it already.
    Opening(Announcement),
    /// The caller is to open it, and to announce how that went.
    Absent(watch::Sender<Option<Opened>>),
    /// There is no room for one more.
    Full,
}

// === impl Session ===

impl Session {
    pub(super) fn new(id: Option<HeaderValue>, version: Option<Version>) -> Arc<Self> {
        Arc::new(Self { id, version, last_used: Mutex::new(Instant::now()) })
    }

    /// Returns the revision to speak in it; `usual` is what the handshake fixed for the server.
    pub(super) fn version(&self, usual: Version) -> Version {
        self.version.unwrap_or(usual)
    }

    fn touch(&self, now: Instant) {
        *self.last_used.lock() = now;
    }

    fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.last_used.lock())
    }
}

// === impl Sessions ===

impl Sessions {
    /// Looks for the session of `owner`, and notes that it is used. An absent one is reserved for the caller.
    /// Sessions that had to make room for it are returned, to be ended.
    pub(super) fn find(
        &self,
        owner: Option<&PrincipalKey>,
        credential: Option<&Credential>,
        now: Instant,
    ) -> (Found, Vec<Home>) {
        let mut table = self.0.lock();
        if let Some(found) = table.slot(owner).and_then(|slot| slot.usable(now)) {
            return (found, Vec::new());
        }
        let evicted = table.make_room(now);
        if owner.is_some() && table.principals.len() >= MAX_SESSIONS {
            return (Found::Full, evicted);
        }
        let (announce, announcement) = watch::channel(None);
        let slot = Slot { state: SlotState::Opening(announcement), credential: credential.cloned() };
        table.put(owner, slot);
        (Found::Absent(announce), evicted)
    }

    /// Fills the slot of `owner`.
    pub(super) fn put(
        &self,
        owner: Option<&PrincipalKey>,
        session: Arc<Session>,
        credential: Option<Credential>,
    ) {
        self.0.lock().put(owner, Slot { state: SlotState::Open(session), credential });
    }

    /// Empties the slot of `owner` after a failed opening.
    pub(super) fn give_up(&self, owner: Option<&PrincipalKey>) {
        let mut table = self.0.lock();
        if matches!(table.slot(owner), Some(Slot { state: SlotState::Opening(_), .. })) {
            table.remove(owner);
        }
    }

    /// Forgets a session that the server has forgotten, unless another one has taken its place already.
    pub(super) fn forget(&self, owner: Option<&PrincipalKey>, session: &Arc<Session>) {
        let mut table = self.0.lock();
        let is_it = |slot: &Slot| matches!(&slot.state, SlotState::Open(open) if Arc::ptr_eq(open, session));
        if table.slot(owner).is_some_and(is_it) {
            table.remove(owner);
        }
    }

    /// Takes out the sessions of principals that nobody used for a long time.
    pub(super) fn take_idle(&self, now: Instant) -> Vec<Home> {
        self.0.lock().take_if(|session| session.idle(now) > MAX_IDLE)
    }

    /// Takes out all sessions.
    pub(super) fn take_all(&self) -> Vec<Home> {
        let mut table = self.0.lock();
        let mut homes = table.take_if(|_| true);
        homes.extend(table.own.take().and_then(Slot::into_home));
        homes
    }
}

// === impl Table ===

impl Table {
    fn slot(&self, owner: Option<&PrincipalKey>) -> Option<&Slot> {
        owner.map_or(self.own.as_ref(), |principal| self.principals.get(principal))
    }

    fn put(&mut self, owner: Option<&PrincipalKey>, slot: Slot) {
        match owner {
            None => self.own = Some(slot),
            Some(principal) => {
                self.principals.insert(principal.clone(), slot);
            }
        }
    }

    fn remove(&mut self, owner: Option<&PrincipalKey>) {
        match owner {
            None => self.own = None,
            Some(principal) => {
                self.principals.remove(principal);
            }
        }
    }

    fn make_room(&mut self, now: Instant) -> Vec<Home> {
        if self.principals.len() < MAX_SESSIONS {
            return Vec::new();
        }
        self.take_if(|session| session.idle(now) > EVICTABLE_AFTER)
    }

    fn take_if(&mut self, is_due: impl Fn(&Session) -> bool) -> Vec<Home> {
        let due = self.principals.extract_if(|_, slot| match &slot.state {
            SlotState::Open(session) => is_due(session),
            SlotState::Opening(_) => false,
        });
        due.filter_map(|(_, slot)| slot.into_home()).collect()
    }
}

// === impl Slot ===

impl Slot {
    /// Returns the session, or where its opening is announced; `None` if the opener died without a word.
    fn usable(&self, now: Instant) -> Option<Found> {
        match &self.state {
            SlotState::Open(session) => {
                session.touch(now);
                Some(Found::Open(Arc::clone(session)))
            }
            SlotState::Opening(announcement) => {
                let is_alive = announcement.has_changed().is_ok();
                is_alive.then(|| Found::Opening(announcement.clone()))
            }
        }
    }

    fn into_home(self) -> Option<Home> {
        match self.state {
            SlotState::Open(session) => Some(Home { session, credential: self.credential }),
            SlotState::Opening(_) => None,
        }
    }
}

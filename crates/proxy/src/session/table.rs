//! The sessions of the HTTP doors, Streamable HTTP and HTTP+SSE: bounded in number, forgotten when idle, and the longest idle first when a new one
//! needs its place.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use catalog::View;
use domain::PrincipalKey;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    OpenError, Opening, Session, UnknownSession,
    events::{ALL_BYTES, Budget},
};

/// Most sessions that are looked at to find one that is not in use; a fraction of a millisecond under the lock. Those
/// looked at go to the end of the order, so the next opening looks further.
const MAX_EXAMINED: usize = 1_024;

/// All sessions of the HTTP doors.
#[derive(Debug)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
    started: Instant,
    limit: usize,
    idle: Duration,
    /// What the events of all sessions may take.
    events: Arc<Budget>,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<Arc<str>, Arc<Session>>,
    order: Order,
}

/// The ids of all sessions, the longest unused first.
#[derive(Debug, Default)]
struct Order {
    all: BTreeMap<u64, Arc<str>>,
    by_owner: HashMap<PrincipalKey, BTreeMap<u64, Arc<str>>>,
    last_turn: u64,
}

impl Sessions {
    /// Makes the table: at most `limit` sessions, each forgotten after `idle` without a request.
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        let events = Budget::new(ALL_BYTES);
        Self { table: Mutex::default(), started: Instant::now(), limit, idle, events }
    }

    /// Opens a session. When the table is full, the longest idle session of the same principal ends for it, or else
    /// the longest idle of all; a session in use never does.
    ///
    /// # Errors
    /// [`OpenError::TooMany`] when the table is full of sessions in use; [`OpenError::NoRandomness`].
    pub(crate) fn open(&self, opening: Opening) -> Result<Arc<Session>, OpenError> {
        let mut session = Session::open(opening)?;
        session.events.keep_within(Arc::clone(&self.events));
        let session = Arc::new(session);
        session.last_used_ms.store(self.now_ms(), Ordering::Relaxed);
        let mut table = self.table.lock();
        let has_room =
            table.by_id.len() < self.limit || table.evict(Some(&session.owner)) || table.evict(None);
        if !has_room {
            return Err(OpenError::TooMany);
        }
        table.order.enter(&session);
        table.by_id.insert(session.id.clone(), session.clone());
        Ok(session)
    }

    /// Finds a session that this principal opened at this endpoint.
    ///
    /// # Errors
    /// [`UnknownSession`], whether it does not exist or is somebody else's.
    pub(crate) fn find(
        &self,
        id: &str,
        owner: &PrincipalKey,
        view: &View,
    ) -> Result<Arc<Session>, UnknownSession> {
        let mut table = self.table.lock();
        let session = table.by_id.get(id).cloned().ok_or(UnknownSession)?;
        if session.owner != *owner || session.view != *view {
            return Err(UnknownSession);
        }
        table.order.renew(&session);
        session.last_used_ms.store(self.now_ms(), Ordering::Relaxed);
        Ok(session)
    }

    /// Ends a session; its streams end with it.
    pub(crate) fn close(&self, session: &Session) {
        self.table.lock().remove(&session.id);
    }

    /// Returns how many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().by_id.len()
    }

    /// Forgets the sessions that were idle for too long, and what others keep of streams that are over. A session with
    /// an open stream is not idle.
    pub(crate) fn sweep(&self) {
        let now = self.now_ms();
        let idle_ms = self.idle.as_millis() as u64;
        let mut table = self.table.lock();
        let Table { by_id, order } = &mut *table;
        by_id.retain(|_, session| {
            let unused_ms = now.saturating_sub(session.last_used_ms.load(Ordering::Relaxed));
            let keep = is_in_use(session) || unused_ms < idle_ms;
            if !keep {
                order.leave(session);
                session.closed.cancel();
            } else {
                session.events.forget_old(Instant::now());
            }
            keep
        });
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

impl Table {
    /// Ends the longest idle session, of one principal or of all. Tells whether there was one.
    fn evict(&mut self, owner: Option<&PrincipalKey>) -> bool {
        for _ in 0..self.order.len(owner).min(MAX_EXAMINED) {
            let Some(session) = self.order.first(owner).and_then(|id| self.by_id.get(&id)) else {
                return false;
            };
            if is_in_use(session) {
                self.order.renew(session);
            } else {
                let id = session.id.clone();
                self.remove(&id);
                return true;
            }
        }
        false
    }

    fn remove(&mut self, id: &str) {
        if let Some(session) = self.by_id.remove(id) {
            self.order.leave(&session);
            session.closed.cancel();
        }
    }
}

impl Order {
    /// Puts a session at the end.
    fn enter(&mut self, session: &Session) {
        self.last_turn += 1;
        session.turn.store(self.last_turn, Ordering::Relaxed);
        self.all.insert(self.last_turn, session.id.clone());
        let own = self.by_owner.entry(session.owner.clone()).or_default();
        own.insert(self.last_turn, session.id.clone());
    }

    /// Takes a session out.
    fn leave(&mut self, session: &Session) {
        let turn = session.turn.load(Ordering::Relaxed);
        self.all.remove(&turn);
        if let Some(own) = self.by_owner.get_mut(&session.owner) {
            own.remove(&turn);
            if own.is_empty() {
                self.by_owner.remove(&session.owner);
            }
        }
    }

    /// Moves a session to the end.
    fn renew(&mut self, session: &Session) {
        self.leave(session);
        self.enter(session);
    }

    fn first(&self, owner: Option<&PrincipalKey>) -> Option<Arc<str>> {
        self.turns(owner)?.values().next().cloned()
    }

    fn len(&self, owner: Option<&PrincipalKey>) -> usize {
        self.turns(owner).map_or(0, BTreeMap::len)
    }

    fn turns(&self, owner: Option<&PrincipalKey>) -> Option<&BTreeMap<u64, Arc<str>>> {
        owner.map_or(Some(&self.all), |owner| self.by_owner.get(owner))
    }
}

/// The table's own aside, every holder of the session is a request or a stream. New ones come only through the table.
fn is_in_use(session: &Arc<Session>) -> bool {
    Arc::strong_count(session) > 1
}

#[cfg(test)]
mod tests {
    use domain::{AgentId, AgentSource, Principal, ServerScope};
    use protocol::Version;

    use super::{
        super::events::{EventId, StreamKind},
        *,
    };

    fn principal(name: &str) -> PrincipalKey {
        let principal = Principal {
            agent: AgentId::new(name).expect("a name"),
            agent_source: AgentSource::Launch,
            user: None,
            roles: Vec::new(),
            token: None,
            servers: ServerScope::All,
        };
        principal.key()
    }

    fn open(sessions: &Sessions, owner: &PrincipalKey) -> Result<Arc<Session>, OpenError> {
        let version = Version::LATEST_LEGACY;
        sessions.open(Opening {
            owner: owner.clone(),
            view: View::All,
            version,
            client_info: None,
            capabilities: protocol::ClientCapabilities::NONE,
        })
    }

    /// Opens a session that nobody uses then; returns its id.
    fn open_idle(sessions: &Sessions, owner: &PrincipalKey) -> String {
        open(sessions, owner).expect("there is room").id().to_owned()
    }

    fn is_there(sessions: &Sessions, id: &str) -> bool {
        sessions.table.lock().by_id.contains_key(id)
    }

    fn table(limit: usize) -> Sessions {
        Sessions::new(limit, Duration::from_secs(60))
    }

    #[test]
    fn the_openers_longest_idle_session_makes_room() {
        let (sessions, own, other) = (table(4), principal("own"), principal("other"));
        let others = open_idle(&sessions, &other);
        let [first, second, third] = std::array::from_fn(|_| open_idle(&sessions, &own));
        // Used since, so it is not the longest idle any more.
        drop(sessions.find(&first, &own, &View::All).expect("it is there"));
        let fourth = open_idle(&sessions, &own);
        assert!(!is_there(&sessions, &second));
        assert!([&others, &first, &third, &fourth].into_iter().all(|id| is_there(&sessions, id)));
        assert_eq!(sessions.len(), 4);
    }

    #[test]
    fn who_has_none_gets_the_place_of_the_longest_idle() {
        let (sessions, other) = (table(2), principal("other"));
        let [first, second] = std::array::from_fn(|_| open_idle(&sessions, &other));
        let own = open_idle(&sessions, &principal("own"));
        assert_eq!([first, second, own].map(|id| is_there(&sessions, &id)), [false, true, true]);
    }

    #[test]
    fn a_session_in_use_keeps_its_place() {
        let (sessions, own) = (table(2), principal("own"));
        let used = open(&sessions, &own).expect("there is room");
        let idle = open_idle(&sessions, &own);
        let newer = open(&sessions, &own).expect("one is idle");
        assert!(is_there(&sessions, used.id()) && !is_there(&sessions, &idle));
        assert_eq!(open(&sessions, &own).err(), Some(OpenError::TooMany));
        assert_eq!(open(&sessions, &principal("other")).err(), Some(OpenError::TooMany));
        drop(newer);
        open(&sessions, &own).expect("one is idle again");
        assert!(!used.closed().is_cancelled());
    }

    #[test]
    fn openings_get_past_more_sessions_in_use_than_one_looks_at() {
        let (sessions, own, other) = (table(MAX_EXAMINED * 2), principal("own"), principal("other"));
        let mut used: Vec<_> =
            (1..MAX_EXAMINED * 2).map(|_| open(&sessions, &other).expect("there is room")).collect();
        let idle = open_idle(&sessions, &other);
        assert_eq!(open(&sessions, &own).err(), Some(OpenError::TooMany), "it has not come that far");
        used.push(open(&sessions, &own).expect("now it has"));
        assert!(!is_there(&sessions, &idle));
    }

    #[test]
    fn a_session_that_ended_stays_ended() {
        let (sessions, own) = (table(4), principal("own"));
        let ended = open(&sessions, &own).expect("there is room");
        sessions.close(&ended);
        sessions.close(&ended);
        let id = ended.id().to_owned();
        let newer = open(&sessions, &own).expect("there is room");
        assert_eq!(sessions.find(&id, &own, &View::All).err(), Some(UnknownSession));
        assert!(ended.closed().is_cancelled() && !newer.closed().is_cancelled());
        assert_eq!(sessions.len(), 1, "a stream that still holds the ended one keeps no place");
        assert_eq!(sessions.table.lock().order.all.len(), 1);
    }

    #[test]
    fn an_event_of_one_session_is_none_of_another() {
        let (sessions, own) = (table(4), principal("own"));
        let [one, other] = [(); 2].map(|()| open(&sessions, &own).expect("there is room"));
        for kind in [StreamKind::Call, StreamKind::Standing] {
            let event =
                |session: &Session| EventId { stream: session.events.open(kind, None).id(), number: 0 };
            let (of_one, of_other) = (event(&one), event(&other));
            assert!(one.events.find(of_one).is_some() && other.events.find(of_other).is_some());
            assert!(one.events.find(of_other).is_none() && other.events.find(of_one).is_none());
        }
    }

    #[test]
    fn what_ends_leaves_nothing_behind() {
        let (sessions, own) = (Sessions::new(4, Duration::ZERO), principal("own"));
        let closed = open(&sessions, &own).expect("there is room");
        sessions.close(&closed);
        assert!(closed.closed().is_cancelled());
        let used = open(&sessions, &own).expect("there is room");
        open_idle(&sessions, &own);
        sessions.sweep();
        assert_eq!(sessions.len(), 1, "the one in use");
        drop(used);
        sessions.sweep();
        let table = sessions.table.lock();
        assert!(table.by_id.is_empty() && table.order.all.is_empty() && table.order.by_owner.is_empty());
    }
}

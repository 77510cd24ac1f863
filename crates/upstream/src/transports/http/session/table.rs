//! All sessions at one legacy server: our own and those of our callers, opened when first needed, bounded in number.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::Credential;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Audience, Home, Owner, Session, owner::MAX_DECLARATIONS};
use crate::{CallError, SharedSession};

/// Sessions at one server. Each costs the server memory, and us a few hundred bytes.
const MAX_SESSIONS: usize = 10_000;
/// A session that nobody used for so long is closed, as our clients' own sessions are.
pub(in super::super) const MAX_IDLE: Duration = Duration::from_secs(30 * 60);
/// Where there is no room, a session idle for longer than any call may take makes place.
const EVICTABLE_AFTER: Duration = Duration::from_secs(11 * 60);

/// How an opening went.
pub(in super::super) type Opened = Result<Arc<Session>, CallError>;
type Announcement = watch::Receiver<Option<Opened>>;

/// All sessions at one server. Where an owner is named, none means ourselves.
#[derive(Default)]
pub(in super::super) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    own: Option<Slot>,
    others: HashMap<Owner, Slot>,
}

struct Slot {
    state: SlotState,
    audience: Arc<Audience>,
    /// What authorizes closing it.
    credential: Option<Credential>,
}

enum SlotState {
    /// The server has forgotten the session; its clients are still there.
    Vacant,
    Opening(Announcement),
    Open(Arc<Session>),
}

/// What was found for an owner.
pub(in super::super) enum Found {
    Open(Arc<Session>),
    /// Somebody opens it already.
    Opening(Announcement, Arc<Audience>),
    /// The caller is to open it, and to announce how that went.
    Absent(watch::Sender<Option<Opened>>, Arc<Audience>),
    /// There is no room for one more.
    Full,
}

// === impl Sessions ===

impl Sessions {
    /// Looks for the session of `owner`, and notes that it is used. An absent one is reserved for the caller.
    /// Sessions that had to make room for it are returned, to be ended.
    pub(in super::super) fn find(
        &self,
        owner: Option<&Owner>,
        credential: Option<&Credential>,
        now: Instant,
    ) -> (Found, Vec<Home>) {
        let mut table = self.0.lock();
        let known = table.slot(owner);
        if let Some(found) = known.as_ref().and_then(|slot| slot.usable(now)) {
            return (found, Vec::new());
        }
        let audience = known.map(|slot| Arc::clone(&slot.audience));
        let mut evicted = Vec::new();
        if let (None, Some(owner)) = (&audience, owner) {
            evicted = table.make_room(owner, now);
            if table.is_full_for(owner) {
                return (Found::Full, evicted);
            }
        }
        let audience = audience.unwrap_or_else(|| Arc::new(Audience::new(owner.cloned())));
        let (announce, announcement) = watch::channel(None);
        let state = SlotState::Opening(announcement);
        table.put(owner, Slot { state, audience: Arc::clone(&audience), credential: credential.cloned() });
        (Found::Absent(announce, audience), evicted)
    }

    /// Fills the slot of the session's owner.
    pub(in super::super) fn put(&self, session: Arc<Session>, credential: Option<Credential>) {
        let audience = Arc::clone(&session.audience);
        let slot = Slot { state: SlotState::Open(session), audience: Arc::clone(&audience), credential };
        self.0.lock().put(audience.owner(), slot);
    }

    /// Empties the slot of `owner` after a failed opening.
    pub(in super::super) fn give_up(&self, owner: Option<&Owner>) {
        let mut table = self.0.lock();
        if matches!(table.slot(owner), Some(Slot { state: SlotState::Opening(_), .. })) {
            table.vacate(owner);
        }
    }

    /// Forgets a session that the server has forgotten, unless another one has taken its place already. Its clients
    /// stay attached to the next one.
    pub(in super::super) fn forget(&self, owner: Option<&Owner>, session: &Arc<Session>) {
        {
            let mut table = self.0.lock();
            let is_it =
                |slot: &Slot| matches!(&slot.state, SlotState::Open(open) if Arc::ptr_eq(open, session));
            if table.slot(owner).is_some_and(is_it) {
                table.vacate(owner);
            }
        }
        session.end();
    }

    /// Returns the open sessions to which `client` is attached.
    pub(in super::super) fn attended_by(&self, client: &SharedSession) -> Vec<Home> {
        let table = self.0.lock();
        let meant = table.others.iter().filter(|(owner, slot)| {
            matches!(slot.state, SlotState::Open(_))
                && owner.may_include(client)
                && slot.audience.includes(client)
        });
        meant.filter_map(|(_, slot)| slot.home()).collect()
    }

    /// Takes out the sessions that nobody needs any more: those that were not used for a long time and whose clients
    /// are gone, and at once those of a single client that is gone. Streams that are read for nobody are ended.
    pub(in super::super) fn take_idle(&self, now: Instant) -> Vec<Home> {
        self.0.lock().take_if(|owner, slot| {
            slot.audience.notice_desertion();
            let is_due = match &slot.state {
                SlotState::Vacant => true,
                SlotState::Opening(_) => false,
                SlotState::Open(session) if owner.is_one_client() => Arc::strong_count(session) == 1,
                SlotState::Open(session) => session.idle(now) > MAX_IDLE,
            };
            is_due && !slot.audience.is_alive()
        })
    }

    /// Takes out all sessions.
    pub(in super::super) fn take_all(&self) -> Vec<Home> {
        let mut table = self.0.lock();
        let mut homes = table.take_if(|_, slot| !matches!(slot.state, SlotState::Opening(_)));
        homes.extend(table.own.take().and_then(Slot::into_home));
        homes
    }
}

// === impl Table ===

impl Table {
    fn slot(&self, owner: Option<&Owner>) -> Option<&Slot> {
        owner.map_or(self.own.as_ref(), |owner| self.others.get(owner))
    }

    fn put(&mut self, owner: Option<&Owner>, slot: Slot) {
        match owner {
            None => self.own = Some(slot),
            Some(owner) => {
                self.others.insert(owner.clone(), slot);
            }
        }
    }

    /// Leaves a slot without a session; one without clients is not kept.
    fn vacate(&mut self, owner: Option<&Owner>) {
        let Some(owner) = owner else {
            self.own = None;
            return;
        };
        match self.others.get_mut(owner) {
            Some(slot) if slot.audience.is_alive() => slot.state = SlotState::Vacant,
            Some(_) => {
                self.others.remove(owner);
            }
            None => {}
        }
    }

    /// Takes out what may make place for a session of `owner`, if there is need.
    fn make_room(&mut self, owner: &Owner, now: Instant) -> Vec<Home> {
        let mut evicted = Vec::new();
        if self.others.len() >= MAX_SESSIONS {
            evicted = self.take_if(|_, slot| slot.idle(now) > EVICTABLE_AFTER);
        }
        if self.has_all_declarations_of(owner) {
            evicted.extend(self.take_unused_declaration(owner, now));
        }
        evicted
    }

    fn is_full_for(&self, owner: &Owner) -> bool {
        self.others.len() >= MAX_SESSIONS || self.has_all_declarations_of(owner)
    }

    fn has_all_declarations_of(&self, owner: &Owner) -> bool {
        owner.is_declaration_beside(owner)
            && self.others.keys().filter(|other| other.is_declaration_beside(owner)).count()
                >= MAX_DECLARATIONS
    }

    /// Takes out the declaration of the same principal that was not used for the longest time, among those that no
    /// request uses and no client is likely to miss.
    fn take_unused_declaration(&mut self, owner: &Owner, now: Instant) -> Option<Home> {
        let unused = self.others.iter().filter(|(other, slot)| {
            let is_missed = slot.audience.is_alive() && slot.idle(now) <= EVICTABLE_AFTER;
            other.is_declaration_beside(owner) && slot.is_unused() && !is_missed
        });
        let oldest = unused.max_by_key(|(_, slot)| slot.idle(now))?.0.clone();
        self.others.remove(&oldest)?.into_home()
    }

    fn take_if(&mut self, is_due: impl Fn(&Owner, &Slot) -> bool) -> Vec<Home> {
        let due = self.others.extract_if(|owner, slot| is_due(owner, slot));
        due.filter_map(|(_, slot)| slot.into_home()).collect()
    }
}

// === impl Slot ===

impl Slot {
    /// Returns the session, or where its opening is announced; `None` if the opener died without a word.
    fn usable(&self, now: Instant) -> Option<Found> {
        match &self.state {
            SlotState::Vacant => None,
            SlotState::Open(session) => {
                session.touch(now);
                Some(Found::Open(Arc::clone(session)))
            }
            SlotState::Opening(announcement) => {
                let is_alive = announcement.has_changed().is_ok();
                is_alive.then(|| Found::Opening(announcement.clone(), Arc::clone(&self.audience)))
            }
        }
    }

    /// Tells whether no request is in flight in it.
    fn is_unused(&self) -> bool {
        match &self.state {
            SlotState::Vacant => true,
            SlotState::Opening(_) => false,
            SlotState::Open(session) => Arc::strong_count(session) == 1,
        }
    }

    /// Returns for how long nobody used it; nothing for what is being opened.
    fn idle(&self, now: Instant) -> Duration {
        match &self.state {
            SlotState::Vacant => Duration::MAX,
            SlotState::Opening(_) => Duration::ZERO,
            SlotState::Open(session) => session.idle(now),
        }
    }

    fn home(&self) -> Option<Home> {
        match &self.state {
            SlotState::Open(session) => {
                Some(Home { session: Arc::clone(session), credential: self.credential.clone() })
            }
            SlotState::Vacant | SlotState::Opening(_) => None,
        }
    }

    /// Gives the session up.
    fn into_home(self) -> Option<Home> {
        self.audience.dismiss();
        let home = self.home()?;
        home.session.end();
        Some(home)
    }
}

//! The clients that have called over a connection and still live: who hears what a server says outside calls. A server
//! that everybody shares does not say whom it means, so that only one who is alone can be meant. Whoever called without
//! a session cannot be told apart from others, nor be seen to leave; and what one principal has left in the server is
//! not for another: with either there is nobody alone any more at that connection.

use std::{collections::HashMap, sync::Weak};

use domain::PrincipalKey;
use parking_lot::Mutex;

use crate::{SharedSession, client_session::WeakSession};

/// Clients that are remembered, as many as may have sessions with the gateway. One more is not told anything; among so
/// many nobody is alone, nor later, when it may be the one that is left.
const MAX_CLIENTS: usize = 10_000;
/// From how many on it is looked for those that are gone.
const TIDY_FROM: usize = 64;

/// The clients of one connection.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<u64, WeakSession>,
    users: Users,
    /// How many there may be before those that are gone are looked for.
    tidy_at: usize,
}

/// Who has called over the connection since it was opened.
#[derive(Debug, Default)]
enum Users {
    #[default]
    Nobody,
    /// One principal, with the sessions that are remembered and no other.
    Known(PrincipalKey),
    /// Several principals, or somebody without a session.
    Mixed,
}

impl Clients {
    /// Remembers who calls; tells whether it is a new client with a session. To be called before the call is sent.
    pub(super) fn note(&self, principal: &PrincipalKey, client: Option<&SharedSession>) -> bool {
        let mut table = self.0.lock();
        let is_new = client.is_some_and(|client| !table.sessions.contains_key(&client.number()));
        let is_remembered = client.is_some_and(|client| !is_new || table.admit(client));
        table.note_user(principal, is_remembered);
        is_new && is_remembered
    }

    /// Tells whether this client has called over the connection.
    pub(super) fn know(&self, client: &SharedSession) -> bool {
        self.0.lock().sessions.contains_key(&client.number())
    }

    /// Returns the one client that lives; `None` when there are none, or it cannot be proved that there is no other.
    pub(super) fn only(&self) -> Option<SharedSession> {
        let mut living = self.living(2);
        let is_known = matches!(self.0.lock().users, Users::Known(_));
        living.pop().filter(|_| is_known && living.is_empty())
    }

    /// Returns all clients that live.
    pub(super) fn all(&self) -> Vec<SharedSession> {
        self.living(MAX_CLIENTS)
    }

    /// Returns clients that live, up to so many. The lock is gone by then: with the handles that this returns, whole
    /// sessions may end.
    fn living(&self, most: usize) -> Vec<SharedSession> {
        self.0.lock().sessions.values().filter_map(Weak::upgrade).take(most).collect()
    }
}

impl Table {
    /// Remembers a client if there is room.
    fn admit(&mut self, client: &SharedSession) -> bool {
        if self.sessions.len() >= self.tidy_at.max(TIDY_FROM) {
            self.sessions.retain(|_, session| session.strong_count() > 0);
            self.tidy_at = (self.sessions.len() * 2).min(MAX_CLIENTS);
        }
        let has_room = self.sessions.len() < MAX_CLIENTS;
        if has_room {
            self.sessions.insert(client.number(), std::sync::Arc::downgrade(client));
        }
        has_room
    }

    fn note_user(&mut self, principal: &PrincipalKey, is_remembered: bool) {
        match &self.users {
            Users::Known(known) if is_remembered && known == principal => {}
            Users::Nobody if is_remembered => self.users = Users::Known(principal.clone()),
            Users::Nobody | Users::Known(_) | Users::Mixed => self.users = Users::Mixed,
        }
    }
}

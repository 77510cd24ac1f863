//! The clients that have used a connection and still live: who hears what a server says outside calls. A server that
//! everybody shares does not say whom it means, so that only one who is alone can be meant.

use std::{collections::HashMap, sync::Weak};

use parking_lot::Mutex;

use super::super::http::LogLevel;
use crate::{SharedSession, client_session::WeakSession};

/// Clients that are remembered, as many as may have sessions with the gateway. One more is not told anything; among so
/// many nobody is alone.
const MAX_CLIENTS: usize = 10_000;
/// From how many on it is looked for those that are gone.
const TIDY_FROM: usize = 64;

/// The clients of one connection.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<u64, WeakSession>,
    /// How many there may be before those that are gone are looked for.
    tidy_at: usize,
}

impl Clients {
    /// Remembers a client; tells whether it is a new one.
    pub(super) fn admit(&self, client: &SharedSession) -> bool {
        let mut table = self.0.lock();
        if table.sessions.contains_key(&client.number()) {
            return false;
        }
        if table.sessions.len() >= table.tidy_at.max(TIDY_FROM) {
            table.sessions.retain(|_, session| session.strong_count() > 0);
            table.tidy_at = (table.sessions.len() * 2).min(MAX_CLIENTS);
        }
        let has_room = table.sessions.len() < MAX_CLIENTS;
        if has_room {
            table.sessions.insert(client.number(), std::sync::Arc::downgrade(client));
        }
        has_room
    }

    /// Returns the one client that lives; `None` when there are none or several.
    pub(super) fn only(&self) -> Option<SharedSession> {
        let mut living = self.living(2);
        living.pop().filter(|_| living.is_empty())
    }

    /// Returns the most talkative log level that a living client wants.
    pub(super) fn level(&self) -> Option<LogLevel> {
        let living = self.living(MAX_CLIENTS);
        living.iter().filter_map(|client| LogLevel::named(client.log_level()?)).min()
    }

    /// Returns clients that live, up to so many. The lock is gone by then: with the handles that this returns, whole
    /// sessions may end.
    fn living(&self, most: usize) -> Vec<SharedSession> {
        self.0.lock().sessions.values().filter_map(Weak::upgrade).take(most).collect()
    }
}

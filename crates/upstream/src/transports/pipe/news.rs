//! What a server is told about the clients outside calls: the log level they want, that their roots are others
//! (specification 2025-11-25, logging, roots). A server of the modern era is told with each request.

use std::sync::{Arc, atomic::Ordering};

use protocol::{Era, encode};

use super::{Pipe, slot::Slot};
use crate::{News, SharedSession};

impl Pipe {
    /// See [`Connection::tell`](crate::transports::Connection::tell).
    pub(in crate::transports) fn tell_news(&self, client: &SharedSession, news: News) {
        self.clients.admit(client);
        if self.version().era() == Era::Modern {
            return;
        }
        match news {
            News::LogLevel => self.tell_level(),
            // Among several clients the server would not know whose roots are others.
            News::Roots => {
                if self.clients.only().is_some_and(|only| only.capabilities().allow("roots/list")) {
                    self.say(encode::notification("notifications/roots/list_changed", None));
                }
            }
        }
    }

    /// Remembers a client that calls.
    pub(super) fn welcome(&self, client: &SharedSession) {
        if self.clients.admit(client) && client.log_level().is_some() && self.version().era() == Era::Legacy {
            self.tell_level();
        }
    }

    /// Tells the server the most talkative level that is wanted, unless it knows. What it answers is of no interest, and
    /// one that never answers is waited for once at most.
    fn tell_level(&self) {
        let Some(level) = self.clients.level().filter(|level| self.told.begin(*level)) else { return };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let before = self.level_request.swap(id, Ordering::AcqRel);
        self.pending.remove(before);
        if self.pending.insert(id, &Arc::new(Slot::unread()), None).is_ok() {
            let params = format!(r#"{{"level":"{}"}}"#, level.name());
            self.say(encode::request(id, "logging/setLevel", params.as_bytes()));
        }
    }
}

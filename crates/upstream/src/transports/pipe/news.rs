//! What a server is told about the clients outside calls: the log level they want, that their roots are others
//! (specification 2025-11-25, logging, roots). A server of the modern era is told with each request. Only clients that
//! have called the server have news for it: of the others it knows nothing, and must not learn of them by chance.

use std::sync::{Arc, atomic::Ordering};

use domain::PrincipalKey;
use protocol::{Era, Object, encode};

use super::{super::http::LogLevel, Pipe, slot::Slot};
use crate::{News, SharedSession};

impl Pipe {
    /// See [`Connection::tell`](crate::transports::Connection::tell). The level of a client that has not called yet is
    /// told when it does.
    pub(in crate::transports) fn tell_news(&self, client: &SharedSession, news: News) {
        if !self.clients.know(client) || self.version().era() == Era::Modern {
            return;
        }
        match news {
            News::LogLevel => self.tell_level(),
            News::Roots => self.tell_roots(client),
        }
    }

    /// Tells the server that the roots of the one client are others. Among several it would not know whose.
    fn tell_roots(&self, client: &SharedSession) {
        if !client.capabilities().allow("roots/list") {
            return;
        }
        match self.the_client() {
            Some(only) if only.number() == client.number() => {
                self.say(encode::notification("notifications/roots/list_changed", None));
            }
            Some(_) | None => self.counters.dropped_notifications.add_one(),
        }
    }

    /// Returns the one client that the server can mean with what is outside calls, if that is certain: nobody else uses
    /// the connection, and no call of anybody else may still go on.
    pub(super) fn the_client(&self) -> Option<SharedSession> {
        self.clients.only().filter(|client| self.pending.is_alone(client.number()))
    }

    /// Remembers who calls, before the server hears of it.
    pub(super) fn welcome(&self, principal: &PrincipalKey, client: Option<&SharedSession>) {
        let is_new = self.clients.note(principal, client);
        let wants_level = client.is_some_and(|client| client.log_level().is_some());
        if is_new && wants_level && self.version().era() == Era::Legacy {
            self.tell_level();
        }
    }

    /// Tells the server the most talkative level that is wanted, unless it knows, or has declared no logging. What it
    /// answers is of no interest, and one that never answers is waited for once at most.
    fn tell_level(&self) {
        if self.lacks_logging.load(Ordering::Acquire) {
            return;
        }
        // Read and told where nobody else does either, so that the server hears the newest level last.
        let told = self.told.lock();
        let clients = self.clients.all();
        let wanted = clients.iter().filter_map(|client| LogLevel::named(client.log_level()?)).min();
        if let Some(level) = wanted.filter(|level| told.begin(*level)) {
            self.send_level(level);
        }
        drop(told);
        // The lock is gone by then: with these handles whole sessions may end.
        drop(clients);
    }

    fn send_level(&self, level: LogLevel) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let before = self.level_request.swap(id, Ordering::AcqRel);
        self.pending.remove(before);
        if self.pending.insert(id, &Arc::new(Slot::unread()), None).is_ok() {
            let params = format!(r#"{{"level":"{}"}}"#, level.name());
            self.say(encode::request(id, "logging/setLevel", params.as_bytes()));
        }
    }

    /// Notes what the server declares in its answer to `initialize`.
    pub(super) fn introduced(&self, result: &[u8]) {
        let lacks_logging = Object::parse(result, &["capabilities"]).is_ok_and(|result| {
            let capabilities = result.get("capabilities").unwrap_or("{}");
            Object::parse(capabilities.as_bytes(), &["logging"])
                .is_ok_and(|declared| declared.get("logging").is_none_or(|value| value == "null"))
        });
        self.lacks_logging.store(lacks_logging, Ordering::Release);
    }
}

//! What a server is told about the clients of a session, and they about the server, outside calls: log levels, roots,
//! notifications (specification 2025-11-25, logging, roots).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use protocol::{Era, encode};
use tokio::{join, time::timeout};

use super::{
    HttpConnection,
    scope::deliver,
    session::{Following, Home, LogLevel, Session, Told},
};
use crate::{CallError, News, SharedSession};

/// How long a session's first request waits for the session's stream. Some servers open one only when they have
/// something to say, and no request may wait long for them.
const STREAM_WAIT: Duration = Duration::from_millis(300);
/// How long a server may take to take note of a level. Requests wait for that.
const LEVEL_TIME: Duration = Duration::from_secs(2);

/// Notifications that are for the clients of a session and for nobody else.
const FOR_CLIENTS: [&str; 2] = ["notifications/elicitation/complete", "notifications/tasks/status"];

impl HttpConnection {
    /// See [`Connection::tell`](crate::transports::Connection::tell).
    pub(crate) fn tell_news(self: &Arc<Self>, client: &SharedSession, news: News) {
        if self.version().era() == Era::Modern {
            return;
        }
        for home in self.sessions.attended_by(client) {
            match news {
                News::LogLevel => {
                    home.session.audience.judge_levels();
                    self.attend_level(&home);
                }
                News::Roots => {
                    let changed = encode::notification("notifications/roots/list_changed", None);
                    self.tell_later(home, changed.into());
                }
            }
        }
    }

    /// Prepares a session for a request of one of its clients: the server knows the level that they want, and what it
    /// says outside calls is read. Costs a few loads when all of that is so. Cancel safe.
    pub(super) async fn attend(self: &Arc<Self>, home: &Home) {
        let session = &home.session;
        let needs_stream =
            session.audience.following() != Following::Begun && !self.has_no_streams.load(Ordering::Relaxed);
        if untold(session).is_none() && !needs_stream {
            return;
        }
        self.attend_level(home);
        if needs_stream {
            self.follow(home);
        }
        join!(knows_level(session), is_followed(session));
    }

    /// Sees to it that the server is told the level that the clients want.
    pub(super) fn attend_level(self: &Arc<Self>, home: &Home) {
        if let Some((told, level)) = untold(&home.session) {
            self.tell_level(home, told, level);
        }
    }

    /// Tells the server the level, in the background, unless that is being done.
    fn tell_level(self: &Arc<Self>, home: &Home, told: &Told, level: LogLevel) {
        if !told.begin(level) {
            return;
        }
        let (connection, telling) = (Arc::clone(self), Telling { home: home.clone(), level });
        self.run_errand(LEVEL_TIME * 2, async move {
            let params = format!(r#"{{"level":"{}"}}"#, level.name());
            let asking = connection.ask(&telling.home, "logging/setLevel", params.as_bytes());
            match timeout(LEVEL_TIME, asking).await {
                Ok(Err(CallError::Unavailable { .. } | CallError::Lost { .. })) => {}
                // A server that does not want to know it, or says nothing, is not told again.
                Ok(Ok(_) | Err(_)) | Err(_) => telling.finish(),
            }
        });
    }

    /// Hands on a notification that is no part of a call: to the clients of the session, or to the gateway.
    pub(super) fn spread(&self, session: &Session, method: Box<str>, params: Option<Bytes>) {
        if FOR_CLIENTS.contains(&&*method) {
            self.spread_among_clients(session, &method, params.as_ref());
        } else if &*method == "notifications/cancelled" {
            if let Some(id) = params.as_deref().and_then(protocol::cancelled_id) {
                session.questions.take_back(&id);
            }
        } else {
            deliver(self, method, params);
        }
    }

    /// Hands a notification on to the clients of the session.
    pub(super) fn spread_among_clients(&self, session: &Session, method: &str, params: Option<&Bytes>) {
        if !session.audience.hear(&self.server, method, params) {
            self.counters.dropped_notifications.add_one();
        }
    }
}

/// A level that is being told. Dropped before that is finished, it will be told another time.
struct Telling {
    home: Home,
    level: LogLevel,
}

impl Telling {
    fn finish(&self) {
        if let Some(told) = &self.home.session.told {
            told.finish(self.level);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(told) = &self.home.session.told {
            told.give_up(self.level);
        }
    }
}

/// Waits until the server is not just being told a level, for a bounded time.
async fn knows_level(session: &Session) {
    if let Some(told) = &session.told {
        let _ = timeout(LEVEL_TIME, told.settled()).await;
    }
}

/// Waits until the session's stream is read, for a bounded time, and but once.
async fn is_followed(session: &Session) {
    if timeout(STREAM_WAIT, session.audience.followed()).await.is_err() {
        session.audience.wait_no_more();
    }
}

/// Returns the level that the server ought to know and does not.
fn untold(session: &Session) -> Option<(&Told, LogLevel)> {
    let (told, level) = (session.told.as_ref()?, session.audience.level()?);
    (told.known() != Some(level)).then_some((told, level))
}

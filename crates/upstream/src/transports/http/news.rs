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
    session::{Following, Home, LogLevel, Outcome, Session},
};
use crate::{CallError, News, SharedSession};

/// How long a session's first request waits for the session's stream. Some servers open one only when they have
/// something to say, and no request may wait long for them.
const STREAM_WAIT: Duration = Duration::from_millis(300);
/// How long a server may take to take note of a level. Requests wait for that.
const LEVEL_TIME: Duration = Duration::from_secs(2);
/// How long telling one level after the other may take, while others are wanted meanwhile.
const LEVELS_TIME: Duration = Duration::from_secs(16);

/// Notifications that are for the clients of a session and for nobody else.
const FOR_CLIENTS: [&str; 2] = ["notifications/elicitation/complete", "notifications/tasks/status"];

impl HttpConnection {
    /// See [`Connection::tell`](crate::transports::Connection::tell). In a session in which the server could take one
    /// client for another, it hears nothing of roots, and of a level when the next call is made.
    pub(crate) fn tell_news(self: &Arc<Self>, client: &SharedSession, news: News) {
        if self.version().era() == Era::Modern {
            return;
        }
        for home in self.sessions.attended_by(client) {
            let audience = &home.session.audience;
            if news == News::LogLevel {
                audience.judge_levels();
            }
            match (news, audience.may_mean(client)) {
                (News::LogLevel, true) => self.attend_level(&home),
                (News::LogLevel, false) => {}
                (News::Roots, true) => {
                    let changed = encode::notification("notifications/roots/list_changed", None);
                    self.tell_later(home, changed.into());
                }
                (News::Roots, false) => self.counters.dropped_notifications.add_one(),
            }
        }
    }

    /// Prepares a session for a request of one of its clients: the server knows the level that they want, and what it
    /// says outside calls is read. Costs a few loads when all of that is so. Cancel safe.
    pub(super) async fn attend(self: &Arc<Self>, home: &Home) {
        let session = &home.session;
        let needs_stream =
            session.audience.following() != Following::Begun && !self.has_no_streams.load(Ordering::Relaxed);
        if !is_untold(session) && !needs_stream {
            return;
        }
        self.attend_level(home);
        if needs_stream {
            self.follow(home);
        }
        join!(knows_level(session), is_followed(session));
    }

    /// Sees to it that the server is told the level that the clients want, in the background, and one after the other.
    pub(super) fn attend_level(self: &Arc<Self>, home: &Home) {
        let session = &home.session;
        let Some(telling) = &session.telling else { return };
        let Some(level) = telling.begin(|| session.audience.level()) else { return };
        let turn = Turn { session: Arc::clone(session), is_over: false };
        let (connection, home) = (Arc::clone(self), home.clone());
        // Where there is no room, the turn ends with the errand: the level is told with the next request.
        self.run_errand(LEVELS_TIME, async move { connection.tell_levels(&home, turn, level).await });
    }

    /// Tells the server a level, and then what else is wanted by the time it knows.
    async fn tell_levels(self: &Arc<Self>, home: &Home, mut turn: Turn, first: LogLevel) {
        let mut level = Some(first);
        while let Some(telling) = level {
            let outcome = self.tell_level(home, telling).await;
            level = turn.next(outcome);
        }
    }

    async fn tell_level(self: &Arc<Self>, home: &Home, level: LogLevel) -> Outcome {
        let params = format!(r#"{{"level":"{}"}}"#, level.name());
        let asking = self.ask(home, "logging/setLevel", params.as_bytes());
        match timeout(LEVEL_TIME, asking).await {
            Ok(Err(CallError::Unavailable { .. })) => Outcome::NotTold,
            Ok(Err(CallError::Lost { .. })) => Outcome::Unknown,
            // A server that does not want to know it, or says nothing, is not told again.
            Ok(Ok(_) | Err(_)) | Err(_) => Outcome::Told,
        }
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

/// The turn to tell the server levels in a session. Dropped before all are told, they will be told another time.
struct Turn {
    session: Arc<Session>,
    /// Whether nothing was left to be told; somebody else may have the next turn already.
    is_over: bool,
}

impl Turn {
    fn next(&mut self, outcome: Outcome) -> Option<LogLevel> {
        let session = &self.session;
        let level = session.telling.as_ref()?.next(outcome, || session.audience.level());
        self.is_over = level.is_none();
        level
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let (false, Some(telling)) = (self.is_over, &self.session.telling) {
            telling.give_up();
        }
    }
}

/// Waits until the server is not just being told a level, for a bounded time.
async fn knows_level(session: &Session) {
    if let Some(telling) = &session.telling {
        let _ = timeout(LEVEL_TIME, telling.settled()).await;
    }
}

/// Waits until the session's stream is read, for a bounded time, and but once.
async fn is_followed(session: &Session) {
    if timeout(STREAM_WAIT, session.audience.followed()).await.is_err() {
        session.audience.wait_no_more();
    }
}

/// Tells whether there is a level that the server ought to know and does not.
fn is_untold(session: &Session) -> bool {
    let wanted = session.audience.level();
    wanted.is_some() && session.telling.as_ref().is_some_and(|telling| telling.known() != wanted)
}

//! What is done in the background beside calls: telling a server something, reading a stream to its end, ending
//! sessions. All of it is bounded in number and time, and none of it is worth a retry.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{HttpConnection, session::Home};

/// Errands at one server at once. What finds no room is not done: the server misses a courtesy.
pub(super) const MAX_ERRANDS: usize = 128;
/// How often it is looked whether sessions and streams are still needed.
const TIDY_PERIOD: Duration = Duration::from_secs(2);
/// How long an errand may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a stream may take to end after its last message.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// How much may come after a stream's last message.
const MAX_DRAINED_BYTES: usize = 64 * 1024;
/// How long ending all sessions may take.
const FAREWELL_TIME: Duration = Duration::from_secs(2);
/// Sessions that are ended at once.
const FAREWELLS_AT_ONCE: usize = 16;

/// What became of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Begun,
    /// There are as many as there may be.
    NoRoom,
    /// The whole gateway goes down.
    TooLate,
}

impl HttpConnection {
    /// Sends a message that wants no answer, in the background. What finds no room is counted as dropped.
    pub(super) fn tell_later(self: &Arc<Self>, home: Home, message: Bytes) {
        let connection = Arc::clone(self);
        let fate = self.run_errand(PATIENCE, async move {
            // Who cannot be told is gone, and will not act on it.
            let _ = connection.tell(&home, message).await;
        });
        if fate == Fate::NoRoom {
            self.counters.dropped_notifications.add_one();
        }
    }

    /// Reads a stream to its end, so that its connection can be used again.
    pub(super) fn drain(&self, mut body: Incoming) {
        if body.is_end_stream() {
            return;
        }
        self.run_errand(DRAIN_TIME, async move {
            let mut drained = 0;
            while let (true, Some(Ok(frame))) = (drained < MAX_DRAINED_BYTES, body.frame().await) {
                drained += frame.data_ref().map_or(0, Bytes::len);
            }
        });
    }

    /// Ends sessions in the background.
    pub(super) fn end_later(self: &Arc<Self>, homes: Vec<Home>) {
        if !homes.is_empty() {
            let connection = Arc::clone(self);
            self.run_errand(PATIENCE, async move { connection.end_all(homes).await });
        }
    }

    /// Ends sessions that have a name, within a bounded time.
    pub(super) async fn end_all(self: &Arc<Self>, homes: Vec<Home>) {
        let named = homes.into_iter().filter(|home| home.session.id.is_some());
        let farewells = stream::iter(named).for_each_concurrent(FAREWELLS_AT_ONCE, |home| async move {
            // A server may refuse this (405), and ends the session in its own time.
            let _ = self.end(&home).await;
        });
        let _ = tokio::time::timeout(FAREWELL_TIME, farewells).await;
    }

    /// Ends sessions that nobody uses any more, and streams that are read for nobody, until the connection is closed. If
    /// this task died, they would stay open at the server until then.
    pub(super) async fn tidy(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TIDY_PERIOD);
        while self.closing.run_until_cancelled(ticks.tick()).await.is_some() {
            self.end_all(self.sessions.take_idle(Instant::now())).await;
        }
    }

    /// Runs something in the background if there is room for it, until the connection is closed. Outside a runtime, or
    /// in one that ends, it is not done. An errand that dies leaves nothing behind.
    pub(super) fn run_errand(
        &self,
        patience: Duration,
        errand: impl Future<Output = ()> + Send + 'static,
    ) -> Fate {
        let Ok(room) = Arc::clone(&self.errands).try_acquire_owned() else { return Fate::NoRoom };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Fate::TooLate };
        let closing = self.closing.clone();
        let errand = async move {
            let _ = closing.run_until_cancelled(tokio::time::timeout(patience, errand)).await;
            drop(room);
        };
        self.tasks.spawn_on(errand, &runtime);
        Fate::Begun
    }
}

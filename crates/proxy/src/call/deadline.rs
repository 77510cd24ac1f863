//! How long a call may take: silence is bounded, progress gives more time, and nothing goes on for ever.

use std::{pin::Pin, time::Duration};

use domain::ServerId;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;

/// Longest time a call may take, whatever progress it reports.
pub(crate) const HARD_LIMIT: Duration = Duration::from_secs(600);

/// How long a call may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    idle: Duration,
    most: Duration,
    until: Instant,
    hard: Instant,
}

impl Deadline {
    /// `idle` is how long an upstream may be silent; `time` is the caller's own limit, which progress does not extend.
    pub(super) fn new(idle: Duration, time: Option<Duration>) -> Self {
        let now = Instant::now();
        let most = time.map_or(HARD_LIMIT, |time| time.min(HARD_LIMIT));
        Self { idle, most, until: now + idle.min(most), hard: now + most }
    }

    /// Starts the time anew, within the hard limit.
    pub(super) fn extend(&mut self) {
        self.until = (Instant::now() + self.idle).min(self.hard);
    }

    /// Leaves only the hard limit, until the next event.
    pub(super) fn suspend(&mut self) {
        self.until = self.hard;
    }

    /// Waits for `work` until the time is over or the gateway gives up its running calls. It takes a pinned future,
    /// because futures passed by value are copied into each layer around them.
    pub(super) async fn bound<T>(
        &self,
        server: &ServerId,
        over: &CancellationToken,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = timeout_at(self.until, work) => done.map_err(|_| self.expired(server)),
            () = over.cancelled() => Err(Failure::ShuttingDown),
        }
    }

    fn expired(&self, server: &ServerId) -> Failure {
        let limit = if self.until == self.hard { self.most } else { self.idle };
        Failure::Timeout { server: server.clone(), limit_ms: limit.as_millis() as u64 }
    }
}

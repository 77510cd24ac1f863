//! When a server is listed again: soon after it said that something changed, not more often than once a second, never
//! twice at a time, and once more if it said so meanwhile.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::backoff::random_fraction;

/// Least time between the beginnings of two listings.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Changes that come together (tools, prompts, resources) are one change.
const GATHER: Duration = Duration::from_millis(20);
/// Least time until a listing that its server calls short-lived is asked for again.
const STALE_PAUSE: Duration = Duration::from_secs(30);
/// When a listing that failed is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// The listing that is due or under way. `T` is what a listing brings.
pub(crate) struct Refresh<'a, T> {
    due: Option<Instant>,
    running: Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
    last_begin: Instant,
}

impl<'a, T> Refresh<'a, T> {
    /// Starts right after a listing.
    pub(crate) fn new() -> Self {
        Self { due: None, running: None, last_begin: Instant::now() }
    }

    /// Notes that the listing is out of date.
    pub(crate) fn ask(&mut self) {
        self.due_by((Instant::now() + GATHER).max(self.last_begin + LEAST_PAUSE));
    }

    /// Notes that the listing stays as it is until then, as its server said (SEP-2549). It is not asked for more often
    /// than so, and not in step with others.
    pub(crate) fn ask_when_stale(&mut self, until: Option<std::time::Instant>) {
        if let Some(until) = until {
            let at = Instant::from_std(until).max(Instant::now() + STALE_PAUSE);
            self.due_by(at + STALE_PAUSE.mul_f64(random_fraction() / 5.0));
        }
    }

    /// Notes that the listing could not be had.
    pub(crate) fn ask_later(&mut self) {
        self.due_by(Instant::now() + RETRY);
    }

    fn due_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Waits for the end of the next listing, which `begin` begins when it is due. Cancel safe; waits for ever when
    /// none was asked for.
    pub(crate) async fn next<F>(&mut self, begin: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'a,
    {
        if self.running.is_none() {
            match self.due {
                None => std::future::pending().await,
                Some(due) => sleep_until(due).await,
            }
            self.due = None;
            self.last_begin = Instant::now();
        }
        let listed = self.running.get_or_insert_with(|| Box::pin(begin())).await;
        self.running = None;
        listed
    }
}

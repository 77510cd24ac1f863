//! Brings written lines to the disk. One thread syncs for everybody who waits (group commit): whoever comes while a
//! sync runs shares the next one, so nobody waits for a timer, and nobody holds the journal's lock meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::{Counters, counters::count, medium::Medium};

/// Time between a failed sync and the next try.
const RETRY: Duration = Duration::from_millis(250);

/// The disk did not confirm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SyncFailed;

/// The disk confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the trail says when the disk confirms again"]
pub(crate) enum Confirmed {
    /// It did the last time, too.
    AsBefore,
    /// The first time after it did not. The kernel may have given up what it could not bring to the disk, and counts it as
    /// clean since.
    Again,
}

/// The door to the syncing thread.
#[derive(Debug)]
pub(crate) struct Syncer {
    medium: Arc<dyn Medium>,
    counters: Arc<Counters>,
    requests: Mutex<Requests>,
    asked: Condvar,
    /// The last sync failed. Calls are refused until one succeeds.
    is_broken: AtomicBool,
}

#[derive(Debug, Default)]
struct Requests {
    /// As many as there are durable calls waiting; the listeners bound those.
    waiters: Vec<oneshot::Sender<Result<(), SyncFailed>>>,
    is_due: bool,
    is_closed: bool,
}

// === impl Syncer ===

impl Syncer {
    pub(crate) fn new(medium: Arc<dyn Medium>, counters: Arc<Counters>) -> Self {
        Self {
            medium,
            counters,
            requests: Mutex::default(),
            asked: Condvar::new(),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Asks for a sync of everything written so far; does not wait for it.
    pub(crate) fn request(&self) {
        self.requests.lock().is_due = true;
        self.asked.notify_one();
    }

    /// Waits until everything written so far is on the disk. Cancel safe.
    pub(crate) async fn confirmed(&self) -> Result<(), SyncFailed> {
        let (told, confirmation) = oneshot::channel();
        {
            let mut requests = self.requests.lock();
            if requests.is_closed {
                return Err(SyncFailed);
            }
            requests.waiters.push(told);
        }
        self.asked.notify_one();
        confirmation.await.unwrap_or(Err(SyncFailed))
    }

    /// Syncs on the calling thread.
    pub(crate) fn sync(&self) -> Result<Confirmed, SyncFailed> {
        let started = Instant::now();
        let synced = self.medium.sync();
        let was_broken = self.is_broken.swap(synced.is_err(), Ordering::AcqRel);
        match synced {
            Ok(()) => {
                self.counters.synced(started.elapsed());
                Ok(if was_broken { Confirmed::Again } else { Confirmed::AsBefore })
            }
            Err(error) => {
                count(&self.counters.sync_failures);
                if !was_broken {
                    tracing::error!(%error, "audit file cannot be synced to the disk");
                }
                Err(SyncFailed)
            }
        }
    }

    /// Tells whether the last sync failed.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// Ends the thread after what was asked for so far.
    pub(crate) fn close(&self) {
        self.requests.lock().is_closed = true;
        self.asked.notify_one();
    }

    /// The thread's life. `recovered` is called when the disk confirms again.
    pub(crate) fn run(&self, recovered: impl Fn()) {
        while let Some(waiters) = self.next_group() {
            // Every waiter wrote its line before it asked, so this sync covers the whole group.
            let synced = self.sync();
            if synced.is_ok_and(|confirmed| confirmed == Confirmed::Again) {
                recovered();
            }
            for waiter in waiters {
                // A waiter that is gone was cancelled; its call sees to its own end line.
                let _gone = waiter.send(synced.map(drop));
            }
        }
    }

    fn next_group(&self) -> Option<Vec<oneshot::Sender<Result<(), SyncFailed>>>> {
        let mut requests = self.requests.lock();
        while requests.waiters.is_empty() && !requests.is_due {
            if requests.is_closed {
                return None;
            }
            if !self.is_broken() {
                self.asked.wait(&mut requests);
            } else if self.asked.wait_for(&mut requests, RETRY).timed_out() {
                requests.is_due = true;
            }
        }
        requests.is_due = false;
        Some(std::mem::take(&mut requests.waiters))
    }
}

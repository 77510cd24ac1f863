//! The standing streams of one client. There may be several; each message goes to exactly one of them, the newest
//! (the specification forbids to tell two streams the same). When that one goes, the one before it takes its place.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use domain::Principal;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Session;
use crate::{
    Proxy,
    admission::Viewpoint,
    changes::Changes,
    standing::{self, Telling},
};

/// Who listens.
#[derive(Default)]
pub(crate) struct Listeners {
    turns: Mutex<Turns>,
    changed: Notify,
}

#[derive(Default)]
struct Turns {
    /// The streams that are open, the newest last.
    open: Vec<u64>,
    last: u64,
    /// What the client was told of the changing world, as this principal may see it. It stays when the streams go, so
    /// that one that comes back hears what changed meanwhile.
    told: Option<(Arc<Principal>, Box<Changes>)>,
}

/// One standing stream.
pub(crate) struct Listener {
    session: Arc<Session>,
    viewpoint: Viewpoint,
    number: u64,
    /// A copy of what the client was told, from the moment that this is the newest.
    changes: Option<Box<Changes>>,
}

impl Listeners {
    /// Tells whether there is a standing stream.
    pub(super) fn has_any(&self) -> bool {
        !self.turns.lock().open.is_empty()
    }

    pub(super) fn enter(&self) -> u64 {
        let mut turns = self.turns.lock();
        turns.last += 1;
        let number = turns.last;
        turns.open.push(number);
        drop(turns);
        self.changed.notify_waiters();
        number
    }

    fn leave(&self, number: u64) {
        let mut turns = self.turns.lock();
        turns.open.retain(|open| *open != number);
        turns.open.shrink_to_fit();
        drop(turns);
        self.changed.notify_waiters();
    }

    /// Waits until this stream is the newest; returns what the client was told until then.
    async fn turn(&self, proxy: &Proxy, number: u64, viewpoint: &Viewpoint) -> Box<Changes> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut turns = self.turns.lock();
                if turns.is_newest(number) {
                    return turns.told(proxy, viewpoint);
                }
            }
            changed.await;
        }
    }

    /// Notes what the client is told now; tells whether this stream is the one to do it.
    fn tell(&self, number: u64, changes: &Changes) -> bool {
        let mut turns = self.turns.lock();
        let is_newest = turns.is_newest(number);
        if let Some((_, told)) = turns.told.as_mut().filter(|_| is_newest) {
            (**told).clone_from(changes);
        }
        is_newest
    }

    /// Completes when there is a newer stream.
    async fn superseded(&self, number: u64) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if !self.turns.lock().is_newest(number) {
                return;
            }
            changed.await;
        }
    }
}

impl Turns {
    fn is_newest(&self, number: u64) -> bool {
        self.open.last() == Some(&number)
    }

    /// Returns what the client was told. Who may see other things than before starts with the world in force.
    fn told(&mut self, proxy: &Proxy, viewpoint: &Viewpoint) -> Box<Changes> {
        let principal = viewpoint.caller.principal();
        match &mut self.told {
            Some((before, told)) if before == principal => {
                // It may have come with another secret by now.
                told.look_from(viewpoint);
                told.clone()
            }
            Some(_) | None => {
                let changes = Box::new(Changes::new(proxy, viewpoint.clone()));
                self.told = Some((Arc::clone(principal), changes.clone()));
                changes
            }
        }
    }
}

impl Listener {
    /// Opens a standing stream, which is the newest now.
    pub(crate) fn new(session: Arc<Session>, viewpoint: Viewpoint) -> Self {
        session.looks_from(&viewpoint);
        let number = session.listeners.enter();
        Self { session, viewpoint, number, changes: None }
    }

    /// Returns the session that is served.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits for the next messages of this stream, as JSON-RPC texts. Cancel safe.
    pub(crate) async fn next(&mut self, proxy: &Proxy) -> Vec<Bytes> {
        loop {
            let listeners = &self.session.listeners;
            let changes = match &mut self.changes {
                Some(changes) => changes,
                none => none.insert(listeners.turn(proxy, self.number, &self.viewpoint).await),
            };
            tokio::select! {
                biased;
                () = listeners.superseded(self.number) => {}
                telling = standing::next(proxy, &self.viewpoint, &self.session, changes) => {
                    let is_told = match &telling {
                        Telling::Changed(_) => listeners.tell(self.number, changes),
                        Telling::Message(_) => true,
                    };
                    if is_told {
                        return telling.into_messages();
                    }
                }
            }
            self.changes = None;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.session.listeners.leave(self.number);
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("open", &self.turns.lock().open).finish_non_exhaustive()
    }
}

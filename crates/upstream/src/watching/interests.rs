//! One server's side: which resources and tasks are watched, by whom, and how far the server has come in telling of
//! each. Whoever keeps up the subscriptions of a connection holds the [`Tenure`] and works through what is due. The table
//! itself is in `table`.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::ServerId;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    WatchError,
    ears::Watched,
    table::{Entry, Table},
    topic::{Kind, Topic},
};

/// Resources and tasks of one server that may be watched at once, over all watchers. A server is asked for each again
/// when its connection is.
const MAX_TOPICS: usize = 4_096;
/// How many resources above a changed one are looked for: deeper paths are not watched by their beginnings.
const MAX_ANCESTORS: usize = 64;
/// When a server is asked again for what it told of once, and then refused.
const RETRY: Duration = Duration::from_secs(60);

/// What is watched of one server.
#[derive(Debug)]
pub(crate) struct Interests {
    server: ServerId,
    table: Mutex<Table>,
    /// Signalled when something may be due. Each tenure hears of it, also the last one beside one that is ending.
    stirred: watch::Sender<()>,
}

/// How far a server has come with a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is to be asked.
    Wanted,
    /// It was asked.
    Asked,
    /// It tells.
    Held,
    /// It was told that nobody wants to hear of it any more.
    Leaving,
    /// It does not tell.
    Refused(WatchError),
}

/// Something to ask of a legacy server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To tell of a resource.
    Subscribe(Arc<str>),
    /// To stop that.
    Unsubscribe(Arc<str>),
}

/// The right to say what a server tells of, for as long as a connection lives. Dropped, nothing is held any more.
pub(crate) struct Tenure {
    interests: Arc<Interests>,
    term: u64,
    stirred: watch::Receiver<()>,
    /// When what is deaf is asked for again. Kept here, so that comers and goers do not put it off.
    retry_at: Option<Instant>,
}

// === impl Interests ===

impl Interests {
    pub(super) fn new(server: ServerId) -> Self {
        Self { server, table: Mutex::default(), stirred: watch::Sender::new(()) }
    }

    /// Returns whose these are.
    pub(super) const fn server(&self) -> &ServerId {
        &self.server
    }

    /// Returns how far the server has come with `topic`, if it is watched.
    #[cfg(test)]
    pub(super) fn phase_of(&self, topic: &Topic) -> Option<watch::Receiver<Phase>> {
        self.table.lock().topics.get(topic).map(|entry| entry.phase.subscribe())
    }

    /// Returns how far the server has come with `topic`, if it is watched, for somebody who watches it and asks anew:
    /// after a refusal the server is asked again.
    pub(super) fn rejoin(&self, topic: &Topic) -> Option<watch::Receiver<Phase>> {
        let phase = self.table.lock().ask(topic)?;
        self.stirred.send_replace(());
        Some(phase)
    }

    /// Adds one who watches; returns how far the server has come. Somebody who comes after a refusal has the server
    /// asked again.
    ///
    /// # Errors
    /// [`WatchError::ServerFull`].
    pub(super) fn enter(&self, watched: &Arc<Watched>) -> Result<watch::Receiver<Phase>, WatchError> {
        let mut table = self.table.lock();
        let topic = watched.topic();
        let full = || WatchError::ServerFull { server: self.server.clone(), limit: MAX_TOPICS };
        if table.topics.len() >= MAX_TOPICS && table.topics.get(topic).is_none() {
            return Err(full());
        }
        let entries = table.topics.of_mut(topic.kind);
        let entry = entries.entry(Arc::clone(&topic.name)).or_insert_with(Entry::new);
        Arc::make_mut(&mut entry.watchers).push(Arc::clone(watched));
        let phase = table.ask(topic).ok_or_else(full)?;
        drop(table);
        self.stirred.send_replace(());
        Ok(phase)
    }

    /// Takes out one who watched.
    pub(super) fn leave(&self, watched: &Arc<Watched>) {
        let mut table = self.table.lock();
        let topic = watched.topic();
        let Some(entry) = table.topics.get_mut(topic) else { return };
        Arc::make_mut(&mut entry.watchers).retain(|other| !Arc::ptr_eq(other, watched));
        if !entry.watchers.is_empty() {
            return;
        }
        let phase = entry.phase.borrow().clone();
        match phase {
            Phase::Wanted | Phase::Refused(_) => table.forget(topic),
            Phase::Held => {
                table.due.insert(topic.clone());
            }
            // The answer settles it.
            Phase::Asked | Phase::Leaving => {}
        }
        drop(table);
        self.stirred.send_replace(());
    }

    /// Notes that the server says `uri` has changed. Never waits, and costs the same however many changes wait.
    ///
    /// Told are those who watch it, and those who watch what it is a part of: the watched URI is its beginning, up to a
    /// `/`, `?` or `#` (specification, resources: an update may name a sub-resource).
    pub(crate) fn updated(&self, uri: &str) {
        let mut told = Vec::new();
        {
            let table = self.table.lock();
            if table.topics.of(Kind::Resource).is_empty() {
                return;
            }
            told.extend(table.watchers(Kind::Resource, uri).map(|watchers| (watchers, None)));
            let mut part: Option<Arc<str>> = None;
            for whole in ancestors(uri).take(MAX_ANCESTORS) {
                if let Some(watchers) = table.watchers(Kind::Resource, whole) {
                    let part = part.get_or_insert_with(|| Arc::from(uri));
                    told.push((watchers, Some(Arc::clone(part))));
                }
            }
        }
        for (watchers, part) in told {
            watchers.iter().for_each(|watched| watched.tell(part.as_ref()));
        }
    }

    /// Notes what the server says about the state of the task `id`: the parameters of its notification, as they came.
    /// Never waits.
    pub(crate) fn task_changed(&self, id: &str, params: &Bytes) {
        let watchers = self.table.lock().watchers(Kind::Task, id);
        // A copy: what came may be a piece of something larger, and waits until it is read.
        let params = watchers.is_some().then(|| Bytes::copy_from_slice(params));
        for (watched, params) in
            watchers.iter().flat_map(|watchers| watchers.iter()).zip(params.iter().cycle())
        {
            watched.tell_state(params);
        }
    }

    /// Notes that any resource may have changed, because the server could not be heard. Of tasks nothing is said:
    /// whoever waits for one asks for its state in any case.
    pub(crate) fn all_updated(&self) {
        let held: Vec<_> = {
            let table = self.table.lock();
            let held = table.topics.of(Kind::Resource).values().filter(|entry| entry.was_held());
            held.map(|entry| Arc::clone(&entry.watchers)).collect()
        };
        for watched in held.iter().flat_map(|watchers| watchers.iter()) {
            watched.tell(None);
        }
    }

    /// Has the server asked again for what it told of once, and then refused.
    fn retry(&self) {
        let mut table = self.table.lock();
        let Table { topics, due, .. } = &mut *table;
        for (topic, entry) in topics.iter().filter(|(_, entry)| entry.is_deaf()) {
            entry.ask_again();
            due.insert(topic);
        }
    }

    /// Takes over from whoever had the tenure before: nothing is held, everything is wanted.
    pub(crate) fn begin(self: Arc<Self>) -> Tenure {
        let stirred = self.stirred.subscribe();
        let term = self.table.lock().start_over();
        Tenure { interests: self, term, stirred, retry_at: None }
    }
}

// === impl Tenure ===

impl Tenure {
    /// Returns whose these are.
    pub(crate) fn server(&self) -> &ServerId {
        &self.interests.server
    }

    /// Waits until something may be due: somebody came or went, or it is time to ask again for what was refused.
    /// Cancel safe.
    pub(crate) async fn stirred(&mut self) {
        let is_deaf = self.interests.table.lock().topics.iter().any(|(_, entry)| entry.is_deaf());
        let retry_at = is_deaf.then(|| self.retry_at.unwrap_or_else(|| Instant::now() + RETRY));
        self.retry_at = retry_at;
        let is_time = async {
            match retry_at {
                // A timer may be late by a moment, and those who come in that moment would begin it anew.
                Some(at) if Instant::now() >= at => {}
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = is_time => {
                self.retry_at = None;
                self.interests.retry();
            }
            // The sender lives in `interests`, so waiting cannot fail.
            _ = self.stirred.changed() => {}
        }
    }

    /// Starts over, because the server has forgotten what it was asked.
    pub(crate) fn start_over(&mut self) {
        let mut table = self.interests.table.lock();
        if table.term == self.term {
            self.term = table.start_over();
        }
    }

    /// Starts over, because the server has forgotten what it told of. What it refused it need not be asked again now.
    pub(crate) fn start_over_unrefused(&mut self) {
        let mut table = self.interests.table.lock();
        if table.term == self.term {
            self.term = table.start_over_unrefused();
        }
    }

    /// Returns the number of the beginning that answers must belong to.
    pub(crate) const fn term(&self) -> u64 {
        self.term
    }

    /// Takes the next thing to ask of a legacy server, which tells of resources alone.
    pub(crate) fn next_errand(&self) -> Option<Errand> {
        let mut table = self.current()?;
        loop {
            let topic = table.due.pop_first()?;
            let Some(entry) = table.topics.get(&topic) else { continue };
            let (phase, is_watched) = (entry.phase.borrow().clone(), !entry.watchers.is_empty());
            match (phase, is_watched, topic.kind) {
                (Phase::Wanted, true, Kind::Resource) => {
                    entry.phase.send_replace(Phase::Asked);
                    return Some(Errand::Subscribe(topic.name));
                }
                (Phase::Wanted, true, Kind::Task) => {
                    let unsupported = WatchError::Unsupported(self.server().clone());
                    table.settle(&topic, Phase::Refused(unsupported));
                }
                (Phase::Held, false, Kind::Resource) => {
                    entry.phase.send_replace(Phase::Leaving);
                    return Some(Errand::Unsubscribe(topic.name));
                }
                (Phase::Wanted | Phase::Refused(_), false, _) | (Phase::Held, false, Kind::Task) => {
                    table.forget(&topic);
                }
                (Phase::Held | Phase::Refused(_), true, _) | (Phase::Asked | Phase::Leaving, _, _) => {}
            }
        }
    }

    /// Returns everything that a modern server is to be asked for, in order: what is watched and was not refused.
    /// Nothing is due then.
    pub(crate) fn claim(&self) -> Vec<Topic> {
        let Some(mut table) = self.current() else { return Vec::new() };
        table.due.clear();
        table.topics.drop_unwatched();
        let mut claimed = Vec::new();
        for (topic, entry) in table.topics.iter() {
            let phase = entry.phase.borrow().clone();
            match phase {
                Phase::Wanted => {
                    entry.phase.send_replace(Phase::Asked);
                    claimed.push(topic);
                }
                Phase::Asked | Phase::Held | Phase::Leaving => claimed.push(topic),
                Phase::Refused(_) => {}
            }
        }
        claimed.sort_unstable();
        claimed
    }

    /// Notes what the server said about a topic, asked in the beginning `term`. Where it tells again of a resource that
    /// it told of before, watchers hear of it once: it may have changed in between.
    pub(crate) fn settle(&self, term: u64, topic: &Topic, phase: Phase) {
        let told = {
            let mut table = self.interests.table.lock();
            if table.term != term {
                return;
            }
            table.settle(topic, phase)
        };
        for watched in told.iter().flat_map(|watchers| watchers.iter()) {
            watched.tell(None);
        }
        self.interests.stirred.send_replace(());
    }

    /// Returns those of `topics` that were asked for and not agreed to before.
    pub(crate) fn asked_of<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) -> Vec<Topic> {
        let Some(table) = self.current() else { return Vec::new() };
        let is_asked = |entry: &Entry| *entry.phase.borrow() == Phase::Asked;
        let asked = topics.into_iter().filter(|topic| table.topics.get(topic).is_some_and(is_asked));
        asked.cloned().collect()
    }

    /// Notes what became of those of `topics` that were asked for and not agreed to before.
    pub(crate) fn settle_asked<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>, phase: &Phase) {
        for topic in self.asked_of(topics) {
            self.settle(self.term, &topic, phase.clone());
        }
    }

    fn current(&self) -> Option<parking_lot::MutexGuard<'_, Table>> {
        let table = self.interests.table.lock();
        (table.term == self.term).then_some(table)
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.start_over();
    }
}

/// Returns the beginnings of a URI that it may be a part of, the longest first: up to each `/`, `?` and `#`, with that
/// and without.
fn ancestors(uri: &str) -> impl Iterator<Item = &str> {
    let ends = uri.char_indices().rev().filter(|(_, character)| matches!(character, '/' | '?' | '#'));
    let beginnings = ends.flat_map(|(at, _)| [&uri[..=at], &uri[..at]]);
    beginnings.filter(move |beginning| beginning.len() < uri.len())
}

#[cfg(test)]
mod tests;

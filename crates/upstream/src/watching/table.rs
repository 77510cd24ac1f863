//! The table behind `interests`: each watched topic with those who watch it, and what is due. All of it is done under
//! the table's lock and never waits; who is to be told is returned, and told without the lock.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::sync::watch;

use super::{
    ears::Watched,
    interests::Phase,
    topic::{Kind, Topic},
};

/// Those who watch one topic. Copied when it changes, so that they are told without the table's lock.
pub(super) type Watchers = Arc<Vec<Arc<Watched>>>;

type Entries = HashMap<Arc<str>, Entry>;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) topics: Topics,
    /// What the holder of the tenure has to look at; each is watched, or was and is still held.
    pub(super) due: BTreeSet<Topic>,
    /// Counts tenures and their new beginnings: what was asked in an earlier one is not answered in this.
    pub(super) term: u64,
}

/// What is watched, by kind: what has changed is looked up by its name as it was read.
#[derive(Debug, Default)]
pub(super) struct Topics {
    resources: Entries,
    tasks: Entries,
}

/// One topic.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) watchers: Watchers,
    pub(super) phase: watch::Sender<Phase>,
    /// The server has told of this resource before: it may have changed while it did not. Never set for a task: its
    /// watchers ask for its state themselves.
    was_held: bool,
}

// === impl Topics ===

impl Topics {
    pub(super) const fn of(&self, kind: Kind) -> &Entries {
        match kind {
            Kind::Resource => &self.resources,
            Kind::Task => &self.tasks,
        }
    }

    pub(super) const fn of_mut(&mut self, kind: Kind) -> &mut Entries {
        match kind {
            Kind::Resource => &mut self.resources,
            Kind::Task => &mut self.tasks,
        }
    }

    pub(super) fn get(&self, topic: &Topic) -> Option<&Entry> {
        self.of(topic.kind).get(&topic.name)
    }

    pub(super) fn get_mut(&mut self, topic: &Topic) -> Option<&mut Entry> {
        self.of_mut(topic.kind).get_mut(&topic.name)
    }

    /// Returns how much is watched.
    pub(super) fn len(&self) -> usize {
        self.resources.len() + self.tasks.len()
    }

    /// Goes through everything, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Topic, &Entry)> {
        let of = |kind| {
            let entries = self.of(kind).iter();
            entries.map(move |(name, entry)| (Topic { kind, name: Arc::clone(name) }, entry))
        };
        of(Kind::Resource).chain(of(Kind::Task))
    }

    /// Takes out what nobody watches.
    pub(super) fn drop_unwatched(&mut self) {
        for kind in [Kind::Resource, Kind::Task] {
            self.of_mut(kind).retain(|_, entry| !entry.watchers.is_empty());
        }
    }
}

// === impl Table ===

impl Table {
    /// Returns who watches something of this name.
    pub(super) fn watchers(&self, kind: Kind, name: &str) -> Option<Watchers> {
        self.topics.of(kind).get(name).map(|entry| Arc::clone(&entry.watchers))
    }

    /// Has the server asked for `topic`, again if it has refused; returns how far it has come. `None` when it is not
    /// watched.
    pub(super) fn ask(&mut self, topic: &Topic) -> Option<watch::Receiver<Phase>> {
        let entry = self.topics.get(topic)?;
        entry.ask_again();
        if *entry.phase.borrow() == Phase::Wanted {
            self.due.insert(topic.clone());
        }
        Some(entry.phase.subscribe())
    }

    pub(super) fn forget(&mut self, topic: &Topic) {
        self.topics.of_mut(topic.kind).remove(&topic.name);
        self.due.remove(topic);
    }

    /// Begins anew: nothing is held, everything that is watched is wanted. Returns the new term.
    pub(super) fn start_over(&mut self) -> u64 {
        self.topics.iter().for_each(|(_, entry)| entry.ask_again());
        self.start_over_unrefused()
    }

    /// Begins anew, save that what was refused stays so. Returns the new term.
    pub(super) fn start_over_unrefused(&mut self) -> u64 {
        self.topics.drop_unwatched();
        let is_refused = |entry: &Entry| matches!(*entry.phase.borrow(), Phase::Refused(_));
        let asked = self.topics.iter().filter(|(_, entry)| !is_refused(entry));
        self.due = asked
            .map(|(topic, entry)| {
                entry.phase.send_replace(Phase::Wanted);
                topic
            })
            .collect();
        self.term += 1;
        self.term
    }

    /// Notes what a server said about a topic; returns those who are to be told that it may have changed.
    pub(super) fn settle(&mut self, topic: &Topic, phase: Phase) -> Option<Watchers> {
        let entry = self.topics.get_mut(topic)?;
        let is_new = *entry.phase.borrow() != phase;
        let is_heard_again = phase == Phase::Held && is_new && topic.kind == Kind::Resource;
        let missed = is_heard_again && std::mem::replace(&mut entry.was_held, true);
        let watchers = Arc::clone(&entry.watchers);
        if is_new {
            entry.phase.send_replace(phase.clone());
        }
        match (phase, watchers.is_empty()) {
            (Phase::Wanted | Phase::Refused(_), true) => self.forget(topic),
            (Phase::Wanted, false) | (Phase::Held, true) => {
                self.due.insert(topic.clone());
            }
            (Phase::Held | Phase::Refused(_), false) | (Phase::Asked | Phase::Leaving, _) => {}
        }
        missed.then_some(watchers)
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn new() -> Self {
        Self { watchers: Arc::default(), phase: watch::Sender::new(Phase::Wanted), was_held: false }
    }

    /// Makes a refusal undone.
    pub(super) fn ask_again(&self) {
        if matches!(*self.phase.borrow(), Phase::Refused(_)) {
            self.phase.send_replace(Phase::Wanted);
        }
    }

    /// Tells whether its server has told of it.
    pub(super) const fn was_held(&self) -> bool {
        self.was_held
    }

    /// Tells whether somebody hears nothing any more of what was told before.
    pub(super) fn is_deaf(&self) -> bool {
        self.was_held && matches!(*self.phase.borrow(), Phase::Refused(_))
    }
}

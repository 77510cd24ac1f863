//! One watcher's side: what it watches, and what it is to be told. Each watched topic waits at most once, so a storm
//! of changes and a reader that does not read cost no more than a quiet day. Of a task waits its newest state.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use bytes::Bytes;
use domain::ServerId;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{
    MAX_WATCHED, Update, Updated, WatchError,
    interests::{Interests, Phase},
    topic::{Kind, Topic},
};

/// Bytes of tasks' states that may wait for one watcher. A state holds the whole result once there is one; what finds
/// no room is not told, and the watcher learns it where it learns what was said before it listened: by asking.
const MAX_STATE_BYTES: usize = 1024 * 1024;

type Key = (ServerId, Topic);

/// What one watcher watches and waits for.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    heard: Mutex<Heard>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    watched: HashMap<Key, Arc<Watched>>,
    waiting: VecDeque<Arc<Watched>>,
    /// The states that wait, together.
    state_bytes: usize,
}

/// One topic as one watcher watches it. The server's table and the watcher both hold it.
#[derive(Debug)]
pub(crate) struct Watched {
    interests: Arc<Interests>,
    topic: Topic,
    ears: Weak<Ears>,
    /// What it waits in the queue with. Once it does, a storm comes no further than this.
    change: Mutex<Change>,
}

/// What has changed of a topic since its watcher was told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Change {
    #[default]
    Nothing,
    /// One part of it, with a URI of its own.
    Part(Arc<str>),
    /// All of it, or more than one part.
    Whole,
    /// A task, whose server said this of it last.
    State(Bytes),
}

/// A topic that was entered and is left again unless it is kept.
pub(crate) struct Entered {
    watched: Arc<Watched>,
    phase: watch::Receiver<Phase>,
    is_kept: bool,
}

// === impl Ears ===

impl Ears {
    /// Returns how much is watched.
    pub(super) fn len(&self) -> usize {
        self.heard.lock().watched.len()
    }

    /// Stops watching the resource `uri` at `server`, or wherever it is; returns whose resource it was.
    pub(super) fn leave(&self, server: Option<&ServerId>, uri: &str) -> Vec<ServerId> {
        let is_meant = |(owner, topic): &Key| {
            topic.kind == Kind::Resource && &*topic.name == uri && server.is_none_or(|only| only == owner)
        };
        let mut heard = self.heard.lock();
        let left: Vec<_> = heard.watched.extract_if(|key, _| is_meant(key)).collect();
        heard.waiting.retain(|waiting| !left.iter().any(|(_, watched)| Arc::ptr_eq(watched, waiting)));
        drop(heard);
        left.into_iter()
            .map(|((server, _), watched)| {
                watched.interests.leave(&watched);
                server
            })
            .collect()
    }

    /// Stops watching altogether.
    pub(super) fn leave_all(&self) {
        let Heard { watched, waiting, .. } = std::mem::take(&mut *self.heard.lock());
        drop(waiting);
        for watched in watched.into_values() {
            watched.interests.leave(&watched);
        }
    }

    /// Waits for the next topic that has changed. Cancel safe.
    pub(super) async fn next(&self) -> Updated {
        loop {
            match self.pop() {
                Some(updated) => return updated,
                None => self.filled.notified().await,
            }
        }
    }

    fn pop(&self) -> Option<Updated> {
        let mut heard = self.heard.lock();
        loop {
            let next = heard.waiting.pop_front()?;
            // From here on another change waits anew.
            let change = std::mem::take(&mut *next.change.lock());
            heard.state_bytes -= change.state_bytes();
            let key = next.key();
            if heard.watched.get(&key).is_some_and(|watched| Arc::ptr_eq(watched, &next)) {
                if !heard.waiting.is_empty() {
                    // One signal stands for several changes, and several may wait for them.
                    self.filled.notify_one();
                }
                let (server, whole) = key;
                let what = match change {
                    Change::Part(part) => Update::Resource(part),
                    Change::Nothing | Change::Whole => Update::Resource(whole.name),
                    Change::State(params) => Update::Task(params),
                };
                return Some(Updated { server, what });
            }
        }
    }

    fn forget(&self, watched: &Arc<Watched>) {
        let key = watched.key();
        let mut heard = self.heard.lock();
        if heard.watched.get(&key).is_some_and(|known| Arc::ptr_eq(known, watched)) {
            heard.watched.remove(&key);
            heard.waiting.retain(|waiting| !Arc::ptr_eq(waiting, watched));
            heard.state_bytes -= std::mem::take(&mut *watched.change.lock()).state_bytes();
        }
    }
}

// === impl Heard ===

impl Heard {
    /// Puts `state` in the place of what waited for `watched`; tells whether nothing did. Without room it stays as it
    /// is.
    fn put_state(&mut self, watched: &Watched, state: &Bytes) -> bool {
        let mut change = watched.change.lock();
        let others = self.state_bytes - change.state_bytes();
        if others + state.len() > MAX_STATE_BYTES {
            return false;
        }
        self.state_bytes = others + state.len();
        std::mem::replace(&mut *change, Change::State(state.clone())) == Change::Nothing
    }
}

// === impl Change ===

impl Change {
    const fn state_bytes(&self) -> usize {
        match self {
            Self::State(state) => state.len(),
            Self::Nothing | Self::Part(_) | Self::Whole => 0,
        }
    }
}

// === impl Watched ===

impl Watched {
    /// Returns what is watched.
    pub(super) const fn topic(&self) -> &Topic {
        &self.topic
    }

    fn key(&self) -> Key {
        (self.interests.server().clone(), self.topic.clone())
    }

    /// Notes that the resource has changed, or that `part` of it has. Never waits.
    pub(super) fn tell(self: &Arc<Self>, part: Option<&Arc<str>>) {
        let now = part.map_or(Change::Whole, |part| Change::Part(Arc::clone(part)));
        {
            let mut change = self.change.lock();
            match &*change {
                Change::Nothing => *change = now,
                waiting if *waiting == now => return,
                Change::Part(_) | Change::Whole | Change::State(_) => {
                    *change = Change::Whole;
                    return;
                }
            }
        }
        let Some(ears) = self.ears.upgrade() else { return };
        ears.heard.lock().waiting.push_back(Arc::clone(self));
        ears.filled.notify_one();
    }

    /// Notes the state of the task as its server told it, in the place of one that waits. Never waits.
    pub(super) fn tell_state(self: &Arc<Self>, state: &Bytes) {
        let Some(ears) = self.ears.upgrade() else { return };
        let mut heard = ears.heard.lock();
        // One that has been left is told nothing more.
        let is_watched = heard.watched.get(&self.key()).is_some_and(|watched| Arc::ptr_eq(watched, self));
        if is_watched && heard.put_state(self, state) {
            heard.waiting.push_back(Arc::clone(self));
            drop(heard);
            ears.filled.notify_one();
        }
    }
}

// === impl Entered ===

impl Entered {
    /// Enters `topic` for a watcher and at its server; finds it if it is there already.
    ///
    /// # Errors
    /// [`WatchError::Full`] and [`WatchError::ServerFull`].
    pub(super) fn enter(
        ears: &Arc<Ears>,
        interests: &Arc<Interests>,
        topic: Topic,
    ) -> Result<Self, WatchError> {
        let mut heard = ears.heard.lock();
        let key = (interests.server().clone(), topic.clone());
        if let Some(known) = heard.watched.get(&key) {
            let phase = interests.phase_of(&topic).ok_or_else(|| WatchError::Late(key.0.clone()))?;
            // Whoever entered it leaves it again if the server does not agree.
            return Ok(Self { watched: Arc::clone(known), phase, is_kept: true });
        }
        if heard.watched.len() >= MAX_WATCHED {
            return Err(WatchError::Full { limit: MAX_WATCHED });
        }
        let watched = Arc::new(Watched {
            interests: Arc::clone(interests),
            topic,
            ears: Arc::downgrade(ears),
            change: Mutex::default(),
        });
        let phase = interests.enter(&watched)?;
        heard.watched.insert(key, Arc::clone(&watched));
        Ok(Self { watched, phase, is_kept: false })
    }

    /// Returns how far the server has come.
    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Leaves it entered.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.is_kept {
            if let Some(ears) = self.watched.ears.upgrade() {
                ears.forget(&self.watched);
            }
            self.watched.interests.leave(&self.watched);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// What one watcher has of a task.
    struct Watching {
        ears: Arc<Ears>,
        interests: Arc<Interests>,
        _entered: Entered,
    }

    fn watching(id: &str) -> Watching {
        let (ears, interests) = (Arc::default(), Arc::new(Interests::new(ServerId::new("a").unwrap())));
        let entered = Entered::enter(&ears, &interests, Topic::task(id)).unwrap();
        Watching { ears, interests, _entered: entered }
    }

    fn state(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn next(ears: &Ears) -> Option<Bytes> {
        match ears.next().now_or_never()?.what {
            Update::Task(state) => Some(state),
            Update::Resource(uri) => panic!("nobody watches {uri}"),
        }
    }

    #[test]
    fn of_a_task_the_newest_state_is_told() {
        let Watching { ears, interests, _entered } = watching("1");
        interests.task_changed("2", &state("of another"));
        for text in ["working", "input_required", "completed"] {
            interests.task_changed("1", &state(text));
        }
        assert_eq!(next(&ears), Some(state("completed")));
        assert_eq!(next(&ears), None);
        // A gap says nothing of tasks, and a resource of that name is something else.
        interests.all_updated();
        interests.updated("1");
        assert_eq!(next(&ears), None);
    }

    #[test]
    fn the_states_that_wait_are_bounded() {
        let Watching { ears, interests, _entered } = watching("1");
        let other = Entered::enter(&ears, &interests, Topic::task("2")).unwrap();
        let large = Bytes::from(vec![b'x'; MAX_STATE_BYTES - 10]);
        interests.task_changed("1", &state("small"));
        interests.task_changed("2", &large);
        interests.task_changed("1", &state("without room"));
        assert_eq!(
            [next(&ears), next(&ears), next(&ears)],
            [Some(state("small")), Some(large.clone()), None]
        );
        // What was read or is watched no more takes no room.
        interests.task_changed("2", &large);
        drop(other);
        interests.task_changed("1", &state("without room"));
        assert_eq!([next(&ears), next(&ears)], [Some(state("without room")), None]);
        assert_eq!(ears.heard.lock().state_bytes, 0);
    }
}

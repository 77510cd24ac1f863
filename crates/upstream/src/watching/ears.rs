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
    watched: HashMap<Key, Place>,
    waiting: VecDeque<Arc<Watched>>,
    /// The states that wait, together.
    state_bytes: usize,
}

/// Where one topic is watched.
#[derive(Debug)]
struct Place {
    watched: Arc<Watched>,
    /// How many wait for the server to agree. Each of them wants it watched, whatever becomes of the others.
    entering: usize,
    /// The server has agreed to somebody: it stays when nobody waits any more.
    is_kept: bool,
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

/// A topic that was entered. Dropped, it is left again, unless it was kept or is entered by somebody else as well.
pub(crate) struct Entered {
    watched: Arc<Watched>,
    phase: watch::Receiver<Phase>,
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
        heard.waiting.retain(|waiting| !left.iter().any(|(_, place)| place.is_of(waiting)));
        drop(heard);
        left.into_iter()
            .map(|((server, _), place)| {
                place.watched.interests.leave(&place.watched);
                server
            })
            .collect()
    }

    /// Stops watching altogether.
    pub(super) fn leave_all(&self) {
        let Heard { watched, waiting, .. } = std::mem::take(&mut *self.heard.lock());
        drop(waiting);
        for Place { watched, .. } in watched.into_values() {
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
            if heard.watched.get(&key).is_some_and(|place| place.is_of(&next)) {
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

    /// Notes that one who entered `watched` does so no more; tells whether it is to be left, as nobody else wants it.
    fn withdraw(&self, watched: &Arc<Watched>) -> bool {
        let key = watched.key();
        let mut heard = self.heard.lock();
        let Some(place) = heard.watched.get_mut(&key).filter(|place| place.is_of(watched)) else {
            return false;
        };
        place.entering = place.entering.saturating_sub(1);
        if place.is_kept || place.entering > 0 {
            return false;
        }
        heard.watched.remove(&key);
        heard.waiting.retain(|waiting| !Arc::ptr_eq(waiting, watched));
        heard.state_bytes -= std::mem::take(&mut *watched.change.lock()).state_bytes();
        true
    }
}

// === impl Place ===

impl Place {
    fn is_of(&self, watched: &Arc<Watched>) -> bool {
        Arc::ptr_eq(&self.watched, watched)
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
        let is_watched = heard.watched.get(&self.key()).is_some_and(|place| place.is_of(self));
        if is_watched && heard.put_state(self, state) {
            heard.waiting.push_back(Arc::clone(self));
            drop(heard);
            ears.filled.notify_one();
        }
    }
}

// === impl Entered ===

impl Entered {
    /// Enters `topic` for a watcher and at its server; finds it if it is there already. Whoever comes after a refusal has
    /// the server asked again.
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
        if let Some(place) = heard.watched.get_mut(&key) {
            let phase = interests.rejoin(&topic).ok_or_else(|| WatchError::Late(key.0.clone()))?;
            place.entering += 1;
            return Ok(Self { watched: Arc::clone(&place.watched), phase });
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
        heard.watched.insert(key, Place { watched: Arc::clone(&watched), entering: 1, is_kept: false });
        Ok(Self { watched, phase })
    }

    /// Returns how far the server has come.
    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.clone()
    }

    /// Leaves it entered, until the watcher leaves it.
    pub(super) fn keep(self) {
        let Some(ears) = self.watched.ears.upgrade() else { return };
        let mut heard = ears.heard.lock();
        if let Some(place) =
            heard.watched.get_mut(&self.watched.key()).filter(|place| place.is_of(&self.watched))
        {
            place.is_kept = true;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Watchers that are gone have left everything.
        let is_left = self.watched.ears.upgrade().is_none_or(|ears| ears.withdraw(&self.watched));
        if is_left {
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

    /// A watcher that enters the resource `x:1` twice at once.
    fn entering_twice() -> (Arc<Ears>, Arc<Interests>, [Entered; 2]) {
        let (ears, interests) = (Arc::default(), Arc::new(Interests::new(ServerId::new("a").unwrap())));
        let entered = [(); 2].map(|()| Entered::enter(&ears, &interests, Topic::resource("x:1")).unwrap());
        (ears, interests, entered)
    }

    fn hears(ears: &Ears, interests: &Interests) -> bool {
        interests.updated("x:1");
        ears.next().now_or_never().is_some()
    }

    #[test]
    fn one_that_gives_up_leaves_it_to_the_other() {
        for first_stays in [false, true] {
            let (ears, interests, [first, second]) = entering_twice();
            let (stays, goes) = if first_stays { (first, second) } else { (second, first) };
            drop(goes);
            assert!(hears(&ears, &interests));
            stays.keep();
            assert!(hears(&ears, &interests));
            assert_eq!(ears.leave(None, "x:1").len(), 1);
            assert!(!hears(&ears, &interests) && interests.phase_of(&Topic::resource("x:1")).is_none());
        }
    }

    #[test]
    fn what_one_was_agreed_to_the_other_does_not_take() {
        let (ears, interests, [first, second]) = entering_twice();
        first.keep();
        drop(second);
        assert!(hears(&ears, &interests));
    }

    #[test]
    fn what_nobody_wants_any_more_is_left() {
        let (ears, interests, entered) = entering_twice();
        drop(entered);
        assert!(!hears(&ears, &interests) && ears.len() == 0);
        assert!(interests.phase_of(&Topic::resource("x:1")).is_none());
        // One that is entered anew is another: whoever waited for the one before does not take it away.
        let (ears, interests, [first, second]) = entering_twice();
        ears.leave(None, "x:1");
        let anew = Entered::enter(&ears, &interests, Topic::resource("x:1")).unwrap();
        drop((first, second));
        assert!(hears(&ears, &interests));
        anew.keep();
        assert!(hears(&ears, &interests));
    }

    #[test]
    fn who_joins_after_a_refusal_has_the_server_asked_again() {
        let (ears, interests, [first, second]) = entering_twice();
        first.keep();
        drop(second);
        let tenure = Arc::clone(&interests).begin();
        let claimed = tenure.claim();
        tenure.settle_asked(&claimed, &Phase::Refused(WatchError::LeftOut(interests.server().clone())));
        assert_eq!(tenure.claim(), []);
        let again = Entered::enter(&ears, &interests, Topic::resource("x:1")).unwrap();
        assert_eq!(*again.phase().borrow(), Phase::Wanted);
        assert_eq!(tenure.claim(), claimed);
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

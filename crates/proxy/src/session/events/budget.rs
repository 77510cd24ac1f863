//! How much memory the kept events of sessions, and their messages that wait, may take. A session's budget is a part of everybody's, so that ten
//! thousand sessions cannot fill the memory and one cannot take it all.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A bounded number of bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    taken: AtomicUsize,
    /// Of which this is a part: what is taken here is taken there as well.
    whole: Option<Arc<Budget>>,
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// Makes a budget of its own.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicUsize::new(0), whole: None })
    }

    /// Makes a part of `whole`; of none, it has no bytes at all.
    pub(super) fn part_of(whole: Option<&Arc<Self>>, limit: usize) -> Arc<Self> {
        let limit = if whole.is_some() { limit } else { 0 };
        Arc::new(Self { limit, taken: AtomicUsize::new(0), whole: whole.cloned() })
    }

    /// Takes so many bytes; `None` when they are not there.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        self.add(bytes).then(|| Room { budget: Arc::clone(self), bytes })
    }

    /// Tells how many bytes are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) -> bool {
        let add = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.limit);
        if self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            return false;
        }
        let has_room = self.whole.as_ref().is_none_or(|whole| whole.add(bytes));
        if !has_room {
            self.taken.fetch_sub(bytes, Ordering::Relaxed);
        }
        has_room
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.give_back(bytes);
        }
    }
}

impl Room {
    /// Takes more bytes; tells whether they were there.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let has_room = self.budget.add(more);
        if has_room {
            self.bytes += more;
        }
        has_room
    }

    /// Tells how many bytes it stands for.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_from_the_whole_and_gives_back() {
        let whole = Budget::new(10);
        let (one, other) = (Budget::part_of(Some(&whole), 8), Budget::part_of(Some(&whole), 8));
        let mut room = one.take(5).unwrap();
        assert!(room.grow(2) && !room.grow(2), "more than its part");
        assert!(other.take(4).is_none(), "more than the whole");
        assert_eq!((other.taken(), whole.taken()), (0, 7));
        drop(room);
        assert!(other.take(8).is_some());
        assert_eq!((one.taken(), other.taken(), whole.taken()), (0, 0, 0));
        assert!(Budget::part_of(None, 8).take(1).is_none(), "a part of nothing");
    }
}

//! How large last messages may be: each by itself as large as a line, those of a batch all together, because none of
//! them is sent before the last is there. What is collected at the same time for one client is bounded as well: messages
//! that stand alone wait for each other (`collecting`), batches do not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::collecting::{Collecting, Held};

/// As many batches of one client may be as large as a batch may be, at the same time. A batch cannot wait for another
/// one, since its members may hold what the other's members wait for.
const LARGE_BATCHES: usize = 2;

/// The bytes that last messages may have.
pub(crate) struct Share {
    limit: usize,
    standing: Standing,
}

/// How messages stand.
enum Standing {
    /// Each goes when it is there.
    Alone(Collecting),
    /// All go together.
    Together {
        /// What the messages of the batch have taken.
        taken: AtomicUsize,
        batches: Arc<Batches>,
    },
}

/// What all batches of one client have taken that are not yet sent.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    taken: AtomicUsize,
}

/// What one message has taken of its share. Unless it is kept, it is given back.
pub(super) struct Part<'a> {
    share: &'a Share,
    bytes: usize,
    held: Held,
}

impl Share {
    /// Each message of one client may have `limit` bytes.
    pub(crate) fn each(limit: usize) -> Self {
        Self { limit, standing: Standing::Alone(Collecting::new()) }
    }

    /// All messages of a batch together may have `limit` bytes, unless the client's other batches have too many. They
    /// are taken until this is dropped.
    pub(crate) const fn together(limit: usize, batches: Arc<Batches>) -> Self {
        Self { limit, standing: Standing::Together { taken: AtomicUsize::new(0), batches } }
    }

    /// Returns the bound in bytes.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Begins a message of which nothing is here yet.
    pub(super) fn begin(&self) -> Part<'_> {
        Part { share: self, bytes: 0, held: Held::default() }
    }

    /// Takes what a whole message needs; tells whether there was as much.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let mut part = self.begin();
        let has_room = part.grow_to(bytes);
        if has_room {
            part.keep();
        }
        has_room
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Standing::Together { taken, batches } = &self.standing {
            batches.taken.fetch_sub(taken.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

impl Part<'_> {
    /// Takes what the message needs beyond what it has; tells whether there was as much.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let (limit, more) = (self.share.limit, bytes.saturating_sub(self.bytes));
        let has_room = match &self.share.standing {
            Standing::Alone(_) => bytes <= limit,
            Standing::Together { taken, batches } => {
                take(taken, more, limit) && {
                    let has_room = take(&batches.taken, more, limit.saturating_mul(LARGE_BATCHES));
                    if !has_room {
                        taken.fetch_sub(more, Ordering::Relaxed);
                    }
                    has_room
                }
            }
        };
        if has_room {
            self.bytes += more;
        }
        has_room
    }

    /// Waits until what was taken may be collected. Cancel safe.
    pub(super) async fn has_turn(&mut self) {
        if let Standing::Alone(collecting) = &self.share.standing {
            collecting.grow_to(&mut self.held, self.bytes).await;
        }
    }

    /// Keeps what was taken: that of a batch for as long as the batch, that of a message alone until what is returned is
    /// dropped.
    pub(super) fn keep(mut self) -> Held {
        self.bytes = 0;
        std::mem::take(&mut self.held)
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Standing::Together { taken, batches } = &self.share.standing {
            taken.fetch_sub(self.bytes, Ordering::Relaxed);
            batches.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Takes bytes up to a limit; tells whether there were as many.
fn take(taken: &AtomicUsize, more: usize, limit: usize) -> bool {
    let grown = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= limit);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_alone_have_the_whole_bound_each() {
        let share = Share::each(10);
        assert!(share.take(10) && share.take(10) && !share.take(11));
    }

    #[test]
    fn messages_of_a_batch_share_it_and_broken_ones_give_back() {
        let share = Share::together(10, Arc::default());
        assert!(share.take(4));
        let mut part = share.begin();
        assert!(part.grow_to(3) && part.grow_to(6) && !part.grow_to(7));
        assert!(!share.take(1));
        drop(part);
        assert!(share.take(6) && !share.take(1));
    }

    #[test]
    fn batches_of_one_client_have_a_bound_in_common_until_they_are_sent() {
        let batches = Arc::default();
        let [first, second, third] = [(); 3].map(|()| Share::together(10, Arc::clone(&batches)));
        assert!(first.take(10) && second.take(4));
        assert!(!third.take(7) && third.take(6) && !second.take(1));
        drop(first);
        assert!(second.take(6) && third.take(4) && !third.take(1));
        drop((second, third));
        assert_eq!(batches.taken.load(Ordering::Relaxed), 0);
    }
}

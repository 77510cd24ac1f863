//! How large last messages may be: each by itself as large as a line, those of a batch all together, because none of
//! them is sent before the last is there.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that last messages may have.
pub(crate) struct Share {
    limit: usize,
    /// What the messages of a batch have taken; `None` where each message stands alone.
    taken: Option<AtomicUsize>,
}

/// What one message has taken of its share. Unless it is kept, it is given back.
pub(super) struct Part<'a> {
    share: &'a Share,
    bytes: usize,
}

impl Share {
    /// Each message may have `limit` bytes.
    pub(crate) const fn each(limit: usize) -> Self {
        Self { limit, taken: None }
    }

    /// All messages together may have `limit` bytes.
    pub(crate) const fn together(limit: usize) -> Self {
        Self { limit, taken: Some(AtomicUsize::new(0)) }
    }

    /// Returns the bound in bytes.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Begins a message of which nothing is here yet.
    pub(super) const fn begin(&self) -> Part<'_> {
        Part { share: self, bytes: 0 }
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

impl Part<'_> {
    /// Takes what the message needs beyond what it has; tells whether there was as much.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let (limit, more) = (self.share.limit, bytes.saturating_sub(self.bytes));
        let has_room = match &self.share.taken {
            None => bytes <= limit,
            Some(taken) => {
                let grown = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= limit);
                taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
            }
        };
        if has_room {
            self.bytes += more;
        }
        has_room
    }

    /// Keeps what was taken for good: the message waits with its batch.
    pub(super) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(taken) = &self.share.taken {
            taken.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
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
        let share = Share::together(10);
        assert!(share.take(4));
        let mut part = share.begin();
        assert!(part.grow_to(3) && part.grow_to(6) && !part.grow_to(7));
        assert!(!share.take(1));
        drop(part);
        assert!(share.take(6) && !share.take(1));
    }
}

//! What all servers list, sorted by its text, so that what is another server's and near to a text is found without
//! looking at what is far from it, or is the asker's own. That is what keeps a census linear. What is near enough to
//! collide is for `census` to find out.

use std::ops::Range;

/// Where a server stands among all.
pub(super) type At = usize;

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Only(At),
    Several,
}

/// Something that is listed.
#[derive(Debug)]
pub(super) struct Entry<'a, T> {
    pub(super) key: &'a str,
    owner: Owner,
    pub(super) value: T,
}

/// The entries of all servers, sorted.
#[derive(Debug)]
pub(super) struct Sorted<'a, T> {
    entries: Vec<Entry<'a, T>>,
    /// For each entry, the first one behind it that has not the same single owner.
    next_other: Vec<usize>,
}

/// The entries of equal keys, and those with shorter ones that theirs begin with.
#[derive(Debug)]
struct Group {
    entries: Range<usize>,
    owner: Owner,
    /// The group of the longest key that this one's begins with.
    shorter: Option<usize>,
    /// The first group on the way over `shorter` that has not the same single owner.
    shorter_other: Option<usize>,
}

/// Sorted entries whose keys are compared with what they begin with as well.
#[derive(Debug)]
pub(super) struct Nested<'a, T> {
    sorted: Sorted<'a, T>,
    groups: Vec<Group>,
}

// === impl Owner ===

impl Owner {
    /// Tells whether something is of another server than that at `at`, too.
    pub(super) fn includes_another_than(self, at: At) -> bool {
        self != Self::Only(at)
    }

    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Several }
    }
}

// === impl Sorted ===

impl<'a, T> Sorted<'a, T> {
    /// Sorts these texts, each with the server it is of.
    pub(super) fn new(listed: impl IntoIterator<Item = (&'a str, At, T)>) -> Self {
        let entry = |(key, at, value)| Entry { key, owner: Owner::Only(at), value };
        let mut entries: Vec<_> = listed.into_iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.key);
        Self::of_sorted(entries)
    }

    fn of_sorted(entries: Vec<Entry<'a, T>>) -> Self {
        let mut next_other = vec![entries.len(); entries.len()];
        for place in (1..entries.len()).rev() {
            let (before, owner) = (entries[place - 1].owner, entries[place].owner);
            let goes_on = owner == before && owner != Owner::Several;
            next_other[place - 1] = if goes_on { next_other[place] } else { place };
        }
        Self { entries, next_other }
    }

    /// Makes one entry of those with equal keys.
    pub(super) fn merged(self) -> Self {
        let mut entries: Vec<Entry<'a, T>> = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            match entries.last_mut() {
                Some(last) if last.key == entry.key => last.owner = last.owner.and(entry.owner),
                Some(_) | None => entries.push(entry),
            }
        }
        Self::of_sorted(entries)
    }

    /// Returns whose `key` is, if it is listed. For merged entries.
    pub(super) fn owner(&self, key: &str) -> Option<Owner> {
        self.entries.binary_search_by_key(&key, |entry| entry.key).ok().map(|found| self.entries[found].owner)
    }

    /// Walks over what another server than that at `at` has and whose key begins with `prefix`.
    pub(super) fn beginning_with(&self, prefix: &str, at: At) -> impl Iterator<Item = &Entry<'a, T>> {
        let start = self.entries.partition_point(|entry| entry.key < prefix);
        let length = self.entries[start..].partition_point(|entry| entry.key.starts_with(prefix));
        self.others(start..start + length, at)
    }

    /// Walks over those of `range` that another server has. Each step takes the same time, whatever lies between.
    fn others(&self, range: Range<usize>, at: At) -> impl Iterator<Item = &Entry<'a, T>> {
        let mut place = range.start;
        std::iter::from_fn(move || {
            if place < range.end && !self.entries[place].owner.includes_another_than(at) {
                place = self.next_other[place];
            }
            let found = (place < range.end).then(|| &self.entries[place]);
            place += 1;
            found
        })
    }
}

// === impl Nested ===

impl<'a, T> Nested<'a, T> {
    /// Finds out which keys others begin with. What is sorted stays.
    pub(super) fn new(sorted: Sorted<'a, T>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let entries = &sorted.entries;
        let mut start = 0;
        for same in entries.chunk_by(|one, next| one.key == next.key) {
            let range = start..start + same.len();
            start = range.end;
            let owners = same.iter().map(|entry| entry.owner);
            let owner = owners.reduce(Owner::and).unwrap_or(Owner::Several);
            // Sorted, a key stands behind all that it begins with, and only longer ones of those stand between.
            let mut shorter = groups.len().checked_sub(1);
            while let Some(place) = shorter
                && !same[0].key.starts_with(entries[groups[place].entries.start].key)
            {
                shorter = groups[place].shorter;
            }
            let shorter_other = shorter.and_then(|place| {
                let goes_on = groups[place].owner == owner && owner != Owner::Several;
                if goes_on { groups[place].shorter_other } else { Some(place) }
            });
            groups.push(Group { entries: range, owner, shorter, shorter_other });
        }
        Self { sorted, groups }
    }

    /// Walks over what another server than that at `at` has and whose key begins with `key`, which is listed, or the
    /// other way round.
    pub(super) fn near(&self, key: &str, at: At) -> impl Iterator<Item = &Entry<'a, T>> {
        let key_of = |group: &Group| self.sorted.entries[group.entries.start].key;
        let own = self.groups.binary_search_by_key(&key, key_of).ok();
        let mut next = own.and_then(|place| self.groups[place].shorter);
        let shorter = std::iter::from_fn(move || {
            let mut group = &self.groups[next?];
            if !group.owner.includes_another_than(at) {
                group = &self.groups[group.shorter_other?];
            }
            next = group.shorter;
            Some(group.entries.clone())
        });
        let shorter = shorter.flat_map(move |entries| self.sorted.others(entries, at));
        self.sorted.beginning_with(key, at).chain(shorter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// It finds what a look at everything finds.
        #[test]
        fn what_is_near_is_found(listed in vec(("[ab]{0,5}", 0usize..3), 0..24)) {
            let keys = || listed.iter().map(|(key, at)| (key.as_str(), *at, ()));
            let nested = Nested::new(Sorted::new(keys()));
            let merged = Sorted::new(keys()).merged();
            for (key, at, ()) in keys() {
                let others = || keys().filter(|(_, other, ())| *other != at).map(|(key, ..)| key);
                let sorted = |mut keys: Vec<_>| { keys.sort_unstable(); keys };
                let found = sorted(nested.near(key, at).map(|entry| entry.key).collect());
                let near = |other: &&str| other.starts_with(key) || key.starts_with(*other);
                prop_assert_eq!(found, sorted(others().filter(near).collect()));
                let longer = sorted(others().filter(|other| other.starts_with(key)).collect());
                let mut once = longer.clone();
                once.dedup();
                let found: Vec<_> = merged.beginning_with(key, at).map(|entry| entry.key).collect();
                prop_assert_eq!(found, once);
                let is_shared = merged.owner(key).is_some_and(|owner| owner.includes_another_than(at));
                prop_assert_eq!(is_shared, others().any(|other| other == key));
            }
        }
    }
}

//! The items of one kind that one server lists, joined by commas and ready to stand in a JSON array, with where each
//! one stands.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
};

use bytes::Bytes;

/// Under which names items are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// The upstream's own.
    Own,
    /// Those of the merged endpoint.
    Qualified,
}

/// Joined items.
#[derive(Debug, Default, Clone)]
pub(crate) struct Block {
    bytes: Bytes,
    spans: Vec<Range<usize>>,
}

impl Block {
    /// Joins items.
    pub(crate) fn join(items: impl Iterator<Item = Bytes>) -> Self {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for item in items {
            if !bytes.is_empty() {
                bytes.push(b',');
            }
            spans.push(bytes.len()..bytes.len() + item.len());
            bytes.extend_from_slice(&item);
        }
        Self { bytes: bytes.into(), spans }
    }

    /// Returns all items, joined.
    pub(crate) fn joined(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns how many items there are.
    pub(crate) const fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns one item; `at` is less than [`Block::len`].
    pub(crate) fn item(&self, at: usize) -> &[u8] {
        &self.bytes[self.spans[at].clone()]
    }

    /// Returns a number that changes when the items do.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        hasher.finish()
    }
}

/// The items of one kind under both names.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    own: Block,
    qualified: Block,
    fingerprint: u64,
}

impl Blocks {
    /// Makes them of items under the server's own names and under qualified ones.
    pub(crate) fn new(own: Block, qualified: Block) -> Self {
        let fingerprint = qualified.fingerprint();
        Self { own, qualified, fingerprint }
    }

    /// Makes them of items that have the same names everywhere.
    pub(crate) fn same(block: Block) -> Self {
        Self::new(block.clone(), block)
    }

    /// Returns the items under these names.
    pub(crate) const fn under(&self, names: Names) -> &Block {
        match names {
            Names::Own => &self.own,
            Names::Qualified => &self.qualified,
        }
    }

    /// Returns a number that changes when the items do.
    pub(crate) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

//! The index of all tools, shared by the one task that changes it and the calls that search it. A lock is held for the
//! time of one search, about a millisecond at most, or of one server's update.

use std::sync::Arc;

use catalog::{Hit, Listing, SearchIndex};
use domain::{ServerId, ToolName};
use parking_lot::RwLock;

/// Finds tools by what they are for. It may be ahead of the world that a request is judged in, so what it finds is looked
/// up there.
#[derive(Debug, Clone, Default)]
pub struct ToolSearch(Arc<RwLock<SearchIndex>>);

impl ToolSearch {
    /// Puts in the tools of one server, in place of what it had before.
    pub fn update(&self, server: &ServerId, listing: &Listing) {
        self.0.write().update(server, listing);
    }

    /// Takes out one server's tools.
    pub fn remove(&self, server: &ServerId) {
        self.0.write().remove(server);
    }

    /// Returns up to `limit` tools that fit `query` best, best first, among those that `sees` lets through.
    pub(crate) fn search(
        &self,
        query: &str,
        limit: usize,
        sees: impl Fn(&ServerId, &ToolName) -> bool,
    ) -> Vec<Hit> {
        self.0.read().search(query, limit, sees)
    }
}

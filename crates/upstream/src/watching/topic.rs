//! What can be watched: a resource by its URI, or a task of a modern server by its id.

use std::sync::Arc;

/// What kind of thing is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A resource: it, or a part of it, may be another than before.
    Resource,
    /// A task: its server tells its state itself.
    Task,
}

/// One thing of a server that can be watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Topic {
    pub(crate) kind: Kind,
    /// A resource's URI, or a task's id.
    pub(crate) name: Arc<str>,
}

impl Topic {
    pub(crate) fn resource(uri: &str) -> Self {
        Self { kind: Kind::Resource, name: uri.into() }
    }

    pub(crate) fn task(id: &str) -> Self {
        Self { kind: Kind::Task, name: id.into() }
    }
}

/// Picks the names of one kind, in their order.
pub(crate) fn names_of(topics: &[Topic], kind: Kind) -> Vec<&str> {
    topics.iter().filter(|topic| topic.kind == kind).map(|topic| &*topic.name).collect()
}

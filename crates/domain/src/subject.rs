//! What a verdict is about: one upstream, and the thing on it that a request addresses.

use std::sync::Arc;

use crate::{ServerId, ToolName};

/// The thing on an upstream that a request addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tool, by the name its upstream knows.
    Tool(ToolName),
    /// A prompt, by the name its upstream knows.
    Prompt(ToolName),
    /// A resource, by the URI its upstream knows.
    Resource(Arc<str>),
    /// A task that the server runs, by the id that it gave.
    Task(Arc<str>),
    /// The server itself: its listings, its completions, its subscriptions.
    Server,
}

/// An upstream and the thing on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The upstream.
    pub server: ServerId,
    /// The thing addressed.
    pub target: Target,
}

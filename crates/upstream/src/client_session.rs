//! A legacy client's session as upstreams know it: what the client declared, and where to put what a server says or
//! asks outside any call. What belongs to a call comes with its [`Reply`](crate::Reply).

use std::sync::Arc;

use bytes::Bytes;
use domain::ServerId;
use guardrails::Untrusted;
use protocol::ClientCapabilities;

use crate::ServerRequest;

/// A client with a session. Upstreams hold it weakly: it ends when its own side ends it.
pub trait ClientSession: Send + Sync + std::fmt::Debug {
    /// Returns a number that no other session of this process has.
    fn number(&self) -> u64;

    /// Returns what the client declared.
    fn capabilities(&self) -> &ClientCapabilities;

    /// Returns the level that the client set by `logging/setLevel`.
    fn log_level(&self) -> Option<&'static str>;

    /// Takes something that `server` said outside any call, of about so many bytes. Never waits: what finds no room is
    /// dropped, and a request that is dropped is refused.
    fn hear(&self, server: &ServerId, said: Untrusted<Said>, bytes: usize);
}

/// Something that a server said outside any call, to one client.
#[derive(Debug)]
pub enum Said {
    /// It wants no answer.
    Notification {
        /// The method's name.
        method: Box<str>,
        /// The JSON text of the parameters.
        params: Option<Bytes>,
    },
    /// It wants an answer.
    Request(ServerRequest),
}

/// What may change about a client's session while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The client set another log level.
    LogLevel,
    /// The client's roots are others (`notifications/roots/list_changed`).
    Roots,
}

/// A handle to a session that does not keep it alive.
pub(crate) type WeakSession = std::sync::Weak<dyn ClientSession>;

/// A handle to a session.
pub type SharedSession = Arc<dyn ClientSession>;

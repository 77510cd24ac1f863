//! Whose bound a subscription would exceed, in the words that the failure begins with.

use std::fmt;

use domain::ServerId;

/// Who has as many subscriptions as there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The client itself.
    Client,
    /// An upstream, over all clients.
    Upstream(ServerId),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("the client has"),
            Self::Upstream(server) => write!(f, "upstream `{server}` has"),
        }
    }
}

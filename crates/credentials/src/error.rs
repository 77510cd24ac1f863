//! Why no credential is issued. No variant holds one.

use domain::ServerId;

/// Why no credential is issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The server is not one of the configured ones.
    #[error("no credential is configured for upstream `{0}`")]
    UnknownServer(ServerId),
}

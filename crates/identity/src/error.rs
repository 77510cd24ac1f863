//! Why a caller is not let in, and why the file of tokens cannot be used.
//! No variant holds a token. HTTP status codes are `proxy`'s.

use std::{io, path::PathBuf, sync::Arc};

use domain::TokenId;

/// Why a caller was not authenticated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// The caller showed nothing, and this peer needs a token.
    #[error("an access token is needed (`Authorization: Bearer tg_...`)")]
    TokenRequired,
    /// The token is not one of ours: wrong, revoked, or never issued. Which of them is not told.
    #[error("the access token is not valid")]
    UnknownToken,
    /// The token was good until its expiry.
    #[error("access token `{0}` has expired")]
    ExpiredToken(TokenId),
    /// Nobody can be checked, so nobody is let in. The operator reads the reason in the log.
    #[error("access tokens cannot be checked at this moment")]
    TokensUnavailable(Arc<StoreError>),
}

/// Why the file of access tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Somebody else owns the file, and could add tokens of their own.
    #[error("`{}` belongs to another user (run `chown` on it)", .0.display())]
    ForeignOwner(PathBuf),
    /// Somebody else could add tokens of their own.
    #[error("`{}` can be changed by other users (run `chmod 600` on it)", .0.display())]
    WritableByOthers(PathBuf),
    /// The file is larger than any file of ours.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// The file is not what this version writes.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any content.
        reason: String,
    },
    /// One more token than the file may hold.
    #[error("there are {0} access tokens already; revoke some first")]
    Full(usize),
    /// What the new token is to be bound to breaks a rule.
    #[error("the access token cannot be created: {0}")]
    Refused(String),
    /// The system has no random numbers to give.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

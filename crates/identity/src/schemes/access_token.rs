//! Access token: 32 random bytes of which we keep a hash, bound to agent, user, roles, servers and an expiry.
//! Where tokens are kept and how they are watched for changes is in `tokens/`.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use domain::Clock;

use super::Verdict;
use crate::{
    AuthError, Authenticated, Presented, TokenHash, TokenRecord,
    tokens::{Stamp, TokenTable, WatchedFile},
};

/// Longest text that is looked up. Ours have about 60 characters; a longer one costs us nothing.
const MAX_TOKEN_BYTES: usize = 256;

/// Looks tokens up, first among the configured ones, then in the state directory.
#[derive(Debug)]
pub(crate) struct AccessTokens {
    configured: ArcSwap<TokenTable>,
    /// A token was configured once, so callers over HTTP need one for the life of the process.
    was_configured: AtomicBool,
    file: Option<WatchedFile>,
    clock: Arc<dyn Clock>,
}

/// What tells one state of the tokens from another, as long as the configured ones are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokensState {
    /// The file, or why there is none to be seen.
    file: Option<Result<Stamp, io::ErrorKind>>,
    /// How many have expired. Of the same tokens never two sets of one size have.
    expired: usize,
}

impl AccessTokens {
    pub(crate) fn new(
        configured: Vec<TokenRecord>,
        state_dir: Option<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let file = state_dir.map(|folder| WatchedFile::new(&folder));
        let was_configured = AtomicBool::new(!configured.is_empty());
        Self { configured: ArcSwap::from_pointee(TokenTable::new(configured)), was_configured, file, clock }
    }

    /// Puts other configured tokens in force: one that is left out dies on its next request.
    pub(crate) fn replace_configured(&self, configured: Vec<TokenRecord>) {
        if !configured.is_empty() {
            self.was_configured.store(true, Ordering::Release);
        }
        self.configured.store(Arc::new(TokenTable::new(configured)));
    }

    /// A caller on stdio may show a token too, and is then who the token says.
    pub(crate) fn judge(&self, presented: Presented<'_>) -> Verdict {
        let Some(bearer) = presented.bearer else { return Verdict::NotRequested };
        match self.look_up(bearer) {
            Ok(caller) => Verdict::Authenticated(caller),
            Err(error) => Verdict::Failed(error),
        }
    }

    /// Tells whether tokens were ever configured; see [`crate::Identity::requires_token`].
    pub(crate) fn are_required(&self) -> Result<bool, AuthError> {
        if self.was_configured.load(Ordering::Acquire) {
            return Ok(true);
        }
        let Some(file) = &self.file else { return Ok(false) };
        Ok(file.current().map_err(AuthError::TokensUnavailable)?.is_present())
    }

    fn look_up(&self, bearer: &str) -> Result<Authenticated, AuthError> {
        if bearer.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::UnknownToken);
        }
        self.admitted(&TokenHash::of(bearer))
    }

    /// Lets the holder of a token in, or not.
    pub(crate) fn admitted(&self, hash: &TokenHash) -> Result<Authenticated, AuthError> {
        if let Some(record) = self.configured.load().find(hash) {
            return self.admit(record);
        }
        let Some(file) = &self.file else { return Err(AuthError::UnknownToken) };
        let contents = file.current().map_err(AuthError::TokensUnavailable)?;
        let record = contents.tokens().find(hash).ok_or(AuthError::UnknownToken)?;
        self.admit(record)
    }

    /// Returns what changes when a token of the file does, or when one expires.
    pub(crate) fn state(&self) -> TokensState {
        let now = self.clock.now();
        let contents = self.file.as_ref().and_then(|file| file.current().ok());
        let in_file = contents.map_or(0, |contents| contents.tokens().expired(now));
        TokensState {
            file: self.file.as_ref().map(WatchedFile::stamp),
            expired: in_file + self.configured.load().expired(now),
        }
    }

    fn admit(&self, record: &TokenRecord) -> Result<Authenticated, AuthError> {
        match record.expires() {
            Some(expiry) if self.clock.now() >= expiry => Err(AuthError::ExpiredToken(record.id().clone())),
            Some(_) | None => Ok(Authenticated::with_token(Arc::clone(record.principal()), *record.hash())),
        }
    }
}

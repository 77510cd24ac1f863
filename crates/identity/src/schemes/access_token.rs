//! Access token: 32 random bytes of which we keep a hash, bound to agent, user, roles, servers and an expiry.
//! Where tokens are kept and how they are watched for changes is in `tokens/`.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use domain::{Clock, Principal, TokenId};

use super::Verdict;
use crate::{
    AuthError, Authenticated, Presented, TokenHash, TokenRecord,
    tokens::{TokenTable, WatchedFile},
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

    /// Tells whether the token that stood for `caller` would stand for it now.
    pub(crate) fn still_stand_for(&self, caller: &Principal, token: &TokenId) -> bool {
        let is_good = |record: &TokenRecord| {
            let admitted = self.admit(record);
            admitted.is_ok_and(|now| **now.principal() == *caller)
        };
        if let Some(record) = self.configured.load().find_by_id(token) {
            return is_good(record);
        }
        let contents = self.file.as_ref().and_then(|file| file.current().ok());
        contents.is_some_and(|contents| contents.tokens().find_by_id(token).is_some_and(is_good))
    }

    fn look_up(&self, bearer: &str) -> Result<Authenticated, AuthError> {
        if bearer.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::UnknownToken);
        }
        let hash = TokenHash::of(bearer);
        if let Some(record) = self.configured.load().find(&hash) {
            return self.admit(record);
        }
        let Some(file) = &self.file else { return Err(AuthError::UnknownToken) };
        let contents = file.current().map_err(AuthError::TokensUnavailable)?;
        let record = contents.tokens().find(&hash).ok_or(AuthError::UnknownToken)?;
        self.admit(record)
    }

    fn admit(&self, record: &TokenRecord) -> Result<Authenticated, AuthError> {
        match record.expires() {
            Some(expiry) if self.clock.now() >= expiry => Err(AuthError::ExpiredToken(record.id().clone())),
            Some(_) | None => Ok(Authenticated::vouched(Arc::clone(record.principal()))),
        }
    }
}

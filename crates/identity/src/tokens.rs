//! Access tokens at rest: the hash, the record, the table that finds a record by the hash of what a caller shows.
//! Reading while others write: `tokens/watched.rs`. Creating and revoking: `tokens/store.rs`.

mod file;
mod hash;
mod store;
mod watched;

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use domain::{Principal, TokenId};

pub use hash::TokenHash;
pub use store::{CreatedToken, NewToken, TokenStore};
pub(crate) use watched::{Stamp, WatchedFile};

/// One access token, checked. The token itself is not in it.
#[derive(Debug, Clone)]
pub struct TokenRecord {
    id: TokenId,
    hash: TokenHash,
    principal: Arc<Principal>,
    expires: Option<SystemTime>,
    created: Option<SystemTime>,
}

/// Finds a record by hash. The caller cannot choose hashes, so a plain map leaks nothing by its timing.
#[derive(Debug, Default)]
pub(crate) struct TokenTable(HashMap<TokenHash, TokenRecord>);

// === impl TokenRecord ===

impl TokenRecord {
    pub(crate) fn new(
        id: TokenId,
        hash: TokenHash,
        principal: Principal,
        expires: Option<SystemTime>,
        created: Option<SystemTime>,
    ) -> Self {
        Self { id, hash, principal: Arc::new(principal), expires, created }
    }

    /// Returns the public handle.
    pub const fn id(&self) -> &TokenId {
        &self.id
    }

    /// Returns the hash of the token.
    pub const fn hash(&self) -> &TokenHash {
        &self.hash
    }

    /// Returns whom the token stands for.
    pub const fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Returns from when on the token is not valid any more.
    pub const fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Returns when the token was created, if that was written down.
    pub const fn created(&self) -> Option<SystemTime> {
        self.created
    }
}

// === impl TokenTable ===

impl TokenTable {
    pub(crate) fn new(records: Vec<TokenRecord>) -> Self {
        Self(records.into_iter().map(|record| (record.hash, record)).collect())
    }

    pub(crate) fn find(&self, hash: &TokenHash) -> Option<&TokenRecord> {
        self.0.get(hash)
    }

    /// Returns how many are not valid any more at `now`.
    pub(crate) fn expired(&self, now: SystemTime) -> usize {
        self.0.values().filter(|record| record.expires().is_some_and(|expiry| now >= expiry)).count()
    }
}

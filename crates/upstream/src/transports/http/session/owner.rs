//! Whose a session at a legacy server is. Invariant: a session declares what the clients that use it declared, and is
//! used for nobody but its owner.

use domain::PrincipalKey;
use protocol::ClientCapabilities;

use crate::{SharedSession, config::Affinity};

/// Different declarations of one principal's clients at one server. Programs have one each; more is no use, and every
/// one is a session that the server keeps.
pub(super) const MAX_DECLARATIONS: usize = 16;

/// Those who share a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in super::super) enum Owner {
    /// Everybody, where the configuration says so.
    Everybody,
    /// Callers of one principal.
    Callers {
        /// The principal.
        principal: PrincipalKey,
        /// What their clients declared; nothing for callers without a session.
        declared: ClientCapabilities,
        /// The one client, where the configuration wants a session for each.
        client: Option<u64>,
    },
}

impl Owner {
    /// Returns the owner of the session in which a caller's requests go out. Allocates nothing.
    pub(in super::super) fn of(
        affinity: Affinity,
        principal: &PrincipalKey,
        client: Option<&SharedSession>,
    ) -> Self {
        let number = match affinity {
            Affinity::Shared => return Self::Everybody,
            Affinity::Principal => None,
            Affinity::Session => client.map(|client| client.number()),
        };
        let declared = client.map_or(ClientCapabilities::NONE, |client| client.capabilities().clone());
        Self::Callers { principal: principal.clone(), declared, client: number }
    }

    /// Returns what is declared to the server.
    pub(in super::super) fn declared(&self) -> ClientCapabilities {
        match self {
            Self::Everybody => ClientCapabilities::ALL,
            Self::Callers { declared, .. } => declared.clone(),
        }
    }

    /// Tells whether the session is of no use once its clients are gone.
    pub(super) const fn is_one_client(&self) -> bool {
        matches!(self, Self::Callers { client: Some(_), .. })
    }

    /// Tells whether requests of `client` may go out in this session, as far as the owner alone can tell.
    pub(super) fn may_include(&self, client: &SharedSession) -> bool {
        match self {
            Self::Everybody => true,
            Self::Callers { declared, client: only, .. } => {
                only.is_none_or(|only| only == client.number()) && declared == client.capabilities()
            }
        }
    }

    /// Tells whether this is one of the declarations of `other`'s principal that are bounded in number.
    pub(super) fn is_declaration_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Callers { principal, declared, client: None },
                Self::Callers { principal: theirs, declared: _, client: None },
            ) => principal == theirs && *declared != ClientCapabilities::NONE,
            (Self::Everybody | Self::Callers { .. }, _) => false,
        }
    }
}

//! Who calls: the agent, the user behind it, and what the token in its hand reaches.

use std::{collections::BTreeSet, sync::Arc};

use crate::{AgentId, ServerId, TokenId, UserId};

/// Which upstreams a caller's own grant reaches, before any policy is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerScope {
    /// Every configured upstream.
    All,
    /// Only these.
    Only(BTreeSet<ServerId>),
}

impl ServerScope {
    /// Tells whether `server` is within the scope.
    pub fn reaches(&self, server: &ServerId) -> bool {
        match self {
            Self::All => true,
            Self::Only(servers) => servers.contains(server),
        }
    }
}

/// Where the agent's name comes from; audit says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentSource {
    /// Bound to the access token.
    Token,
    /// Set by whoever started the gateway: `--agent`, `TOOLGATE_AGENT` or `agent:` in the configuration.
    Launch,
    /// agent-mcp-gateway's fallback for callers that name nobody: `GATEWAY_DEFAULT_AGENT`.
    Fallback,
    /// Nobody named one: the built-in `default`.
    Builtin,
    /// Named by the caller itself and believed.
    Claimed,
}

/// The authenticated caller as policy and audit see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The agent.
    pub agent: AgentId,
    /// How we know the agent's name.
    pub agent_source: AgentSource,
    /// The person behind the agent, if the token names one.
    pub user: Option<UserId>,
    /// Roles bound to the token.
    pub roles: Vec<Arc<str>>,
    /// The token in the caller's hand; none for local launch.
    pub token: Option<TokenId>,
    /// The upstreams that the grant reaches.
    pub servers: ServerScope,
}

/// What tells two principals apart where state is kept per principal (upstream sessions, client sessions).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrincipalKey {
    agent: AgentId,
    user: Option<UserId>,
    token: Option<TokenId>,
}

impl PrincipalKey {
    /// Appends bytes that no other key has, to be bound into what is sealed for this principal.
    pub fn write_distinct(&self, out: &mut Vec<u8>) {
        let parts = [
            Some(self.agent.as_str()),
            self.user.as_ref().map(UserId::as_str),
            self.token.as_ref().map(TokenId::as_str),
        ];
        for part in parts {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
    }
}

impl Principal {
    /// Returns the key under which this principal's state is kept.
    pub fn key(&self) -> PrincipalKey {
        PrincipalKey { agent: self.agent.clone(), user: self.user.clone(), token: self.token.clone() }
    }
}

//! The door: asks each scheme in turn and lets nobody in whom no scheme vouches for.
//! How a scheme decides is in `schemes/`.

use std::{path::PathBuf, sync::Arc};

use domain::{AgentId, AgentSource, Clock, Principal};

use crate::{
    AuthError, TokenRecord,
    schemes::{Verdict, access_token::AccessTokens, local_launch::LocalLaunch},
};

/// What a caller shows, and where it calls from.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The token of `Authorization: Bearer`, without that word.
    pub bearer: Option<&'a str>,
    /// The other end of the connection.
    pub peer: Peer,
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The process that launched the gateway, on standard input and output.
    Stdio,
    /// A program on this machine, over the loopback interface.
    Loopback,
    /// Anything else.
    Network,
}

/// What `identity` needs to know at the start.
#[derive(Debug)]
pub struct IdentitySettings {
    /// The agent of callers without a token.
    pub agent: AgentId,
    /// Who named that agent.
    pub agent_source: AgentSource,
    /// The tokens of the configuration file.
    pub configured: Vec<TokenRecord>,
    /// The folder of `tokens.json`; none: there are no tokens but the configured ones.
    pub state_dir: Option<PathBuf>,
}

/// Proof that somebody was authenticated. It cannot be built outside this crate.
#[derive(Debug, Clone)]
pub struct Authenticated {
    principal: Arc<Principal>,
}

/// A caller gives itself the name of an agent that its access token is not bound to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the access token does not belong to agent '{claimed}'")]
pub struct ForeignAgent {
    /// The name that the caller gave.
    pub claimed: AgentId,
}

/// Knows the schemes and asks them.
#[derive(Debug)]
pub struct Identity {
    access_tokens: AccessTokens,
    local_launch: LocalLaunch,
}

// === impl Presented ===

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bearer = if self.bearer.is_some() { "[secret]" } else { "none" };
        f.debug_struct("Presented").field("bearer", &bearer).field("peer", &self.peer).finish()
    }
}

// === impl Authenticated ===

impl Authenticated {
    pub(crate) const fn vouched(principal: Arc<Principal>) -> Self {
        Self { principal }
    }

    /// Returns who calls.
    pub const fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Returns the same caller under the agent's name that it gives itself in a request. Without a token the name is
    /// believed, as agent-mcp-gateway does, and audit says so; a token's agent cannot be changed.
    ///
    /// # Errors
    /// [`ForeignAgent`] when the caller's token belongs to another agent.
    pub fn claim(&self, agent: AgentId) -> Result<Self, ForeignAgent> {
        if self.principal.agent_source == AgentSource::Token {
            let is_its_own = self.principal.agent == agent;
            return if is_its_own { Ok(self.clone()) } else { Err(ForeignAgent { claimed: agent }) };
        }
        let principal = Principal { agent, agent_source: AgentSource::Claimed, ..(*self.principal).clone() };
        Ok(Self { principal: Arc::new(principal) })
    }
}

// === impl Identity ===

impl Identity {
    /// Builds the door. `clock` decides about expiry.
    pub fn new(settings: IdentitySettings, clock: Arc<dyn Clock>) -> Self {
        let IdentitySettings { agent, agent_source, configured, state_dir } = settings;
        Self {
            access_tokens: AccessTokens::new(configured, state_dir, clock),
            local_launch: LocalLaunch::new(agent, agent_source),
        }
    }

    /// Puts other settings in force: the agent of callers without a token, and the tokens of the configuration. The state
    /// directory stays.
    pub fn reconfigure(&self, agent: AgentId, agent_source: AgentSource, configured: Vec<TokenRecord>) {
        self.local_launch.rename(agent, agent_source);
        self.access_tokens.replace_configured(configured);
    }

    /// Finds out who calls. Costs a hash and one `stat` of the file of tokens, which is read anew when it changed:
    /// a revoked token dies on its next request. Blocks for that file access; does not wait.
    ///
    /// # Errors
    /// [`AuthError`], also when the file of tokens cannot be read: then nobody is let in but the launcher on stdio
    /// and holders of tokens of the configuration file.
    pub fn authenticate(&self, presented: Presented<'_>) -> Result<Authenticated, AuthError> {
        let verdict = match self.access_tokens.judge(presented) {
            Verdict::NotRequested => self.local_launch.judge(presented.peer, &self.access_tokens),
            settled @ (Verdict::Authenticated(_) | Verdict::Failed(_)) => settled,
        };
        match verdict {
            Verdict::Authenticated(caller) => Ok(caller),
            Verdict::Failed(error) => Err(error),
            Verdict::NotRequested => Err(AuthError::TokenRequired),
        }
    }

    /// Tells whether a caller that came over HTTP would be let in now as who it is, with the same grant: its token was not
    /// revoked or changed and has not expired; or it had none, and none is needed yet. For streams that outlive the request that opened them. Costs a
    /// look through the table of tokens, and blocks for one file access.
    pub fn still_vouches(&self, caller: &Authenticated) -> bool {
        let principal = caller.principal();
        match &principal.token {
            Some(token) => self.access_tokens.still_stand_for(principal, token),
            None => match self.local_launch.judge(Peer::Loopback, &self.access_tokens) {
                Verdict::Authenticated(now) => now.principal() == principal,
                Verdict::Failed(_) | Verdict::NotRequested => false,
            },
        }
    }

    /// Tells whether callers over HTTP need a token: one is configured, or the file of tokens exists. It stays so
    /// for the life of the process, also when the last token is revoked or the file is deleted.
    ///
    /// # Errors
    /// [`AuthError::TokensUnavailable`] when the file cannot be read.
    pub fn requires_token(&self) -> Result<bool, AuthError> {
        self.access_tokens.are_required()
    }
}

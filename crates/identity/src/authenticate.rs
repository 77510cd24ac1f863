//! The door: asks each scheme in turn and lets nobody in whom no scheme vouches for.
//! How a scheme decides is in `schemes/`.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::{AgentId, AgentSource, Clock, Principal};

use crate::{
    AuthError, TokenHash, TokenRecord,
    schemes::{
        Verdict,
        access_token::{AccessTokens, TokensState},
        local_launch::LocalLaunch,
    },
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
#[derive(Clone)]
pub struct Authenticated {
    principal: Arc<Principal>,
    /// Which secret it was, where there was one: another one under the same id is another grant.
    secret: Option<TokenHash>,
}

/// What tells one state of the grants from another: while it is the same, everybody that was vouched for still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// How often other settings were put in force.
    settings: u64,
    tokens: TokensState,
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
    /// Counts the settings that were put in force.
    settings: AtomicU64,
}

// === impl Presented ===

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bearer = if self.bearer.is_some() { "[secret]" } else { "none" };
        f.debug_struct("Presented").field("bearer", &bearer).field("peer", &self.peer).finish()
    }
}

// === impl Authenticated ===

impl Authenticated {
    /// Somebody who needs no secret.
    pub(crate) const fn vouched(principal: Arc<Principal>) -> Self {
        Self { principal, secret: None }
    }

    /// Somebody who showed the token of this hash.
    pub(crate) const fn with_token(principal: Arc<Principal>, hash: TokenHash) -> Self {
        Self { principal, secret: Some(hash) }
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
        Ok(Self { principal: Arc::new(principal), secret: None })
    }
}

impl fmt::Debug for Authenticated {
    /// Shows who it is, and nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").field("principal", &self.principal).finish_non_exhaustive()
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
            settings: AtomicU64::new(0),
        }
    }

    /// Puts other settings in force: the agent of callers without a token, and the tokens of the configuration. The state
    /// directory stays.
    pub fn reconfigure(&self, agent: AgentId, agent_source: AgentSource, configured: Vec<TokenRecord>) {
        self.local_launch.rename(agent, agent_source);
        self.access_tokens.replace_configured(configured);
        // Last, so that whoever sees the new number sees the new settings.
        self.settings.fetch_add(1, Ordering::Release);
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

    /// Tells whether a caller that came over HTTP would be let in now as who it is, with the same secret and the same
    /// grant: its token was not revoked, replaced or changed and has not expired; or it had none, and none is needed
    /// yet. For streams that outlive the request that opened them. Costs a look-up, and blocks for one file access.
    pub fn still_vouches(&self, caller: &Authenticated) -> bool {
        let now = match &caller.secret {
            Some(hash) => self.access_tokens.admitted(hash).ok(),
            None => match self.local_launch.judge(Peer::Loopback, &self.access_tokens) {
                Verdict::Authenticated(now) => Some(now),
                Verdict::Failed(_) | Verdict::NotRequested => None,
            },
        };
        now.is_some_and(|now| now.principal == caller.principal)
    }

    /// Tells whether what a caller has begun may go on: the token it came with was neither revoked nor replaced. Calls
    /// finish with the right that they began with, so neither a changed grant nor an expiry ends them. Costs as much as
    /// [`Identity::still_vouches`].
    pub fn still_tolerates(&self, caller: &Authenticated) -> bool {
        let Some(hash) = &caller.secret else { return true };
        match self.access_tokens.admitted(hash) {
            Ok(_) | Err(AuthError::ExpiredToken(_)) => true,
            Err(_) => false,
        }
    }

    /// Returns the state of the grants. Who waits for its caller to lose its own looks at this now and then, and asks
    /// [`Identity::still_vouches`] when it is another one. Costs a look at the expiry of each token, and blocks for a file
    /// access.
    pub fn grants(&self) -> Grants {
        let settings = self.settings.load(Ordering::Acquire);
        Grants { settings, tokens: self.access_tokens.state() }
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

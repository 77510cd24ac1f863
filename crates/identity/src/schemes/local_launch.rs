//! Local launch: whoever starts the gateway on stdio is its user, and so is every program of this machine as long
//! as no token was ever configured.

use std::sync::Arc;

use domain::{AgentId, AgentSource, Principal, ServerScope};

use super::{Verdict, access_token::AccessTokens};
use crate::{AuthError, Authenticated, Peer};

/// Lets local callers in under the name that the launcher chose.
#[derive(Debug)]
pub(crate) struct LocalLaunch {
    caller: Authenticated,
}

impl LocalLaunch {
    pub(crate) fn new(agent: AgentId, agent_source: AgentSource) -> Self {
        let principal = Principal {
            agent,
            agent_source,
            user: None,
            roles: Vec::new(),
            token: None,
            servers: ServerScope::All,
        };
        Self { caller: Authenticated::vouched(Arc::new(principal)) }
    }

    pub(crate) fn judge(&self, peer: Peer, tokens: &AccessTokens) -> Verdict {
        match peer {
            Peer::Stdio => Verdict::Authenticated(self.caller.clone()),
            Peer::Loopback => match tokens.are_required() {
                Ok(false) => Verdict::Authenticated(self.caller.clone()),
                Ok(true) => Verdict::Failed(AuthError::TokenRequired),
                Err(error) => Verdict::Failed(error),
            },
            Peer::Network => Verdict::NotRequested,
        }
    }
}

//! Local launch: whoever starts the gateway on stdio is its user, and so is every program of this machine as long
//! as no token was ever configured.

use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::{AgentId, AgentSource, Principal, ServerScope};

use super::{Verdict, access_token::AccessTokens};
use crate::{AuthError, Authenticated, Peer};

/// Lets local callers in under the name that the launcher chose.
#[derive(Debug)]
pub(crate) struct LocalLaunch {
    caller: ArcSwap<Authenticated>,
}

impl LocalLaunch {
    pub(crate) fn new(agent: AgentId, agent_source: AgentSource) -> Self {
        Self { caller: ArcSwap::from_pointee(vouched(agent, agent_source)) }
    }

    /// Changes the name; requests that began keep theirs.
    pub(crate) fn rename(&self, agent: AgentId, agent_source: AgentSource) {
        self.caller.store(Arc::new(vouched(agent, agent_source)));
    }

    pub(crate) fn judge(&self, peer: Peer, tokens: &AccessTokens) -> Verdict {
        match peer {
            Peer::Stdio => Verdict::Authenticated(self.caller()),
            Peer::Loopback => match tokens.are_required() {
                Ok(false) => Verdict::Authenticated(self.caller()),
                Ok(true) => Verdict::Failed(AuthError::TokenRequired),
                Err(error) => Verdict::Failed(error),
            },
            Peer::Network => Verdict::NotRequested,
        }
    }

    fn caller(&self) -> Authenticated {
        self.caller.load().as_ref().clone()
    }
}

fn vouched(agent: AgentId, agent_source: AgentSource) -> Authenticated {
    let principal = Principal {
        agent,
        agent_source,
        user: None,
        roles: Vec::new(),
        token: None,
        servers: ServerScope::All,
    };
    Authenticated::vouched(Arc::new(principal))
}

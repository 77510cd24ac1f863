//! The identity chain: what happens when a caller named no agent. Who the caller is was settled in `identity`; here
//! the rules say whether that is enough for them.

use domain::{AgentId, AgentSource, Principal};

use crate::Rules;

/// Who a caller is under rules cannot be said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAgent {
    /// The rules want every caller to name itself.
    #[error("Missing required parameter 'agent_id'. All tool calls must include agent identity.")]
    Missing,
    /// The agent that stands in for callers without a name has no rules.
    #[error(
        "Missing 'agent_id' parameter and fallback agent '{agent}' is not configured in gateway rules.\n{ADVICE}"
    )]
    FallbackNotInRules {
        /// The agent that was meant to stand in.
        agent: AgentId,
    },
    /// No agent stands in for callers without a name.
    #[error("Missing 'agent_id' parameter and no fallback agent configured.\n{ADVICE}")]
    NoFallback,
}

/// The end of both sentences about the fallback, as agent-mcp-gateway's clients know it.
const ADVICE: &str = "Either provide 'agent_id' in your tool calls, or ask the user to configure the gateway \
    fallback settings. See gateway documentation for configuration options.";

impl NoAgent {
    /// Returns the code that clients get.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "INVALID_AGENT_ID",
            Self::FallbackNotInRules { .. } => "FALLBACK_AGENT_NOT_IN_RULES",
            Self::NoFallback => "NO_FALLBACK_CONFIGURED",
        }
    }
}

/// Says whether `rules` know who `principal` is.
pub(crate) fn require_agent(rules: &Rules, principal: &Principal) -> Result<(), NoAgent> {
    let in_rules = rules.has_agent(principal.agent.as_str());
    let not_in_rules = || NoAgent::FallbackNotInRules { agent: principal.agent.clone() };
    match principal.agent_source {
        AgentSource::Token | AgentSource::Claimed => Ok(()),
        AgentSource::Launch if in_rules => Ok(()),
        AgentSource::Launch => Err(not_in_rules()),
        AgentSource::Fallback | AgentSource::Builtin if rules.denies_missing_agent() => Err(NoAgent::Missing),
        AgentSource::Fallback | AgentSource::Builtin if in_rules => Ok(()),
        AgentSource::Fallback => Err(not_in_rules()),
        AgentSource::Builtin => Err(NoAgent::NoFallback),
    }
}

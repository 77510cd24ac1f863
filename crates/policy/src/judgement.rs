//! A decision as it is made: a rung and the place in the rules, by reference. Texts are written when asked for.

use domain::Principal;

use crate::{Step, Verdict};

/// What was asked, by the names that the caller gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) agent: &'a str,
    pub(crate) server: &'a str,
    pub(crate) tool: Option<&'a str>,
}

/// A decision: the rung, and where in the rules it fell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgement<'a> {
    pub(crate) step: Step,
    pub(crate) ground: Ground<'a>,
}

/// Where in the configuration a decision fell.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ground<'a> {
    /// There are no rules.
    Nowhere,
    /// What the caller's token grants.
    Token,
    /// The bound on names.
    NameBound,
    /// `defaults.deny_on_missing_agent`
    Defaults,
    /// A key of the agent's rules, by its path below the agent.
    Key(&'a str),
    /// An entry of a list of servers.
    Servers(Side, Entry<'a>),
    /// A list of servers as a whole: nothing in it matched.
    NoServers(Side),
    /// An entry of the list of tools under `key`.
    Tools { side: Side, key: &'a str, entry: Entry<'a> },
    /// The list of tools under the key as a whole: nothing in it matched.
    NoTools { side: Side, key: &'a str },
}

/// Which half of an agent's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Allow,
    Deny,
}

/// An entry of a list: its place, counted from 0, and its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) index: usize,
    pub(crate) pattern: &'a str,
}

impl Side {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl<'a> Judgement<'a> {
    pub(crate) const fn new(step: Step, ground: Ground<'a>) -> Self {
        Self { step, ground }
    }

    /// Writes the path of the rule for a caller with a token or without.
    pub(crate) fn rule(&self, principal: &Principal) -> String {
        match self.ground {
            Ground::Token => {
                let token = principal.token.as_ref().map_or("local", |token| token.as_str());
                format!("tokens.{token}.servers")
            }
            _ => self.ground.path(principal.agent.as_str()),
        }
    }

    /// Writes the decision about `question` for a caller.
    pub(crate) fn verdict(&self, principal: &Principal, question: &Question<'_>) -> Verdict {
        Verdict { rule: self.rule(principal), ..self.verdict_by_name(question) }
    }

    /// Writes the decision about `question`, which names the agent.
    pub(crate) fn verdict_by_name(&self, question: &Question<'_>) -> Verdict {
        Verdict {
            allowed: self.step.allows(),
            rule: self.ground.path(question.agent),
            step: self.step,
            reason: self.reason(question),
        }
    }

    fn pattern(&self) -> &'a str {
        match self.ground {
            Ground::Servers(_, entry) | Ground::Tools { entry, .. } => entry.pattern,
            Ground::Nowhere
            | Ground::Token
            | Ground::NameBound
            | Ground::Defaults
            | Ground::Key(_)
            | Ground::NoServers(_)
            | Ground::NoTools { .. } => "",
        }
    }

    fn reason(&self, &Question { agent, server, tool }: &Question<'_>) -> String {
        let pattern = self.pattern();
        let tool = tool.unwrap_or_default();
        match self.step {
            Step::NoRules => "There are no rules; everything is allowed".to_owned(),
            Step::TokenGrant => format!("Server '{server}' not reached by the token of agent '{agent}'"),
            Step::NameTooLong => "A name in the request is longer than any name can be".to_owned(),
            Step::AgentMissing => "No agent was named; default policy denies access".to_owned(),
            Step::AgentUnreadable => {
                let key = if let Ground::Key(key) = self.ground { key } else { "" };
                format!(
                    "Agent '{agent}' has an unknown key '{key}' that may be a restriction; access is denied"
                )
            }
            Step::UnknownAgentDenied => {
                format!("Agent '{agent}' not found in rules; default policy denies access")
            }
            Step::UnknownAgentAllowed => {
                format!("Agent '{agent}' not found in rules; default policy allows access")
            }
            Step::ServerDenyExplicit => format!("Server '{server}' explicitly denied for agent '{agent}'"),
            Step::ServerDenyWildcard | Step::ServerDenyPattern => {
                format!("Server '{server}' denied by pattern '{pattern}' for agent '{agent}'")
            }
            Step::ServerAllowExplicit => format!("Server '{server}' explicitly allowed"),
            Step::ServerAllowWildcard => "Server allowed by wildcard '*'".to_owned(),
            Step::ServerAllowPattern => format!("Server '{server}' allowed by pattern '{pattern}'"),
            Step::ServerNotAllowed => format!("Server '{server}' not in allowed list for agent '{agent}'"),
            Step::ToolDenyExplicit => {
                format!("Tool '{tool}' explicitly denied for agent '{agent}' on server '{server}'")
            }
            Step::ToolDenyWildcard => format!(
                "Tool '{tool}' denied by pattern '{pattern}' for agent '{agent}' on server '{server}'"
            ),
            Step::ToolAllowExplicit => {
                format!("Tool '{tool}' explicitly allowed for agent '{agent}' on server '{server}'")
            }
            Step::ToolAllowWildcard => format!(
                "Tool '{tool}' allowed by pattern '{pattern}' for agent '{agent}' on server '{server}'"
            ),
            Step::ImplicitGrant => format!(
                "Tool '{tool}' allowed for agent '{agent}': server '{server}' is granted and no list narrows its tools"
            ),
            Step::ToolNotInAllowList => {
                format!("Tool '{tool}' not in allowed list for agent '{agent}' on server '{server}'")
            }
        }
    }
}

impl Ground<'_> {
    /// Writes the path of the rule among the rules of `agent`; a token is told by its caller alone.
    pub(crate) fn path(&self, agent: &str) -> String {
        match self {
            Self::Nowhere => String::new(),
            Self::Token => "tokens.local.servers".to_owned(),
            Self::NameBound => "limits.name_bytes".to_owned(),
            Self::Defaults => "defaults.deny_on_missing_agent".to_owned(),
            Self::Key(key) => format!("agents.{agent}.{key}"),
            Self::Servers(side, entry) => {
                format!("agents.{agent}.{}.servers[{}]", side.as_str(), entry.index)
            }
            Self::NoServers(side) => format!("agents.{agent}.{}.servers", side.as_str()),
            Self::Tools { side, key, entry } => {
                format!("agents.{agent}.{}.tools.{key}[{}]", side.as_str(), entry.index)
            }
            Self::NoTools { side, key } => format!("agents.{agent}.{}.tools.{key}", side.as_str()),
        }
    }
}

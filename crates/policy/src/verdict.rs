//! What was decided, in the form in which people read it. The rungs are climbed in `rules/judge.rs`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::About;

/// A decision with the rule that made it.
///
/// The texts hold names as they were given: whoever prints them must escape them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether the caller may.
    pub allowed: bool,
    /// The path of the rule that decided: `agents.backend.deny.tools.postgres[0]`. Empty only where there are no rules.
    pub rule: String,
    /// The rung of the order of precedence on which the decision fell.
    pub step: Step,
    /// The same as a sentence.
    pub reason: String,
}

/// The rung of the order of precedence on which a decision fell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// There are no rules.
    NoRules,
    /// The caller's own token does not reach the server.
    TokenGrant,
    /// A name in the request is longer than any name can be.
    NameTooLong,
    /// Nobody named an agent, and the rules want one named.
    AgentMissing,
    /// The agent's rules hold a key that looks like a misspelled restriction.
    AgentUnreadable,
    /// The agent has no rules.
    UnknownAgentDenied,
    /// The agent has no rules, and agents without rules may use everything (compatible reading only).
    UnknownAgentAllowed,
    /// The server's name stands in `deny.servers`.
    ServerDenyExplicit,
    /// `*` stands in `deny.servers`.
    ServerDenyWildcard,
    /// A pattern in `deny.servers` matches.
    ServerDenyPattern,
    /// The server's name stands in `allow.servers`.
    ServerAllowExplicit,
    /// `*` stands in `allow.servers`.
    ServerAllowWildcard,
    /// A pattern in `allow.servers` matches.
    ServerAllowPattern,
    /// Nothing in `allow.servers` names the server.
    ServerNotAllowed,
    /// The tool's name stands in `deny.tools`.
    ToolDenyExplicit,
    /// A pattern in `deny.tools` matches.
    ToolDenyWildcard,
    /// The tool's name stands in `allow.tools`.
    ToolAllowExplicit,
    /// A pattern in `allow.tools` matches.
    ToolAllowWildcard,
    /// The server is granted, and no list narrows its tools.
    ImplicitGrant,
    /// A list narrows the server's tools, and the tool is not in it.
    ToolNotInAllowList,
}

impl Step {
    /// Returns the rung's name as audit and the command line print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRules => "no_rules",
            Self::TokenGrant => "token_grant",
            Self::NameTooLong => "name_too_long",
            Self::AgentMissing => "agent_missing",
            Self::AgentUnreadable => "agent_unreadable",
            Self::UnknownAgentDenied => "unknown_agent_denied",
            Self::UnknownAgentAllowed => "unknown_agent_allowed",
            Self::ServerDenyExplicit => "server_deny_explicit",
            Self::ServerDenyWildcard => "server_deny_wildcard",
            Self::ServerDenyPattern => "server_deny_pattern",
            Self::ServerAllowExplicit => "server_allow_explicit",
            Self::ServerAllowWildcard => "server_allow_wildcard",
            Self::ServerAllowPattern => "server_allow_pattern",
            Self::ServerNotAllowed => "server_not_allowed",
            Self::ToolDenyExplicit => "tool_deny_explicit",
            Self::ToolDenyWildcard => "tool_deny_wildcard",
            Self::ToolAllowExplicit => "tool_allow_explicit",
            Self::ToolAllowWildcard => "tool_allow_wildcard",
            Self::ImplicitGrant => "implicit_grant",
            Self::ToolNotInAllowList => "tool_not_in_allow_list",
        }
    }

    /// Tells whether a decision on this rung is in the caller's favour.
    pub const fn allows(self) -> bool {
        match self {
            Self::NoRules
            | Self::UnknownAgentAllowed
            | Self::ServerAllowExplicit
            | Self::ServerAllowWildcard
            | Self::ServerAllowPattern
            | Self::ToolAllowExplicit
            | Self::ToolAllowWildcard
            | Self::ImplicitGrant => true,
            Self::TokenGrant
            | Self::NameTooLong
            | Self::AgentMissing
            | Self::AgentUnreadable
            | Self::UnknownAgentDenied
            | Self::ServerDenyExplicit
            | Self::ServerDenyWildcard
            | Self::ServerDenyPattern
            | Self::ServerNotAllowed
            | Self::ToolDenyExplicit
            | Self::ToolDenyWildcard
            | Self::ToolNotInAllowList => false,
        }
    }

    /// Returns what a decision on this rung is about: the tool alone, or already its server.
    pub const fn about(self) -> About {
        match self {
            Self::ToolDenyExplicit
            | Self::ToolDenyWildcard
            | Self::ToolAllowExplicit
            | Self::ToolAllowWildcard
            | Self::ImplicitGrant
            | Self::ToolNotInAllowList => About::Tool,
            Self::NoRules
            | Self::TokenGrant
            | Self::NameTooLong
            | Self::AgentMissing
            | Self::AgentUnreadable
            | Self::UnknownAgentDenied
            | Self::UnknownAgentAllowed
            | Self::ServerDenyExplicit
            | Self::ServerDenyWildcard
            | Self::ServerDenyPattern
            | Self::ServerAllowExplicit
            | Self::ServerAllowWildcard
            | Self::ServerAllowPattern
            | Self::ServerNotAllowed => About::Server,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

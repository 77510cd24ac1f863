//! A verdict against: the rule that spoke, and whether it was the server or only the tool that was refused.

use crate::{Step, Verdict};

/// A verdict against, with the rule that spoke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("denied by {rule}")]
pub struct Denial {
    /// The path of the rule, as it stands in audit: `tokens.<id>.servers`, `agents.<id>.deny.tools.<server>[0]`.
    pub rule: String,
    /// The rung of the order of precedence on which the decision fell.
    pub step: Step,
    /// What was refused.
    pub about: About,
}

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The whole server.
    Server,
    /// One tool of a server that the caller may otherwise use.
    Tool,
}

impl Denial {
    /// Builds the denial of a server by `rule`, on the rung of the token's grant.
    pub fn by_rule(rule: impl Into<String>) -> Self {
        Self::new(rule.into(), Step::TokenGrant)
    }

    pub(crate) const fn new(rule: String, step: Step) -> Self {
        Self { rule, step, about: step.about() }
    }

    /// Returns the denial that `verdict` is; `None` if it is in favour.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        (!verdict.allowed).then(|| Self::new(verdict.rule.clone(), verdict.step))
    }

    /// Returns the sentence that clients get, in agent-mcp-gateway's words.
    pub fn message(&self, agent: &str, server: &str, tool: &str) -> String {
        match self.about {
            About::Server => format!("Agent '{agent}' cannot access server '{server}'"),
            About::Tool => {
                format!("Agent '{agent}' not authorized to call tool '{tool}' on server '{server}'")
            }
        }
    }
}

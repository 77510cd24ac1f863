//! Rules by agent: read from a file or a section of one (`read.rs`), compiled (`build.rs`), judged (`judge.rs`),
//! listed (`listing.rs`) and explained (`explain.rs`).

use indexmap::IndexMap;

use crate::{
    Step, Verdict,
    judgement::{Ground, Judgement, Question},
};

mod build;
mod config;
mod explain;
mod judge;
mod keys;
mod listing;
mod notices;
mod patterns;
mod read;

pub use build::Built;
pub use config::{Notice, RulesConfig, RulesSection};
pub use explain::{ExplainedRule, ExplainedServer, Explanation};
pub(crate) use judge::Standing;
pub use read::{read, read_shape};

/// How rules are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// A file of agent-mcp-gateway with its holes closed: it allows nothing that the peer denies.
    Strict,
    /// A file of agent-mcp-gateway as its version 0.2.5 understands it, holes included.
    AgentMcpGateway,
    /// The section `rules` of `toolgate.yaml`: as strict, patterns complete on both sides, unknown keys are faults.
    Own,
}

/// The rules of all agents, compiled and ready to be asked.
#[derive(Debug)]
pub struct Rules {
    reading: Reading,
    denies_missing_agent: bool,
    agents: IndexMap<Box<str>, judge::AgentRules>,
}

impl Rules {
    /// Returns how the rules are understood.
    pub const fn reading(&self) -> Reading {
        self.reading
    }

    /// Returns the agents that have rules, in the order in which they are written.
    pub fn agent_ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.agents.keys().map(AsRef::as_ref)
    }

    /// Tells whether the agent has rules.
    pub fn has_agent(&self, agent: &str) -> bool {
        self.agents.contains_key(agent)
    }

    /// Tells whether callers that name no agent are refused.
    pub const fn denies_missing_agent(&self) -> bool {
        self.denies_missing_agent
    }

    /// Decides about a server, or a tool of it, for an agent that named itself. No name need exist.
    ///
    /// Takes time with the length of the names; [`crate::Policy::judge`] bounds it.
    pub fn judge(&self, agent: &str, server: &str, tool: Option<&str>) -> Verdict {
        self.standing(agent).judge(server, tool).verdict_by_name(&Question { agent, server, tool })
    }

    /// Returns what the agent stands on.
    pub(crate) fn standing(&self, agent: &str) -> Standing<'_> {
        let refused = |step, ground| Standing::Refused(Judgement::new(step, ground));
        match self.agents.get(agent) {
            Some(rules) => match &rules.unreadable {
                Some(key) => refused(Step::AgentUnreadable, Ground::Key(key)),
                None => Standing::Agent(rules),
            },
            None if self.allows_unknown() => Standing::Everything,
            None => refused(Step::UnknownAgentDenied, Ground::Defaults),
        }
    }

    /// Whether an agent without rules may use everything, as the peer has it.
    fn allows_unknown(&self) -> bool {
        match self.reading {
            Reading::AgentMcpGateway => !self.denies_missing_agent,
            Reading::Strict | Reading::Own => false,
        }
    }
}

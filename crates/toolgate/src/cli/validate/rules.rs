//! What `toolgate validate` says of the rules: where they stand, whose reading counts, which agents they name. What an
//! agent may do in particular: `toolgate policy explain`.

use serde_json::{Value, json};

use super::super::output;
use crate::{
    announce::UnknownAgents,
    config::{Compat, Loaded},
};

/// The rules of a configuration.
pub(super) enum RulesInForce {
    /// There are none.
    None,
    /// There are some.
    Written {
        /// Their file, or the section that holds them.
        source: String,
        /// The agents that they name, in their order.
        agents: Vec<String>,
        /// What becomes of others.
        unknown_agents: UnknownAgents,
        /// Whose reading counts.
        compat: Compat,
    },
}

impl RulesInForce {
    pub(super) fn of(loaded: &Loaded) -> Self {
        let Some(rules) = loaded.config.policy.rules() else { return Self::None };
        let source = match &loaded.rules_source {
            Some(file) => file.display().to_string(),
            None => "`rules`".to_owned(),
        };
        let agents = rules.agent_ids().map(str::to_owned).collect();
        Self::Written { source, agents, unknown_agents: UnknownAgents::under(rules), compat: loaded.compat }
    }

    /// Returns lines without a line end after the last.
    pub(super) fn text(&self) -> String {
        let Self::Written { source, agents, unknown_agents, compat } = self else {
            return "no rules: callers on this machine may use every tool of every server".to_owned();
        };
        let count = super::output::counted(agents.len(), "agent");
        let others = match unknown_agents {
            UnknownAgents::Denied => "others may use nothing",
            UnknownAgents::Allowed => "others may use everything",
        };
        let reading = match compat {
            Compat::Toolgate => "",
            Compat::AgentMcpGateway => ", read as agent-mcp-gateway does",
        };
        let mut text = format!("{}: {count}, {others}{reading}", output::printable(source));
        for agent in agents {
            text.push_str(&format!("\n  agent: {}", output::printable(agent)));
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let Self::Written { source, agents, unknown_agents, compat } = self else { return Value::Null };
        let unknown_agents = match unknown_agents {
            UnknownAgents::Denied => "deny",
            UnknownAgents::Allowed => "allow",
        };
        let compat = match compat {
            Compat::Toolgate => Value::Null,
            Compat::AgentMcpGateway => Value::from("agent-mcp-gateway"),
        };
        json!({"source": source, "agents": agents, "unknown_agents": unknown_agents, "compat": compat})
    }
}

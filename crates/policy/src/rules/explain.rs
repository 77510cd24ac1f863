//! What an agent's rules come to, server by server, for people who want to know before it matters.

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::{
    Reading, Rules, Standing,
    judge::AgentRules,
    patterns::{Name, PatternList, ToolList},
};
use crate::{
    Verdict,
    judgement::{Ground, Question, Side},
    pattern,
};

/// What one agent may use, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The agent.
    pub agent: String,
    /// Whether the agent has rules.
    pub has_rules: bool,
    /// The servers that the agent's rules name, by name or pattern, in the order in which they are written.
    pub servers: Vec<ExplainedServer>,
    /// What else should be known, as sentences.
    pub notes: Vec<String>,
}

/// What the rules come to for a server, or for the servers that a pattern stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedServer {
    /// The server's name or the pattern, as written.
    pub server: String,
    /// The decision about the server. For a pattern, about a server that would be named like it.
    pub verdict: Verdict,
    /// Whether the server's tools are those in `allowed` only; else all of them are granted with the server.
    pub narrowed: bool,
    /// The entries that allow tools.
    pub allowed: Vec<ExplainedRule>,
    /// The entries that deny tools, whatever allows them.
    pub denied: Vec<ExplainedRule>,
}

/// An entry of a list of tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRule {
    /// The path of the rule.
    pub rule: String,
    /// The tool's name or the pattern, as written.
    pub tool: String,
}

impl Rules {
    /// Explains what the agent may use.
    pub fn explain(&self, agent: &str) -> Explanation {
        let mut explanation = Explanation {
            agent: agent.to_owned(),
            has_rules: self.has_agent(agent),
            servers: Vec::new(),
            notes: Vec::new(),
        };
        match self.standing(agent) {
            Standing::NoRules | Standing::Everything => explanation.notes.push(format!(
                "Agent '{agent}' is not in the rules, and agents without rules may use everything"
            )),
            Standing::Refused(judgement) => {
                let question = Question { agent, server: "", tool: None };
                explanation.notes.push(judgement.verdict_by_name(&question).reason);
            }
            Standing::Agent(rules) => {
                let servers = named_servers(rules).into_iter();
                explanation.servers = servers.map(|server| explained(rules, agent, server)).collect();
                explanation.notes = self.notes(agent, rules);
            }
        }
        explanation
    }

    fn notes(&self, agent: &str, rules: &AgentRules) -> Vec<String> {
        let mut notes = Vec::new();
        if rules.allow.servers.is_empty() {
            notes.push(format!("Agent '{agent}' is granted no server: 'allow.servers' is empty or missing"));
        }
        if self.reading == Reading::AgentMcpGateway {
            notes.push("The rules are read as agent-mcp-gateway reads them, with its holes".to_owned());
        }
        notes
    }
}

/// Returns the servers that the rules name, each once.
fn named_servers(rules: &AgentRules) -> Vec<&str> {
    let halves = [&rules.allow, &rules.deny];
    let servers = halves.iter().flat_map(|half| half.servers.written().map(|entry| entry.pattern));
    let keys = halves.iter().flat_map(|half| half.tools.lists().iter().map(|list| &*list.key));
    let mut named = IndexSet::new();
    named.extend(servers.chain(keys));
    named.into_iter().collect()
}

fn explained(rules: &AgentRules, agent: &str, server: &str) -> ExplainedServer {
    let question = Question { agent, server, tool: None };
    let narrowing = || rules.allow.tools.narrowing(server);
    let entries = |side, list: &ToolList| tool_rules(agent, side, &list.key, &list.patterns);
    // A list whose key matches in two ways is still one list.
    let denying = rules.deny.tools.denying(Name::raw(server)).map(|list| (&*list.key, list));
    let denying: IndexMap<&str, &ToolList> = denying.collect();
    ExplainedServer {
        server: server.to_owned(),
        verdict: Standing::Agent(rules).judge(server, None).verdict_by_name(&question),
        narrowed: narrowing().next().is_some(),
        allowed: narrowing().flat_map(|list| entries(Side::Allow, list)).collect(),
        denied: denying.into_values().flat_map(|list| entries(Side::Deny, list)).collect(),
    }
}

fn tool_rules(agent: &str, side: Side, key: &str, list: &PatternList) -> Vec<ExplainedRule> {
    let rule = |entry| ExplainedRule {
        rule: Ground::Tools { side, key, entry }.path(agent),
        tool: entry.pattern.to_owned(),
    };
    list.written().map(rule).collect()
}

impl ExplainedServer {
    /// Tells whether the entry is a pattern that stands for several servers.
    pub fn is_pattern(&self) -> bool {
        pattern::is_pattern(&self.server)
    }
}

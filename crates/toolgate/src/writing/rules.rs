//! Rules to be written: those of an agent-mcp-gateway file, or those that somebody just chose. What is written means the
//! same in the section `rules` as it did where it came from.

use domain::ConfigFault;
use indexmap::IndexMap;
use policy::{
    Reading, Rules, Step,
    rules::{self, Built},
};
use serde_json::{Map, Value, json};

use super::{draft::Grants, yaml};
use crate::config::DEFAULT_AGENT;

/// Rules to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesDraft {
    /// The file they come from, as a person reads it; none: somebody just chose them.
    pub origin: Option<String>,
    /// What should be known about them, as sentences.
    pub remarks: Vec<String>,
    denies_missing_agent: bool,
    agents: IndexMap<String, AgentDraft>,
}

/// The rules of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct AgentDraft {
    allow: HalfDraft,
    deny: HalfDraft,
    remark: Option<String>,
}

/// What is allowed, or what is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct HalfDraft {
    servers: Vec<String>,
    tools: IndexMap<String, Vec<String>>,
}

/// Why rules cannot be taken over; every fault is named.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct RulesFault(pub Vec<ConfigFault>);

// === impl RulesDraft ===

impl RulesDraft {
    /// Takes the rules of an agent-mcp-gateway file over, in the strict reading.
    ///
    /// # Errors
    /// [`RulesFault`] when they cannot be read.
    pub fn adopt(file: &Value, origin: &str) -> Result<Self, RulesFault> {
        let config = rules::read(file, Reading::Strict).map_err(RulesFault)?;
        let Built { rules, warnings } = Rules::build(&config, Reading::Strict).map_err(RulesFault)?;
        let agents = file.get("agents").and_then(Value::as_object).into_iter().flatten();
        let agents = agents.map(|(id, agent)| (id.clone(), AgentDraft::adopt(id, agent, &rules)));
        Ok(Self {
            origin: Some(origin.to_owned()),
            remarks: warnings.iter().map(ToString::to_string).collect(),
            denies_missing_agent: rules.denies_missing_agent(),
            agents: agents.collect(),
        })
    }

    /// Makes the rules that grant what somebody chose.
    pub fn of_grants(grants: &Grants) -> Self {
        let granting = |servers: &[String]| AgentDraft {
            allow: HalfDraft { servers: servers.to_vec(), tools: IndexMap::new() },
            ..AgentDraft::default()
        };
        let (denies_missing_agent, agents) = match grants {
            // Callers that name nobody are this agent, and there is no other.
            Grants::SingleAgent => (false, [(DEFAULT_AGENT.to_owned(), granting(&["*".to_owned()]))].into()),
            Grants::MultiAgent(agents) => {
                (true, agents.iter().map(|(id, servers)| (id.clone(), granting(servers))).collect())
            }
        };
        Self { origin: None, remarks: Vec::new(), denies_missing_agent, agents }
    }

    /// Returns the agents in order.
    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.agents.keys().map(String::as_str)
    }

    /// Returns them as agent-mcp-gateway writes them. An agent that gets nothing because its rules cannot be read gets
    /// nothing there, too.
    pub(super) fn to_json(&self) -> Value {
        let agents = self.agents.iter().map(|(id, agent)| (id.clone(), agent.to_json()));
        json!({
            "agents": agents.collect::<Map<_, _>>(),
            "defaults": {"deny_on_missing_agent": self.denies_missing_agent},
        })
    }

    /// Writes the section `rules`.
    pub(super) fn write(&self, text: &mut String) {
        text.push_str("rules:\n  agents:");
        if self.agents.is_empty() {
            text.push_str(" {}");
        }
        text.push('\n');
        for (id, agent) in &self.agents {
            if let Some(remark) = &agent.remark {
                text.push_str(&format!("    # {}\n", yaml::comment(remark)));
            }
            let value = agent.to_json();
            let is_empty = value.as_object().is_some_and(Map::is_empty);
            text.push_str(&format!("    {}:{}\n", yaml::text(id), if is_empty { " {}" } else { "" }));
            write_map(&value, "      ", text);
        }
        let missing = self.denies_missing_agent;
        let meaning = if missing { "are refused" } else { "are the agent `default`" };
        text.push_str(&format!(
            "  defaults:\n    deny_on_missing_agent: {missing}    # callers that name no agent {meaning}\n"
        ));
    }
}

/// Maps on lines of their own, lists on one.
fn write_map(value: &Value, indent: &str, text: &mut String) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let key = yaml::text(key);
        match value.as_array() {
            Some(items) => {
                let items = items.iter().filter_map(Value::as_str);
                text.push_str(&format!("{indent}{key}: {}\n", yaml::list(items)));
            }
            None => {
                text.push_str(&format!("{indent}{key}:\n"));
                write_map(value, &format!("{indent}  "), text);
            }
        }
    }
}

// === impl AgentDraft ===

impl AgentDraft {
    /// `rules` are the same rules compiled: they know whether the agent's can be read at all.
    fn adopt(id: &str, agent: &Value, rules: &Rules) -> Self {
        // No server has no name, so nothing but the agent itself can decide.
        if rules.judge(id, "", None).step == Step::AgentUnreadable {
            let remark = rules.explain(id).notes.join("; ");
            let remark = Some(format!("{remark}. Nothing is granted until somebody looks."));
            return Self { remark, ..Self::default() };
        }
        let half = |side: &str, entry: fn(&str) -> String| HalfDraft::adopt(agent.get(side), entry);
        Self { allow: half("allow", literal), deny: half("deny", str::to_owned), remark: None }
    }

    fn to_json(&self) -> Value {
        let halves = [("allow", &self.allow), ("deny", &self.deny)].into_iter();
        let given = halves.filter(|(_, half)| !half.servers.is_empty() || !half.tools.is_empty());
        Value::Object(given.map(|(side, half)| (side.to_owned(), half.to_json())).collect())
    }
}

impl HalfDraft {
    fn adopt(half: Option<&Value>, entry: fn(&str) -> String) -> Self {
        let list = |value: Option<&Value>, entry: fn(&str) -> String| {
            let entries = value.and_then(Value::as_array).into_iter().flatten();
            entries.filter_map(Value::as_str).map(entry).collect::<Vec<_>>()
        };
        let member = |key: &str| half.and_then(|half| half.get(key));
        let tools = member("tools").and_then(Value::as_object).into_iter().flatten();
        let tools = tools.map(|(server, tools)| (server.clone(), list(Some(tools), entry)));
        Self { servers: list(member("servers"), str::to_owned), tools: tools.collect() }
    }

    fn to_json(&self) -> Value {
        let mut half = Map::new();
        if !self.servers.is_empty() {
            half.insert("servers".to_owned(), self.servers.clone().into());
        }
        if !self.tools.is_empty() {
            let tools = self.tools.iter().map(|(server, tools)| (server.clone(), tools.clone().into()));
            half.insert("tools".to_owned(), Value::Object(tools.collect()));
        }
        Value::Object(half)
    }
}

/// In an allow-list of agent-mcp-gateway an entry without `*` is a name, whatever signs it holds; in ours it would be a
/// pattern, and allow more.
fn literal(tool: &str) -> String {
    if tool.contains('*') {
        return tool.to_owned();
    }
    let escape = |c: char| if matches!(c, '?' | '[') { format!("[{c}]") } else { c.to_string() };
    tool.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn written(draft: &RulesDraft) -> String {
        let mut text = String::new();
        draft.write(&mut text);
        text
    }

    /// The rules as our own file would be read.
    fn own(draft: &RulesDraft) -> Rules {
        let section: Value = serde_saphyr::from_str(&written(draft)).expect("YAML");
        let config = rules::read(&section["rules"], Reading::Own).expect("rules");
        Rules::build(&config, Reading::Own).expect("within bounds").rules
    }

    #[test]
    fn adopted_rules_mean_what_they_meant() {
        let file = json!({
            "agents": {
                "a": {"allow": {"servers": ["*"], "tools": {"db": ["get_?", "list_*", "x[1]"]}}, "deny": {"tools": {"*": ["drop_?"]}}},
                "b": {"allow": {"servers": ["db", "web_*"], "tools": {"db": []}}, "deny": {"servers": ["web_9"]}},
                "c": {"allow": {"servers": ["*"]}, "dney": {"servers": ["db"]}},
                "d": {"_note": "nothing yet"},
            },
        });
        let config = rules::read(&file, Reading::Strict).unwrap();
        let before = Rules::build(&config, Reading::Strict).unwrap().rules;
        let draft = RulesDraft::adopt(&file, "here").unwrap();
        let after = own(&draft);
        assert_eq!(before.denies_missing_agent(), after.denies_missing_agent());
        for agent in ["a", "b", "c", "d", "e"] {
            for server in ["db", "web_1", "web_9", "other"] {
                for tool in [
                    None,
                    Some("get_?"),
                    Some("get_x"),
                    Some("list_a"),
                    Some("x1"),
                    Some("x[1]"),
                    Some("drop_1"),
                ] {
                    let (one, other) = (before.judge(agent, server, tool), after.judge(agent, server, tool));
                    assert_eq!(one.allowed, other.allowed, "{agent} {server} {tool:?}");
                }
            }
        }
    }

    #[test]
    fn unreadable_rules_are_refused_or_said() {
        assert!(RulesDraft::adopt(&json!({"agents": []}), "here").is_err());
        let file = json!({"agents": {"c": {"allow": {"servers": ["*"]}, "dney": {}}}});
        let draft = RulesDraft::adopt(&file, "here").unwrap();
        assert_eq!(draft.remarks.len(), 1, "{:?}", draft.remarks);
        assert!(written(&draft).contains("    c: {}\n"), "{}", written(&draft));
    }

    #[test]
    fn grants_become_rules() {
        let single = RulesDraft::of_grants(&Grants::SingleAgent);
        assert_eq!(
            written(&single),
            "rules:\n  agents:\n    default:\n      allow:\n        servers: [\"*\"]\n  defaults:\n    \
             deny_on_missing_agent: false    # callers that name no agent are the agent `default`\n"
        );
        let several = BTreeMap::from([("a".to_owned(), vec!["db".to_owned()]), ("b".to_owned(), vec![])]);
        let several = own(&RulesDraft::of_grants(&Grants::MultiAgent(several)));
        assert!(several.judge("a", "db", Some("x")).allowed);
        assert!(!several.judge("a", "web", None).allowed && !several.judge("b", "db", None).allowed);
        assert!(several.denies_missing_agent());
    }
}

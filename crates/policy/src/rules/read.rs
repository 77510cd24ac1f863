//! Reads rules out of JSON (or YAML that became JSON). All faults are collected; what only looks strange becomes a
//! notice. Bounds are `build.rs`'s, and so is what the rules mean.

use domain::{AgentId, ConfigFault};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    Notice, Reading, RulesConfig,
    config::{AgentConfig, HalfConfig},
    keys::{self, Stranger},
};
use crate::{judgement::Side, peer_validation};

/// Reads rules as `reading` understands them. Under [`Reading::AgentMcpGateway`] they are first validated as the peer
/// does it.
///
/// # Errors
/// All faults with their paths; what the peer's validator refuses is one fault with its text and no path.
pub fn read(rules: &Value, reading: Reading) -> Result<RulesConfig, Vec<ConfigFault>> {
    match reading {
        Reading::AgentMcpGateway => {
            peer_validation::gateway_rules(rules).map_err(|problem| vec![ConfigFault::new(&[], problem)])?;
        }
        Reading::Strict | Reading::Own => {}
    }
    read_shape(rules, reading)
}

/// Reads rules without the peer's validator, as its engine gets them from whoever does not validate: patterns that the
/// peer refuses in files are evaluated. Where nothing is read compatibly it is the same as [`read`].
///
/// # Errors
/// All faults with their paths.
pub fn read_shape(rules: &Value, reading: Reading) -> Result<RulesConfig, Vec<ConfigFault>> {
    let mut reader = Reader { reading, path: Vec::new(), faults: Vec::new(), notices: Vec::new() };
    let (agents, deny_on_missing_agent) = reader.rules(rules);
    if reader.faults.is_empty() {
        Ok(RulesConfig { agents, deny_on_missing_agent, notices: reader.notices })
    } else {
        Err(reader.faults)
    }
}

struct Reader {
    reading: Reading,
    path: Vec<String>,
    faults: Vec<ConfigFault>,
    notices: Vec<Notice>,
}

impl Reader {
    fn rules(&mut self, rules: &Value) -> (IndexMap<String, AgentConfig>, bool) {
        let mut agents = IndexMap::new();
        let mut deny_on_missing_agent = true;
        for (key, value) in self.object(rules, "the rules").into_iter().flatten() {
            self.at(key, |reader| match key.as_str() {
                "agents" => agents = reader.agents(value),
                "defaults" => deny_on_missing_agent = reader.defaults(value),
                _ => _ = reader.unknown_key(key, &["agents", "defaults"], &[]),
            });
        }
        (agents, deny_on_missing_agent)
    }

    fn agents(&mut self, agents: &Value) -> IndexMap<String, AgentConfig> {
        let agents = self.object(agents, "`agents`").into_iter().flatten();
        agents.map(|(id, rules)| (id.clone(), self.at(id, |reader| reader.agent(id, rules)))).collect()
    }

    fn agent(&mut self, id: &str, rules: &Value) -> AgentConfig {
        self.agent_id(id);
        let mut agent = AgentConfig::default();
        for (key, value) in self.object(rules, "the rules of an agent").into_iter().flatten() {
            let stranger = self.at(key, |reader| match key.as_str() {
                "allow" => reader.half(Side::Allow, value, &mut agent.allow),
                "deny" => reader.half(Side::Deny, value, &mut agent.deny),
                _ => reader.unknown_key(key, &["allow", "deny"], &["deny", "tools"]),
            });
            agent.unreadable = agent.unreadable.take().or(stranger);
        }
        agent
    }

    /// Names that cannot belong to a caller are faults: rules nobody can meet are a mistake, or a disguise.
    fn agent_id(&mut self, id: &str) {
        match self.reading {
            Reading::AgentMcpGateway => {}
            Reading::Strict | Reading::Own => {
                if let Err(invalid) = AgentId::new(id) {
                    self.fault(invalid.to_string(), "letters, digits, `_`, `.` and `-` are the usual ones");
                }
            }
        }
    }

    /// Reads what is allowed or denied; returns the path, below the agent, of a key that makes it unreadable.
    fn half(&mut self, side: Side, value: &Value, half: &mut HalfConfig) -> Option<String> {
        let restricting: &[&str] = match side {
            Side::Allow => &["tools", "deny"],
            Side::Deny => &["servers", "tools"],
        };
        let mut unreadable = None;
        for (key, value) in self.object(value, &format!("`{}`", side.as_str())).into_iter().flatten() {
            let stranger = self.at(key, |reader| {
                match key.as_str() {
                    "servers" => half.servers = reader.list(value),
                    "tools" => half.tools = reader.tools(value),
                    _ => return reader.unknown_key(key, &["servers", "tools"], restricting),
                }
                None
            });
            unreadable = unreadable.or(stranger);
        }
        unreadable
    }

    fn tools(&mut self, tools: &Value) -> IndexMap<String, Vec<String>> {
        let tools = self.object(tools, "`tools`").into_iter().flatten();
        tools.map(|(server, list)| (server.clone(), self.at(server, |reader| reader.list(list)))).collect()
    }

    fn list(&mut self, list: &Value) -> Vec<String> {
        let Value::Array(entries) = list else {
            self.fault(format!("a list of names is expected, not {}", kind(list)), "for example [\"get_*\"]");
            return Vec::new();
        };
        let entry = |(index, entry): (usize, &Value)| match entry {
            Value::String(text) => text.clone(),
            other => self.at(&index.to_string(), |reader| {
                reader.fault(format!("a name is expected, not {}", kind(other)), "put it in quotes");
                String::new()
            }),
        };
        entries.iter().enumerate().map(entry).collect()
    }

    fn defaults(&mut self, defaults: &Value) -> bool {
        let mut deny_on_missing_agent = true;
        for (key, value) in self.object(defaults, "`defaults`").into_iter().flatten() {
            self.at(key, |reader| match (key.as_str(), value) {
                ("deny_on_missing_agent", Value::Bool(denies)) => deny_on_missing_agent = *denies,
                ("deny_on_missing_agent", other) => {
                    reader.fault(
                        format!("`true` or `false` is expected, not {}", kind(other)),
                        "without quotes",
                    );
                }
                _ => _ = reader.unknown_key(key, &["deny_on_missing_agent"], &[]),
            });
        }
        deny_on_missing_agent
    }

    /// Tells of a key that means nothing; returns its path below the agent if that agent may get nothing for it.
    fn unknown_key(&mut self, key: &str, known: &[&str], restricting: &[&str]) -> Option<String> {
        let stranger = keys::classify(key, known, restricting);
        let meant = match stranger {
            Stranger::Misspelled(meant) | Stranger::Restriction(meant) => Some(meant),
            Stranger::Comment | Stranger::Unknown => None,
        };
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys here are `{}`", known.join("`, `")),
        };
        match self.reading {
            Reading::Own => self.fault("unknown key", &help),
            Reading::Strict | Reading::AgentMcpGateway if stranger == Stranger::Comment => {}
            Reading::Strict if matches!(stranger, Stranger::Restriction(_)) => {
                let below = self.path.get(2..).unwrap_or_default().join(".");
                let agent = self.path.get(1).map_or("", String::as_str);
                self.notice(
                    format!(
                        "Agent \"{agent}\" gets nothing: its unknown key \"{below}\" may be a restriction"
                    ),
                    &help,
                );
                return Some(below);
            }
            Reading::Strict => {
                self.notice(format!("Unknown key \"{}\" is ignored", self.path.join(".")), &help)
            }
            Reading::AgentMcpGateway if matches!(stranger, Stranger::Restriction(_)) => {
                let path = self.path.join(".");
                self.notice(
                    format!("Unknown key \"{path}\" is ignored, and a restriction may be lost"),
                    &help,
                );
            }
            Reading::AgentMcpGateway => {
                self.notice(format!("Unknown key \"{}\" is ignored", self.path.join(".")), &help);
            }
        }
        None
    }

    fn object<'v>(&mut self, value: &'v Value, what: &str) -> Option<&'v Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.fault(format!("{what} must be an object, not {}", kind(value)), "for example {}");
        }
        object
    }

    fn at<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let value = read(self);
        self.path.pop();
        value
    }

    fn fault(&mut self, problem: impl Into<String>, help: &str) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.faults.push(ConfigFault::new(&path, problem).with_help(help));
    }

    fn notice(&mut self, problem: String, help: &str) {
        self.notices.push(Notice { path: self.path.clone(), problem, help: Some(help.to_owned()) });
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

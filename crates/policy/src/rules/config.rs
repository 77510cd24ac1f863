//! Rules as written: what `read.rs` makes of a file, before anything is compiled. The types of the published schema
//! stand here, too.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rules as written, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesConfig {
    pub(super) agents: IndexMap<String, AgentConfig>,
    pub(super) deny_on_missing_agent: bool,
    pub(super) notices: Vec<Notice>,
}

/// The rules of one agent as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AgentConfig {
    pub(super) allow: HalfConfig,
    pub(super) deny: HalfConfig,
    /// The path, below the agent, of a key that looks like a misspelled restriction.
    pub(super) unreadable: Option<String>,
}

/// What is allowed, or what is denied, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HalfConfig {
    pub(super) servers: Vec<String>,
    pub(super) tools: IndexMap<String, Vec<String>>,
}

/// Something about rules that their author should know. Nothing is refused because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The path from the rules to the key; list entries are named by index. Empty: the rules themselves.
    pub path: Vec<String>,
    /// What is strange, as a sentence that names the agent itself.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// The section `rules` of `toolgate.yaml`, unread: [`super::read`] with [`super::Reading::Own`] reads it, and tells all
/// of its faults at once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct RulesSection(pub Value);

// === impl RulesConfig ===

impl Default for RulesConfig {
    fn default() -> Self {
        Self { agents: IndexMap::new(), deny_on_missing_agent: true, notices: Vec::new() }
    }
}

impl RulesConfig {
    /// Returns what stood out while reading: unknown keys.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

// === impl Notice ===

impl Notice {
    pub(super) fn new(path: &[&str], problem: impl Into<String>) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { path, problem: problem.into(), help: None }
    }

    #[must_use]
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

// === The published schema ===

impl JsonSchema for RulesSection {
    fn schema_name() -> Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        RulesShape::json_schema(generator)
    }
}

/// Who may use which servers and tools. Denials come before grants; an agent without rules gets nothing.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "only its schema is used: the reader collects all faults, which a derived one cannot"
)]
struct RulesShape {
    /// The rules of each agent. Default: none.
    #[schemars(default, example = agents_example())]
    agents: BTreeMap<String, AgentShape>,
    /// What holds for callers that the rules do not name.
    #[schemars(default)]
    defaults: Option<DefaultsShape>,
}

/// The rules of one agent.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct AgentShape {
    /// What the agent may use.
    #[schemars(default)]
    allow: Option<HalfShape>,
    /// What the agent may not use, whatever `allow` says.
    #[schemars(default)]
    deny: Option<HalfShape>,
}

/// Servers, and tools by server. `*`, `?`, `[seq]` and `[!seq]` are patterns everywhere.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct HalfShape {
    /// Names or patterns of servers. Default: none.
    #[schemars(default, example = servers_example())]
    servers: Vec<String>,
    /// Names or patterns of tools, by the name or pattern of their server. Under `allow`, a granted server without a
    /// list has all its tools, one with an empty list none. Default: no lists.
    #[schemars(default, example = tools_example())]
    tools: BTreeMap<String, Vec<String>>,
}

/// What holds for callers that the rules do not name.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct DefaultsShape {
    /// Whether callers that name no agent are refused, instead of standing in as the agent `default`. Default: `true`.
    #[schemars(default = "default_deny_on_missing_agent", example = true)]
    deny_on_missing_agent: bool,
}

const fn default_deny_on_missing_agent() -> bool {
    true
}

fn agents_example() -> Value {
    serde_json::json!({"backend": {"allow": {"servers": ["postgres"]}, "deny": {"tools": {"postgres": ["drop_*"]}}}})
}

const fn servers_example() -> [&'static str; 2] {
    ["postgres", "browser_*"]
}

fn tools_example() -> Value {
    serde_json::json!({"postgres": ["query", "list_*"]})
}

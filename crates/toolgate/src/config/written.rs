//! `toolgate.yaml` as written: the parts of every crate under one roof. From it the published JSON Schema is made.

use std::collections::BTreeMap;

use identity::config::TokenConfig;
use proxy::{
    StatusTool,
    config::{ExposureConfig, LimitsConfig, ListenConfig, RateLimitConfig},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use upstream::config::ServerConfig;

use super::load::{Choices, Compat};

/// The version of the file that this program reads.
pub(super) const VERSION: u32 = 1;
/// The first list of tools waits this long for servers that are still starting.
pub(super) const DEFAULT_STARTUP_WAIT_MS: u64 = 5_000;
/// A client gives up on its first request after about a minute.
pub(super) const MAX_STARTUP_WAIT_MS: u64 = 60_000;
/// Calls in flight get this long to finish when the gateway ends: below what service managers allow.
pub(super) const DEFAULT_SHUTDOWN_GRACE_MS: u64 = 10_000;
/// Upper bound of `shutdown_grace_ms`.
pub(super) const MAX_SHUTDOWN_GRACE_MS: u64 = 600_000;
/// Longest name that every model interface accepts.
pub(super) const DEFAULT_NAME_LIMIT: u32 = 64;
/// The agent of callers without a token, when nobody chose another name.
pub const DEFAULT_AGENT: &str = "default";

/// Configuration of the Toolgate gateway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "toolgate.yaml")]
pub struct GatewayConfig {
    /// Version of this file's format. Always `1`.
    #[schemars(example = 1)]
    pub version: u32,
    /// The MCP servers behind the gateway, by name. Default: none.
    #[serde(default)]
    #[schemars(example = servers_example())]
    pub servers: BTreeMap<String, ServerConfig>,
    /// Files of MCP clients whose servers are adopted too; relative ones start at the folder of this file.
    /// Default: none.
    #[serde(default)]
    #[schemars(example = include_example())]
    pub include: Vec<String>,
    /// Where the gateway listens.
    #[serde(default)]
    pub listen: ListenConfig,
    /// Bounds on sizes, numbers and times.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How long the first list of tools waits for servers that are still starting, in milliseconds.
    /// Default: 5000, at most 60000.
    #[serde(default = "default_startup_wait_ms")]
    #[schemars(range(min = 0, max = 60_000), example = 5_000)]
    pub startup_wait_ms: u64,
    /// How long calls in flight may go on when the gateway ends, in milliseconds. Default: 10000, at most 600000.
    #[serde(default = "default_shutdown_grace_ms")]
    #[schemars(range(min = 0, max = 600_000), example = 10_000)]
    pub shutdown_grace_ms: u64,
    /// How the names of server and tool are joined. Default: `server__tool`.
    #[serde(default)]
    #[schemars(example = &"server__tool")]
    pub naming: NamingChoice,
    /// Longest joined name, in characters, from 16 to 64. Longer ones are cut and get a suffix. Default: 64.
    #[serde(default = "default_name_limit")]
    #[schemars(range(min = 16, max = 64), example = 64)]
    pub name_limit: u32,
    /// The agent of callers without a token. Default: `default`.
    #[serde(default)]
    #[schemars(example = &"developer")]
    pub agent: Option<String>,
    /// Whose reading of agent-mcp-gateway's files counts: leave it out for ours, which closes the holes in its rules.
    #[serde(default)]
    #[schemars(example = &"agent-mcp-gateway")]
    pub compat: Option<CompatChoice>,
    /// Which agents may use which servers and tools. Default: none; every local caller may use everything.
    #[serde(default)]
    #[schemars(example = rules_example())]
    pub rules: Option<policy::RulesSection>,
    /// A file of agent-mcp-gateway's rules, instead of `rules`; a relative one starts at the folder of this file.
    #[serde(default)]
    #[schemars(example = &".mcp-gateway-rules.json")]
    pub rules_file: Option<String>,
    /// How clients see the tools of the servers.
    #[serde(default)]
    pub exposure: ExposureConfig,
    /// How often tools may be called. Default: as often as callers like.
    #[serde(default)]
    #[schemars(example = rate_limits_example())]
    pub rate_limits: Vec<RateLimitConfig>,
    /// Whether agents are offered `get_gateway_status`, which shows the gateway's inside. Default: `false`.
    #[serde(default)]
    #[schemars(example = true)]
    pub debug: bool,
    /// Access tokens, beside those of `toolgate token create`. Default: none.
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
    /// The audit trail.
    #[serde(default)]
    pub audit: audit::Config,
}

/// Whose reading of adopted files counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum CompatChoice {
    /// agent-mcp-gateway's own, with its holes, its validator and its messages.
    #[serde(rename = "agent-mcp-gateway")]
    AgentMcpGateway,
}

/// How the names of server and tool are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum NamingChoice {
    /// `github__create_issue`
    #[default]
    #[serde(rename = "server__tool")]
    ServerTool,
    /// `mcp-github-create_issue`
    #[serde(rename = "mcp-server-tool")]
    McpServerTool,
}

// === impl GatewayConfig ===

impl Default for GatewayConfig {
    fn default() -> Self {
        serde_json::from_value(serde_json::json!({ "version": VERSION }))
            .expect("every other key has a default")
    }
}

impl GatewayConfig {
    /// Returns the command line's choices, with what the file decides where they leave it open.
    pub(super) fn chosen(&self, choices: &Choices) -> Choices {
        let mut chosen = choices.clone();
        if self.compat == Some(CompatChoice::AgentMcpGateway) {
            chosen.compat = Compat::AgentMcpGateway;
        }
        if self.debug {
            chosen.status_tool = StatusTool::Offered;
        }
        chosen
    }
}

/// Returns the JSON Schema of `toolgate.yaml` (draft 2020-12).
pub fn schema() -> Value {
    schemars::schema_for!(GatewayConfig).to_value()
}

const fn default_startup_wait_ms() -> u64 {
    DEFAULT_STARTUP_WAIT_MS
}

const fn default_shutdown_grace_ms() -> u64 {
    DEFAULT_SHUTDOWN_GRACE_MS
}

const fn default_name_limit() -> u32 {
    DEFAULT_NAME_LIMIT
}

fn rules_example() -> Value {
    serde_json::json!({"agents": {"reviewer": {"allow": {"servers": ["github"]}}}})
}

fn rate_limits_example() -> Value {
    serde_json::json!([{"agents": "*", "calls": 60, "per": "minute"}])
}

fn servers_example() -> Value {
    serde_json::json!({"memory": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-memory"]}})
}

const fn include_example() -> [&'static str; 1] {
    [".mcp.json"]
}

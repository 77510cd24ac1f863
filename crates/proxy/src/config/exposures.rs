//! How clients see tools, as written. What it means: `exposure`.

use std::{collections::BTreeMap, num::NonZeroU64};

use domain::{AgentId, ConfigFault, ServerId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{DEFAULT_AUTO_TOKENS, Exposure, ExposureSettings, StatusTool};

/// Agents and servers with an exposure of their own; as many as there may be servers.
const MAX_ENTRIES: usize = 1_000;

/// How clients see the tools of the servers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExposureConfig {
    /// On standard input and output. Default: `discovery`.
    #[schemars(example = &"discovery")]
    pub stdio: Exposure,
    /// At `/mcp`. Default: `direct`.
    #[schemars(example = &"auto")]
    pub http: Exposure,
    /// For these agents, at every endpoint for all servers. Default: none.
    #[schemars(example = agents_example())]
    pub agents: BTreeMap<String, Exposure>,
    /// At the endpoints of these servers, `/mcp/<server>`. Default: none; each is `direct`.
    #[schemars(example = servers_example())]
    pub servers: BTreeMap<String, Exposure>,
    /// Tokens of tool definitions at which `auto` turns from `direct` to `search`. Default: 8000, from 1 to 10000000.
    #[schemars(range(min = 1, max = 10_000_000), example = 8_000)]
    pub auto_tokens: u64,
}

impl Default for ExposureConfig {
    fn default() -> Self {
        let ExposureSettings { stdio, http, .. } = ExposureSettings::default();
        Self {
            stdio,
            http,
            agents: BTreeMap::new(),
            servers: BTreeMap::new(),
            auto_tokens: DEFAULT_AUTO_TOKENS,
        }
    }
}

impl ExposureConfig {
    /// Upper bound of `auto_tokens`: more than any model reads.
    pub const MAX_AUTO_TOKENS: u64 = 10_000_000;

    /// Checks the section.
    ///
    /// # Errors
    /// Every fault, with its path within the section.
    pub fn build(&self, status_tool: StatusTool) -> Result<ExposureSettings, Vec<ConfigFault>> {
        let mut faults = Vec::new();
        for (key, count) in [("agents", self.agents.len()), ("servers", self.servers.len())] {
            if count > MAX_ENTRIES {
                let problem = format!("{count} entries, and at most {MAX_ENTRIES} are accepted");
                faults.push(ConfigFault::new(&[key], problem));
            }
        }
        let agents = named("agents", &self.agents, |name| AgentId::new(name), &mut faults);
        let servers = named("servers", &self.servers, |name| ServerId::new(name), &mut faults);
        let tokens = NonZeroU64::new(self.auto_tokens).filter(|t| t.get() <= Self::MAX_AUTO_TOKENS);
        if tokens.is_none() {
            let problem = format!("{} is not within 1 and {}", self.auto_tokens, Self::MAX_AUTO_TOKENS);
            faults.push(
                ConfigFault::new(&["auto_tokens"], problem)
                    .with_help("write for example `auto_tokens: 8000`"),
            );
        }
        match tokens {
            Some(auto_tokens) if faults.is_empty() => {
                let (stdio, http) = (self.stdio, self.http);
                Ok(ExposureSettings { stdio, http, servers, agents, auto_tokens, status_tool })
            }
            Some(_) | None => Err(faults),
        }
    }
}

fn named<Id: std::hash::Hash + Eq>(
    key: &str,
    written: &BTreeMap<String, Exposure>,
    read: impl Fn(&str) -> Result<Id, domain::InvalidName>,
    faults: &mut Vec<ConfigFault>,
) -> std::collections::HashMap<Id, Exposure> {
    let mut checked = std::collections::HashMap::with_capacity(written.len());
    for (name, exposure) in written {
        match read(name) {
            Ok(id) => {
                checked.insert(id, *exposure);
            }
            Err(error) => faults.push(ConfigFault::new(&[key, name], error.to_string())),
        }
    }
    checked
}

fn agents_example() -> serde_json::Value {
    serde_json::json!({"reviewer": "search"})
}

fn servers_example() -> serde_json::Value {
    serde_json::json!({"github": "search"})
}

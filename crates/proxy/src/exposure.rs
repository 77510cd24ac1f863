//! How a client sees the tools of its upstreams: all of them (`direct`), or a few tools of the gateway to find and call
//! them with (`discovery`, `search`). What those tools do is in `methods/gateway_tools`.

use std::{collections::HashMap, fmt, num::NonZeroU64, str::FromStr};

use catalog::View;
use domain::{AgentId, ServerId};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a client sees the tools of its upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// Every tool it may use.
    Direct,
    /// `list_servers`, `get_server_tools`, `execute_tool`.
    Discovery,
    /// `search_tools`, `execute_tool`.
    Search,
    /// `Direct` while its tools are few, else `Search`.
    Auto,
}

/// The least of tokens at which `auto` turns to search. Between 13 and 186 tools of 166 tokens each, searching begins to
/// cost less than loading them all, depending on cache and context; this is the geometric mean of the two.
pub const DEFAULT_AUTO_TOKENS: u64 = 8_000;

/// Bytes of JSON per token, about: what tool definitions have with the common vocabularies.
pub const BYTES_PER_TOKEN: u64 = 4;

/// Which client sees what, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposureSettings {
    /// On standard input and output.
    pub stdio: Exposure,
    /// At `/mcp`.
    pub http: Exposure,
    /// At `/mcp/{server}`, where it differs from `direct`.
    pub servers: HashMap<ServerId, Exposure>,
    /// For these agents, at the endpoints for all servers, whatever the endpoint says.
    pub agents: HashMap<AgentId, Exposure>,
    /// Tokens of tool definitions at which `auto` turns to search.
    pub auto_tokens: NonZeroU64,
    /// Whether `get_gateway_status` is offered.
    pub status_tool: StatusTool,
}

/// Whether `get_gateway_status` is offered beside the discovery tools: it shows the gateway's inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusTool {
    /// It is not (the default).
    #[default]
    Hidden,
    /// It is, in debug mode.
    Offered,
}

/// Not the name of an exposure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no exposure: write `direct`, `discovery`, `search` or `auto`")]
pub struct NoExposure;

impl FromStr for Exposure {
    type Err = NoExposure;

    fn from_str(word: &str) -> Result<Self, NoExposure> {
        match word {
            "direct" => Ok(Self::Direct),
            "discovery" => Ok(Self::Discovery),
            "search" => Ok(Self::Search),
            "auto" => Ok(Self::Auto),
            _ => Err(NoExposure),
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Discovery => "discovery",
            Self::Search => "search",
            Self::Auto => "auto",
        })
    }
}

impl Default for ExposureSettings {
    fn default() -> Self {
        Self {
            stdio: Exposure::Discovery,
            http: Exposure::Direct,
            servers: HashMap::new(),
            agents: HashMap::new(),
            auto_tokens: NonZeroU64::new(DEFAULT_AUTO_TOKENS).expect("it is not zero"),
            status_tool: StatusTool::Hidden,
        }
    }
}

impl ExposureSettings {
    /// Returns what an agent sees over stdio.
    pub fn over_stdio(&self, agent: &AgentId) -> Exposure {
        self.agents.get(agent).copied().unwrap_or(self.stdio)
    }

    /// Returns what an agent sees at an HTTP endpoint.
    pub fn over_http(&self, agent: &AgentId, view: &View) -> Exposure {
        match view {
            View::All => self.agents.get(agent).copied().unwrap_or(self.http),
            View::Server(server) => self.servers.get(server).copied().unwrap_or(Exposure::Direct),
        }
    }
}

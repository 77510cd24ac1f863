//! What users of agent-mcp-gateway see at the start: its lines, in its order. Where we do otherwise they say what we do:
//! servers start in the background, so none is `ready` yet. What others see is in `announce`.

use std::{fmt::Write, path::Path};

use domain::AgentId;
use policy::{Reading, Rules};
use proxy::{Exposure, StatusTool};

use crate::config::Loaded;

/// The facts to announce.
pub struct PeerAnnouncement<'a> {
    /// The file of servers; none: the built-in demo.
    pub servers_file: Option<&'a Path>,
    /// The rules; none: there are none.
    pub rules: Option<RulesFacts<'a>>,
    /// The audit file.
    pub audit: &'a Path,
    /// The agent of callers that name none, if one was chosen.
    pub fallback_agent: Option<&'a AgentId>,
    /// Whether `get_gateway_status` is offered: debug mode.
    pub status_tool: StatusTool,
    /// What is odd about the files, one line each.
    pub warnings: &'a [String],
    /// The configured servers, in the order of the file.
    pub servers: &'a [AnnouncedServer<'a>],
    /// How clients see the tools.
    pub exposure: Exposure,
    /// Where clients are served.
    pub transport: Transport,
}

/// The rules in force.
pub struct RulesFacts<'a> {
    /// Where they are written.
    pub file: &'a Path,
    /// How many agents they name.
    pub agents: usize,
    /// What becomes of others.
    pub unknown_agents: UnknownAgents,
}

/// What becomes of agents that the rules do not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownAgents {
    /// They may use nothing.
    Denied,
    /// They may use everything.
    Allowed,
}

/// One configured server.
pub struct AnnouncedServer<'a> {
    /// Its name.
    pub name: &'a str,
    /// What becomes of it.
    pub state: ServerState<'a>,
}

/// What becomes of a server at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState<'a> {
    /// It is being started in the background.
    Starting,
    /// It is started with the first request that needs it.
    Lazy,
    /// It is not started; the reason, in one line and without secrets.
    LeftOut(&'a str),
}

/// Where clients are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// On standard input and output.
    Stdio,
    /// Over HTTP.
    Http,
    /// On both.
    Both,
}

// === impl RulesFacts ===

impl<'a> RulesFacts<'a> {
    /// Returns the rules of a configuration, if it has any. A section `rules` stands in the file of the servers.
    pub fn of(loaded: &'a Loaded) -> Option<Self> {
        let rules = loaded.config.policy.rules()?;
        let file = loaded.rules_source.as_deref().or_else(|| loaded.source.path())?;
        Some(Self { file, agents: rules.agent_ids().len(), unknown_agents: UnknownAgents::under(rules) })
    }
}

// === impl UnknownAgents ===

impl UnknownAgents {
    /// Returns what these rules make of them. `deny_on_missing_agent: false` lets them in only as the peer reads it.
    pub const fn under(rules: &Rules) -> Self {
        match (rules.reading(), rules.denies_missing_agent()) {
            (Reading::AgentMcpGateway, false) => Self::Allowed,
            (Reading::AgentMcpGateway | Reading::Strict | Reading::Own, true)
            | (Reading::Strict | Reading::Own, false) => Self::Denied,
        }
    }
}

// === impl PeerAnnouncement ===

impl PeerAnnouncement<'_> {
    /// Returns the text for stderr. Control characters in names and paths are escaped.
    pub fn text(&self) -> String {
        let sections =
            [self.files(), self.warned(), self.started(), self.in_force(), format!("{}\n", self.ready())];
        let sections = sections.into_iter().filter(|section| !section.is_empty());
        sections.collect::<Vec<_>>().join("\n")
    }

    fn files(&self) -> String {
        let mut text = String::new();
        let _ = match self.servers_file {
            Some(file) => writeln!(text, "Loading MCP server configuration from: {}", shown(file.display())),
            None => writeln!(text, "No MCP server configuration found: serving the built-in demo"),
        };
        let _ = match &self.rules {
            Some(rules) => writeln!(text, "Loading gateway rules from: {}", shown(rules.file.display())),
            None => writeln!(text, "No gateway rules found: every agent may use every tool"),
        };
        let _ = writeln!(text, "Audit log will be written to: {}", shown(self.audit.display()));
        if let Some(agent) = self.fallback_agent {
            let _ = writeln!(text, "Default agent for fallback chain: {agent}");
        }
        let _ = writeln!(text, "Debug mode: {}", self.debug_mode());
        text
    }

    const fn debug_mode(&self) -> &'static str {
        match (self.status_tool, self.exposure) {
            (StatusTool::Hidden, _) => "DISABLED (use --debug or GATEWAY_DEBUG=true to enable)",
            (StatusTool::Offered, Exposure::Direct) => {
                "ENABLED (without get_gateway_status tool: the exposure is direct)"
            }
            (StatusTool::Offered, Exposure::Discovery | Exposure::Search | Exposure::Auto) => {
                "ENABLED (get_gateway_status tool available)"
            }
        }
    }

    fn warned(&self) -> String {
        if self.warnings.is_empty() {
            return String::new();
        }
        let mut text = "Configuration warnings:\n".to_owned();
        for warning in self.warnings {
            let _ = writeln!(text, "  - {}", shown(warning));
        }
        text
    }

    fn started(&self) -> String {
        let is_used = |server: &&AnnouncedServer<'_>| !matches!(server.state, ServerState::LeftOut(_));
        let mut text = "Initializing proxy connections to downstream servers...\n".to_owned();
        let _ =
            writeln!(text, "  - {} proxy client(s) initialized", self.servers.iter().filter(is_used).count());
        for server in self.servers {
            let name = shown(server.name);
            let _ = match server.state {
                ServerState::Starting => writeln!(text, "    * {name}: starting"),
                ServerState::Lazy => writeln!(text, "    * {name}: starts with its first request"),
                ServerState::LeftOut(reason) => writeln!(text, "    * {name}: left out: {}", shown(reason)),
            };
        }
        text.push_str("  - Metrics collector initialized\n");
        if self.rules.is_some() {
            text.push_str("  - Access control middleware registered\n");
        }
        text.push_str("  - Configuration file watching enabled (hot reload)\n");
        text
    }

    fn in_force(&self) -> String {
        let agents = self.rules.as_ref().map_or(0, |rules| rules.agents);
        let unknown = match self.rules.as_ref().map(|rules| rules.unknown_agents) {
            Some(UnknownAgents::Denied) => "deny",
            Some(UnknownAgents::Allowed) | None => "allow",
        };
        let mut text = "Toolgate as Agent MCP Gateway initialized successfully\n".to_owned();
        let _ = writeln!(text, "  - {} MCP server(s) configured", self.servers.len());
        let _ = writeln!(text, "  - {agents} agent(s) configured");
        let _ = writeln!(text, "  - Default policy: {unknown} unknown agents");
        let _ = writeln!(text, "  - {}", self.tools());
        text
    }

    fn tools(&self) -> String {
        let gateway_tools = match self.exposure {
            Exposure::Direct => {
                return "Tools of all servers offered directly, without gateway tools".to_owned();
            }
            Exposure::Discovery => ["list_servers", "get_server_tools", "execute_tool"].as_slice(),
            Exposure::Search | Exposure::Auto => ["search_tools", "execute_tool"].as_slice(),
        };
        let status = match self.status_tool {
            StatusTool::Offered => Some("get_gateway_status"),
            StatusTool::Hidden => None,
        };
        let names: Vec<&str> = gateway_tools.iter().copied().chain(status).collect();
        let listed = format!("{} gateway tools available: {}", names.len(), names.join(", "));
        match self.exposure {
            Exposure::Auto => {
                format!("Tools of all servers offered directly while they are few, then {listed}")
            }
            Exposure::Direct | Exposure::Discovery | Exposure::Search => listed,
        }
    }

    const fn ready(&self) -> &'static str {
        match self.transport {
            Transport::Stdio => "Gateway is ready. Running with stdio transport...",
            Transport::Http => "Gateway is ready. Running with http transport...",
            Transport::Both => "Gateway is ready. Running with stdio and http transport...",
        }
    }
}

/// Escapes control characters. Names and paths come from files that others may have written: they must neither drive the
/// terminal nor look like lines of ours.
fn shown(text: impl ToString) -> String {
    let escape = |sign: char| if sign.is_control() { sign.escape_default().collect() } else { vec![sign] };
    text.to_string().chars().flat_map(escape).collect()
}

#[cfg(test)]
mod tests;

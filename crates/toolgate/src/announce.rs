//! What a person sees at the start: where the gateway is, what to paste into a client, a line to try it with.
//! What users of agent-mcp-gateway see is in `peer`.

use std::{fmt::Write, net::SocketAddr, path::Path};

use proxy::ExposureSettings;
use serde_json::json;

mod adopted;
mod peer;

pub use adopted::adopted;
pub use peer::{AnnouncedServer, PeerAnnouncement, RulesFacts, ServerState, Transport, UnknownAgents};

/// The facts to announce.
pub struct Announcement<'a> {
    /// The data port.
    pub data: SocketAddr,
    /// The operations port.
    pub operations: SocketAddr,
    /// Where the servers come from: a file, or the built-in demo.
    pub source: &'a str,
    /// The names of the servers.
    pub servers: &'a [String],
    /// The audit file.
    pub audit: &'a Path,
    /// Whether callers need a token.
    pub needs_token: bool,
    /// The rules; none: there are none.
    pub rules: Option<RulesFacts<'a>>,
    /// How clients see the tools.
    pub exposure: &'a ExposureSettings,
    /// The name of a tool to try and its arguments; only the built-in demo is known well enough.
    pub example: Option<(&'a str, &'a str)>,
}

impl Announcement<'_> {
    /// Returns the text for the terminal.
    pub fn text(&self) -> String {
        let endpoint = format!("http://{}/mcp", self.data);
        let mut text = format!("Toolgate {}\n\n", env!("CARGO_PKG_VERSION"));
        let servers = if self.servers.is_empty() { "none".to_owned() } else { self.servers.join(", ") };
        let rows = [
            ("endpoint", endpoint.clone()),
            ("operations", format!("http://{}", self.operations)),
            ("servers", format!("{servers} ({})", self.source)),
            ("exposure", self.exposure()),
            ("rules", self.rules()),
            ("audit", self.audit.display().to_string()),
            ("callers", self.callers().to_owned()),
        ];
        for (name, value) in rows {
            let _ = writeln!(text, "  {name:<11} {value}");
        }
        let _ = write!(text, "\nPaste into your client:\n\n  {}\n", self.snippet(&endpoint));
        let _ = write!(text, "\nTry it:\n\n  {}\n", self.curl(&endpoint));
        text
    }

    fn exposure(&self) -> String {
        let ExposureSettings { stdio, http, .. } = self.exposure;
        format!("{http} at /mcp, {stdio} on standard input and output")
    }

    fn rules(&self) -> String {
        let Some(RulesFacts { file, agents, unknown_agents }) = &self.rules else { return "none".to_owned() };
        let others = match unknown_agents {
            UnknownAgents::Denied => "others may use nothing",
            UnknownAgents::Allowed => "others may use everything",
        };
        let plural = if *agents == 1 { "" } else { "s" };
        format!("{agents} agent{plural}, {others} ({})", file.display())
    }

    const fn callers(&self) -> &'static str {
        match (self.needs_token, &self.rules) {
            (true, _) => "need an access token (toolgate token create)",
            (false, None) => "every program on this machine may use everything (no token is configured)",
            (false, Some(_)) => {
                "every program on this machine, as the agent it says it is (no token is configured)"
            }
        }
    }

    fn snippet(&self, endpoint: &str) -> String {
        let mut server = json!({"type": "http", "url": endpoint});
        if self.needs_token {
            server["headers"] = json!({"Authorization": "Bearer ${TOOLGATE_TOKEN}"});
        }
        json!({"mcpServers": {"toolgate": server}}).to_string()
    }

    /// One stateless request: it works without a session, so one line is enough.
    fn curl(&self, endpoint: &str) -> String {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let (method, name, params) = match self.example {
            Some((tool, arguments)) => {
                let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
                let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
                ("tools/call", format!(" -H 'Mcp-Name: {tool}'"), params)
            }
            None => ("tools/list", String::new(), json!({"_meta": meta})),
        };
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let token = if self.needs_token { " -H \"Authorization: Bearer $TOOLGATE_TOKEN\"" } else { "" };
        format!(
            "curl -s {endpoint}{token} -H 'Content-Type: application/json' -H 'Accept: application/json' \
             -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: {method}'{name} -d '{body}'"
        )
    }
}

//! The lines for a gateway that runs on agent-mcp-gateway's files: the facts, from the configuration as it was loaded.

use std::path::Path;

use domain::AgentSource;
use upstream::config::Startup;

use super::peer::{AnnouncedServer, PeerAnnouncement, RulesFacts, ServerState, Transport};
use crate::{
    config::{Diagnostic, Loaded},
    service::Doors,
};

/// Returns what to say on stderr at the start.
pub fn adopted(loaded: &Loaded, doors: Doors, audit: &Path) -> String {
    let config = &loaded.config;
    let faults: Vec<Option<String>> =
        loaded.servers.values().map(|checked| checked.as_ref().err().map(ToString::to_string)).collect();
    let servers: Vec<AnnouncedServer<'_>> = loaded
        .servers
        .iter()
        .zip(&faults)
        .map(|((id, checked), fault)| AnnouncedServer {
            name: id.as_str(),
            state: match (checked, fault) {
                (_, Some(fault)) => ServerState::LeftOut(fault),
                (Ok(settings), None) if settings.startup() == Startup::Lazy => ServerState::Lazy,
                (_, None) => ServerState::Starting,
            },
        })
        .collect();
    let warnings: Vec<String> = loaded.warnings.iter().map(in_a_line).collect();
    let (transport, exposure) = match doors {
        Doors::Stdio => (Transport::Stdio, config.exposure.stdio),
        Doors::Http => (Transport::Http, config.exposure.http),
        Doors::Both => (Transport::Both, config.exposure.stdio),
    };
    let announcement = PeerAnnouncement {
        servers_file: loaded.source.path(),
        rules: RulesFacts::of(loaded),
        audit,
        fallback_agent: (config.agent_source != AgentSource::Builtin).then_some(&config.agent),
        status_tool: config.exposure.status_tool,
        warnings: &warnings,
        servers: &servers,
        exposure,
        transport,
    };
    announcement.text()
}

/// Returns a warning with its place and what to do about it.
fn in_a_line(warning: &Diagnostic) -> String {
    let place = warning.place().map(|place| format!(" ({place})")).unwrap_or_default();
    let help = warning.help().map(|help| format!(": {help}")).unwrap_or_default();
    format!("{}{place}{help}", warning.problem())
}

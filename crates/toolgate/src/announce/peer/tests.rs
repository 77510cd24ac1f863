//! The lines as they stand on stderr.

use std::path::Path;

use domain::AgentId;
use policy::{Reading, Rules, rules};
use proxy::{Exposure, StatusTool};
use serde_json::json;

use super::{AnnouncedServer, PeerAnnouncement, RulesFacts, ServerState, Transport, UnknownAgents};

const TWO_SERVERS: [AnnouncedServer<'_>; 2] = [
    AnnouncedServer { name: "files", state: ServerState::Starting },
    AnnouncedServer { name: "web search", state: ServerState::Lazy },
];

fn announcement() -> PeerAnnouncement<'static> {
    PeerAnnouncement {
        servers_file: Some(Path::new(".mcp.json")),
        rules: Some(RulesFacts {
            file: Path::new(".mcp-gateway-rules.json"),
            agents: 3,
            unknown_agents: UnknownAgents::Denied,
        }),
        audit: Path::new("/home/ada/audit.jsonl"),
        fallback_agent: None,
        status_tool: StatusTool::Hidden,
        warnings: &[],
        servers: &TWO_SERVERS,
        exposure: Exposure::Discovery,
        transport: Transport::Stdio,
    }
}

#[test]
fn rules_and_two_servers() {
    insta::assert_snapshot!(announcement().text());
}

#[test]
fn debug_with_a_fallback_agent() {
    let agent = AgentId::new("developer").unwrap();
    let announcement =
        PeerAnnouncement { status_tool: StatusTool::Offered, fallback_agent: Some(&agent), ..announcement() };
    insta::assert_snapshot!(announcement.text());
}

#[test]
fn warnings() {
    let warnings =
        [r#"Agent "a" allow.servers references undefined server "x""#.to_owned(), "another".to_owned()];
    insta::assert_snapshot!(PeerAnnouncement { warnings: &warnings, ..announcement() }.text());
}

#[test]
fn no_rules() {
    insta::assert_snapshot!(PeerAnnouncement { rules: None, ..announcement() }.text());
}

#[test]
fn a_left_out_server() {
    let servers = [
        AnnouncedServer { name: "files", state: ServerState::Starting },
        AnnouncedServer {
            name: "github",
            state: ServerState::LeftOut("environment variable is not set: GITHUB_TOKEN"),
        },
    ];
    insta::assert_snapshot!(PeerAnnouncement { servers: &servers, ..announcement() }.text());
}

#[test]
fn other_exposures_name_their_own_tools() {
    let told = |exposure, status_tool| {
        let text = PeerAnnouncement { exposure, status_tool, ..announcement() }.text();
        let lines = text.lines().filter(|line| line.contains("tool"));
        lines.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    let exposures = [Exposure::Direct, Exposure::Search, Exposure::Auto];
    let told = exposures.map(|exposure| {
        let [hidden, offered] = [StatusTool::Hidden, StatusTool::Offered].map(|tool| told(exposure, tool));
        format!("{exposure:?}\n{hidden}\n{offered}\n")
    });
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn other_transports_are_named() {
    for (transport, expected) in [
        (Transport::Http, "Gateway is ready. Running with http transport..."),
        (Transport::Both, "Gateway is ready. Running with stdio and http transport..."),
    ] {
        let text = PeerAnnouncement { transport, ..announcement() }.text();
        assert_eq!(text.trim_end().lines().last(), Some(expected));
    }
}

#[test]
fn the_demo_is_named_where_there_is_no_file() {
    let text = PeerAnnouncement { servers_file: None, ..announcement() }.text();
    assert_eq!(text.lines().next(), Some("No MCP server configuration found: serving the built-in demo"));
}

#[test]
fn names_and_paths_do_not_drive_the_terminal() {
    let file = Path::new("a\u{1b}[2J.json");
    let servers = [AnnouncedServer { name: "s", state: ServerState::LeftOut("\u{9b}31m\r\nx") }];
    let text = PeerAnnouncement { servers_file: Some(file), servers: &servers, ..announcement() }.text();
    assert!(text.contains(r"from: a\u{1b}[2J.json"), "{text}");
    assert!(text.contains(r"* s: left out: \u{9b}31m\r\nx"), "{text}");
}

#[test]
fn unknown_agents_are_let_in_only_as_the_peer_reads_it() {
    for (denies, reading, expected) in [
        (false, Reading::AgentMcpGateway, UnknownAgents::Allowed),
        (true, Reading::AgentMcpGateway, UnknownAgents::Denied),
        (false, Reading::Strict, UnknownAgents::Denied),
        (true, Reading::Strict, UnknownAgents::Denied),
    ] {
        let written = json!({"agents": {}, "defaults": {"deny_on_missing_agent": denies}});
        let rules = Rules::build(&rules::read(&written, reading).unwrap(), reading).unwrap().rules;
        assert_eq!(UnknownAgents::under(&rules), expected, "{denies} {reading:?}");
    }
}

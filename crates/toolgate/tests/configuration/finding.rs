//! Which file counts, what is ignored and said so, what is included, and who we are ourselves.

use std::path::Path;

use toolgate::config::{Choices, Source};

use super::folder::Folder;

const ADOPTED: &str = r#"{"mcpServers": {"adopted": {"command": "x"}}}"#;
const OWN: &str = "version: 1\nservers: { own: { command: x } }\n";

fn names(folder: &Folder) -> Vec<String> {
    folder.load().expect("sound").servers.keys().map(ToString::to_string).collect()
}

#[test]
fn without_a_file_the_demo_server_is_there() {
    let folder = Folder::new();
    let loaded = folder.load().expect("sound");
    assert_eq!(loaded.source, Source::Builtin);
    assert_eq!(names(&folder), ["demo"]);
    assert_eq!(loaded.config.audit.file(), Path::new("/state/audit.jsonl"));
}

#[test]
fn our_own_file_wins_and_says_what_it_ignores() {
    assert_eq!(names(&Folder::new().with(".mcp.json", ADOPTED)), ["adopted"]);
    let folder = Folder::new()
        .with(".mcp.json", ADOPTED)
        .with("toolgate.yaml", OWN)
        .with(".mcp-gateway-rules.json", "{}");
    assert_eq!(names(&folder), ["own"]);
    let told = folder.told();
    assert!(told.contains("warning: `.mcp.json` is ignored: another configuration is used"), "{told}");
    assert!(told.contains("warning: `.mcp-gateway-rules.json` is ignored"), "{told}");
}

#[test]
fn the_other_gateways_variable_is_understood() {
    let folder =
        Folder::new().with("servers.json", ADOPTED).with_variable("GATEWAY_MCP_CONFIG", "servers.json");
    assert_eq!(names(&folder), ["adopted"]);
    let folder = folder.with("toolgate.yaml", OWN);
    assert_eq!(names(&folder), ["own"]);
    assert!(folder.told().contains("GATEWAY_MCP_CONFIG is ignored"));
    let folder = folder.with_variable("GATEWAY_RULES", "rules.json");
    assert!(folder.told().contains("GATEWAY_RULES is ignored: other rules are used, or none"));
}

#[test]
fn a_chosen_file_wins_and_must_be_there() {
    let folder = Folder::new().with("toolgate.yaml", OWN).with("other.json", ADOPTED);
    let choose = |name: &str| Choices { file: Some(name.into()), ..Choices::default() };
    let loaded = folder.load_with(&choose("other.json")).expect("sound");
    assert_eq!(loaded.source, Source::Adopted("other.json".into()));
    let told = folder.shown(folder.load_with(&choose("none.yaml")));
    assert_eq!(told, "error: cannot read `none.yaml`: No such file or directory (os error 2)\n");
}

#[test]
fn the_command_line_wins_over_the_file() {
    let folder =
        Folder::new().with("toolgate.yaml", "version: 1\nagent: file\nlisten: { address: 127.0.0.1:1 }\n");
    let choices = Choices {
        listen: Some("127.0.0.1:0".parse().expect("an address")),
        agent: Some(domain::AgentId::new("chosen").expect("a name")),
        ..Choices::default()
    };
    let config = folder.load_with(&choices).expect("sound").config;
    assert_eq!((config.listen.address().port(), config.agent.as_str()), (0, "chosen"));
}

#[test]
fn included_files_are_adopted_and_own_servers_win() {
    let folder = Folder::new()
        .with(".mcp.json", r#"{"mcpServers": {"own": {"command": "y"}, "more": {"command": "${NONE}"}}}"#)
        .with("toolgate.yaml", "version: 1\ninclude: [.mcp.json]\nservers: { own: { command: x } }\n");
    assert_eq!(names(&folder), ["own", "more"]);
    let told = folder.told();
    assert!(!told.contains("is ignored"), "{told}");
    assert!(told.contains(".mcp.json:1:17") && told.contains("there is a server `own` already"), "{told}");
    assert!(told.contains("server more is left out: environment variable is not set: NONE"), "{told}");
}

#[test]
fn an_included_file_must_be_there_and_readable() {
    let folder = Folder::new()
        .with("toolgate.yaml", "version: 1\ninclude: [none.json, bad.json]\n")
        .with("bad.json", "{");
    let told = folder.told();
    assert!(told.contains("toolgate.yaml:2:11") && told.contains("cannot read `none.json`"), "{told}");
    assert!(told.contains("bad.json:1:1"), "{told}");
}

#[test]
fn a_server_that_is_this_very_gateway_is_skipped() {
    let program = std::env::current_exe().expect("a test has a file");
    let name = program.file_name().and_then(|name| name.to_str()).expect("plain").to_owned();
    let search = program.parent().and_then(Path::to_str).expect("plain").to_owned();
    let folder = Folder::new()
        .with_program(&program)
        .with_variable("PATH", &search)
        .with(
            "toolgate.yaml",
            &format!(
                "version: 1\nservers:\n  path: {{ command: {} }}\n  name: {{ command: {name}, args: [stdio] }}\n  url: {{ url: \"http://127.0.0.1:8787/mcp\" }}\n  \
                 host: {{ url: \"http://localhost:8787/mcp/x\" }}\n  other: {{ url: \"http://127.0.0.1:9999/mcp\" }}\n  far: {{ url: \"http://example.com:8787/mcp\" }}\n",
                program.display()
            ),
        );
    assert_eq!(names(&folder), ["other", "far"]);
    let told = folder.told();
    assert!(told.contains("the server `name` is skipped: its program is this very gateway"), "{told}");
    assert!(told.contains("the server `host` is skipped: its address is this very gateway's"), "{told}");
}

//! Files of MCP clients, as they are found.

use super::folder::{Folder, check};

const NAME: &str = ".mcp.json";

#[test]
fn the_usual_file_works() {
    check(
        "adopted_usual",
        NAME,
        r#"{
  // servers of this project
  "mcpServers": {
    "memory": { "command": "npx", "args": ["-y", "@modelcontextprotocol/server-memory"], },
    "typed": { "type": "stdio", "command": "uvx", "env": { "TOKEN": "${TOKEN}" }, "cwd": "sub" },
    "remote": { "type": "http", "url": "https://a.example/mcp", "headers": { "Authorization": "Bearer ${TOKEN}" } },
    "streamable": { "type": "streamable-http", "url": "https://b.example/mcp" },
    "camel": { "type": "streamableHttp", "url": "https://c.example/mcp" },
    "sse": { "type": "sse", "url": "https://d.example/sse" },
    "default": { "url": "${NONE:-http://127.0.0.1:9/mcp}" },
    "off": { "command": "x", "disabled": true, "env": { "A": "${NONE}" } },
  },
}"#,
    );
}

#[test]
fn unknown_keys_are_warnings_with_a_suggestion() {
    check(
        "adopted_unknown_keys",
        NAME,
        r#"{
  "$schema": "x",
  "mcpServers": {
    "a": { "command": "npx", "arg": ["-y"], "alwaysAllow": ["t"], "timeout": 60 },
    "b": { "httpUrl": "https://a.example/mcp" }
  },
  "mcpServer": {}
}"#,
    );
}

#[test]
fn the_other_gateways_transport_is_a_hint() {
    let folder = Folder::new().with(
        NAME,
        r#"{"mcpServers": {
  "ignored": { "command": "x", "transport": "websocket" },
  "wrong": { "command": "x", "transport": "http" },
  "chosen": { "command": "x", "url": "https://a.example/mcp", "transport": "http" }
}}"#,
    );
    let told = folder.told();
    assert!(told.contains("server ignored: Child") && told.contains("server wrong: Child"), "{told}");
    assert!(told.contains("server chosen: Http"), "{told}");
}

#[test]
fn one_bad_server_never_stops_the_others() {
    check(
        "adopted_one_bad_server",
        NAME,
        r#"{"mcpServers": {
  "good": { "command": "x" },
  "kind": { "command": ["npx"] },
  "number": { "command": "x", "env": { "PORT": 8080 } },
  "type": { "type": "websocket", "url": "https://a.example" },
  "variable": { "command": "x", "args": ["${input:token}", "${MISSING}"] },
  "list": [],
  "mismatch": { "type": "http", "command": "x" },
  "GOOD": { "command": "y" },
  "": { "command": "z" }
}}"#,
    );
}

#[test]
fn odd_files_have_a_defined_answer() {
    check("adopted_empty", NAME, "");
    check("adopted_no_servers", NAME, "{\"mcpservers\": {}}");
    check("adopted_servers_list", NAME, "{\"mcpServers\": []}");
    check("adopted_broken", NAME, "{\"mcpServers\": {\"a\": {\"env\": {\"TOKEN\": \"hunter2}}}}");
    check("adopted_editor_key", NAME, "{\"inputs\": [], \"servers\": {\"a\": {\"command\": \"x\"}}}");
}

#[test]
fn a_file_with_our_version_is_ours() {
    let folder = Folder::new()
        .with("gateway.json", r#"{"version": 1, "servers": {"a": {"builtin": "demo"}}, "agent": 1}"#);
    let choices = toolgate::config::Choices { file: Some("gateway.json".into()), ..Default::default() };
    let told = folder.shown(folder.load_with(&choices));
    assert!(told.contains("gateway.json:1:64") && told.ends_with("refused\n"), "{told}");
}

//! `policy test` and `policy explain` on configurations that are written down.

use serde_json::{Value, json};

use super::home::Home;

const CONFIG: &str = r#"
version: 1
servers:
  postgres: {builtin: demo}
  web: {builtin: demo}
rules:
  agents:
    backend:
      allow: {servers: [postgres, redis]}
      deny: {tools: {postgres: ["drop_*"]}}
"#;

fn home() -> Home {
    Home::new().with("project/toolgate.yaml", CONFIG)
}

#[test]
fn a_decision_is_an_exit_code() {
    let home = home();
    let allowed =
        home.ends(0, &["policy", "test", "--agent", "backend", "--server", "postgres", "--tool", "query"]);
    assert!(allowed.output.starts_with("✓ ALLOW  backend → postgres/query\n"), "{}", allowed.output);
    let denied =
        ["policy", "test", "--agent", "backend", "--server", "postgres", "--tool", "drop_all", "-o", "json"];
    let denied = home.ends(1, &denied).json();
    assert_eq!(
        (&denied["rule"], &denied["step"]),
        (&json!("agents.backend.deny.tools.postgres[0]"), &json!("tool_deny_wildcard"))
    );
    home.ends(2, &["policy", "test", "--agent", "backend"]);
}

#[test]
fn a_batch_is_compared_with_what_is_expected() {
    let lines = "{\"agent\": \"backend\", \"server\": \"postgres\", \"expect\": \"allow\"}\n\n\
                 {\"agent\": \"backend\", \"server\": \"web\", \"tool\": \"x\", \"expect\": \"deny\"}\n";
    let home =
        home().with("project/good.jsonl", lines).with("project/bad.jsonl", &lines.replace("deny", "allow"));
    let answer = home.ends(0, &["policy", "test", "--batch", "good.jsonl", "-o", "json"]);
    let lines: Vec<Value> = answer.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line["as_expected"] == true), "{}", answer.output);
    let answer = home.ends(1, &["policy", "test", "--batch", "bad.jsonl"]);
    assert!(answer.output.contains("NOT AS EXPECTED"), "{}", answer.output);
}

#[test]
fn an_agent_is_explained() {
    let home = home();
    let json = home.ends(0, &["policy", "explain", "--agent", "backend", "-o", "json"]).json();
    assert_eq!((&json["policy"], &json["in_rules"]), (&true.into(), &true.into()));
    let allowed = |at: usize| json["servers"][at]["allowed"].clone();
    assert_eq!((allowed(0), allowed(1)), (true.into(), false.into()));
    assert!(json["unknown_servers"].to_string().contains("redis"), "{json}");
    assert!(json["unnamed_caller"].as_str().unwrap().contains("INVALID_AGENT_ID"), "{json}");
    let text = home.ends(0, &["policy", "explain", "--agent", "backend", "--server", "web"]).output;
    assert!(text.contains("✗ web") && !text.contains("postgres:"), "{text}");
}

#[test]
fn without_rules_there_is_no_policy() {
    let home = Home::new().with("project/toolgate.yaml", "version: 1\nservers: {demo: {builtin: demo}}\n");
    let answer = home.ends(0, &["policy", "test", "--agent", "a", "--server", "demo", "-o", "json"]).json();
    assert_eq!(answer["step"], "no_rules");
    let text = home.ends(0, &["policy", "explain", "--agent", "a"]).output;
    assert!(text.starts_with("There is no policy"), "{text}");
}

#[test]
fn the_files_of_agent_mcp_gateway_are_asked_too() {
    let rules = r#"{
        "agents": {"reader": {"allow": {"servers": ["files"]}}},
        "defaults": {"deny_on_missing_agent": false}
    }"#;
    let home = Home::new()
        .with("project/.mcp.json", r#"{"mcpServers": {"files": {"command": "x"}}}"#)
        .with("project/.mcp-gateway-rules.json", rules);
    home.ends(0, &["policy", "test", "--agent", "reader", "--server", "files"]);
    home.ends(1, &["policy", "test", "--agent", "stranger", "--server", "files"]);
    // The hole that is closed by default.
    home.ends(
        0,
        &["policy", "test", "--agent", "stranger", "--server", "files", "--compat", "agent-mcp-gateway"],
    );
    let unnamed = home.ends(1, &["policy", "test", "--server", "files"]);
    assert!(unnamed.output.contains("NO_FALLBACK_CONFIGURED"), "{}", unnamed.output);
    let explain = ["policy", "explain", "--agent", "reader"];
    let explained = home.command(&explain).env("GATEWAY_DEFAULT_AGENT", "reader").output().unwrap();
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(text.contains("is the agent `reader`, as GATEWAY_DEFAULT_AGENT says"), "{text}");
}

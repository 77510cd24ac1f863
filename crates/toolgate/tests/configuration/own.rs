//! `toolgate.yaml`: strict, with every fault at once, and one bad server beside good ones.

use super::folder::{Folder, check};

const NAME: &str = "toolgate.yaml";

#[test]
fn unknown_keys_and_wrong_kinds_are_all_named_at_once() {
    check(
        "own_all_faults_at_once",
        NAME,
        r#"
servers:
  github:
    comand: npx
    args: -y
    env: { TOKEN: hunter2, PORT: 8080 }
    era: modren
    timeout_ms: 30s
  Files: [a]
limits:
  request_bytes: -1
  session: 3
tokens:
  - id: ci
    hash: 12
mcpServers: {}
"#,
    );
}

#[test]
fn meaning_is_checked_after_shape_and_all_at_once_too() {
    check(
        "own_meaning",
        NAME,
        r#"
version: 2
listen:
  address: localhost:8787
  operations: 127.0.0.1:8787
limits: { body_timeout_ms: 60000, in_flight: 0 }
startup_wait_ms: 100000
name_limit: 8
agent: ""
tokens:
  - { id: a, hash: "sha256:12", agent: x, expires: tomorrow }
audit: { file: logs/ }
"#,
    );
}

#[test]
fn one_bad_server_never_stops_the_others() {
    check(
        "own_one_bad_server",
        NAME,
        r#"
version: 1
servers:
  good: { command: npx, args: [-y, "${TOKEN}"], env: { A: "${TOKEN}", B: "${NONE:-x}" }, cwd: sub }
  missing:
    command: npx
    env:
      GITHUB_TOKEN: ${GITHUB_TOKEN}
      OTHER: hunter2${GITHUB_TOKEN}
    args: ["${AND_THIS}"]
  both: { command: npx, url: "https://a.example/?key=hunter2" }
  neither: {}
  headers:
    url: https://a.example/mcp?key=hunter2
    headers: { Host: x, "bad name": hunter2, Authorization: "Bearer ${TOKEN}" }
    timeout_ms: 600001
  unfinished: { command: "${TOKEN" }
  off: { command: x, env: { A: "${NONE}" }, enabled: false }
  demo: { builtin: demo }
"#,
    );
}

#[test]
fn a_transport_in_the_words_of_others_is_understood() {
    check(
        "own_foreign_transport",
        NAME,
        r#"
version: 1
servers:
  child: { type: stdio, command: npx }
  key: { transport: http, url: "https://a.example/mcp" }
  hyphen: { type: streamable-http, url: "https://a.example/mcp" }
  camel: { type: streamableHttp, url: "https://a.example/mcp" }
  none: { type: websocket, url: "https://a.example/mcp" }
"#,
    );
}

#[test]
fn transports_eras_and_sessions_that_cannot_go_together_leave_a_server_out() {
    check(
        "own_transport_and_era",
        NAME,
        r#"
version: 1
servers:
  good: { type: sse, url: "https://a.example/sse", era: legacy }
  era:
    type: sse
    url: https://a.example/sse
    era: modern
  shared:
    type: sse
    url: https://a.example/sse
    affinity: shared
  sessions:
    url: https://a.example/mcp
    era: modern
    affinity: session
"#,
    );
}

#[test]
fn broken_yaml_is_one_fault_and_shows_no_secret() {
    check("own_broken_quote", NAME, "version: 1\nservers:\n  a:\n    env: { TOKEN: \"hunter2 }\n");
    check("own_broken_indent", NAME, "version: 1\nservers:\n  a:\n    command: x\n   args: [\"hunter2\"]\n");
    check("own_key_twice", NAME, "version: 1\nagent: a\nagent: b\n");
}

#[test]
fn names_must_differ_by_more_than_case() {
    check(
        "own_names",
        NAME,
        "version: 1\nservers:\n  GitHub: { builtin: demo }\n  github: { builtin: demo }\n  \"a\\tb\": { builtin: demo }\n",
    );
}

#[test]
fn tokens_are_checked_together() {
    let hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    check(
        "own_tokens_twice",
        NAME,
        &format!(
            "version: 1\ntokens:\n  - {{ id: a, hash: {hash}, agent: x }}\n  - {{ id: a, hash: {hash}, agent: y }}\n"
        ),
    );
    check(
        "own_token_for_unknown_server",
        NAME,
        &format!(
            "version: 1\nservers: {{ github: {{ builtin: demo }} }}\ntokens:\n  - id: a\n    hash: {hash}\n    agent: x\n    servers: [gihub]\n"
        ),
    );
}

#[test]
fn odd_files_have_a_defined_answer() {
    check("own_empty", NAME, "");
    check("own_a_list", NAME, "- a\n");
    check("own_nothing_where_a_map_belongs", NAME, "version: 1\nservers:\nlisten:\n");
    check("own_json", NAME, r#"{"version": 1, "servers": {"a": {"builtin": "dem"}}}"#);
    check("own_escapes", NAME, "version: 1\n\"\\e[2J\": 1\n");
    let long =
        format!("version: 1\nservers: {{ a: {{ args: [{}], comand: x }} }}\n", "\"hunter2\", ".repeat(40));
    check("own_long_line", NAME, &long);
    check(
        "own_block_secret",
        NAME,
        "version: 1\nservers:\n  a:\n    command: x\n    env:\n      A: |\n        hunter2\n        hunter2 ${NONE}\n      B: >-\n        hunter2 ${\n",
    );
}

#[test]
fn sound_values_arrive() {
    let folder = Folder::new().with(
        NAME,
        r#"
version: 1
listen: { address: "0.0.0.0:9000", operations: "[::1]:9001", allowed_hosts: [Gate.example.com] }
limits: { request_bytes: 2048, session_idle_ms: 60000 }
startup_wait_ms: 0
naming: mcp-server-tool
name_limit: 48
agent: developer
audit: { mode: durable, arguments: redacted, file: audit/a.jsonl }
servers:
  a: { url: "http://a.example/mcp", era: legacy, startup: lazy, timeout_ms: 1000, max_in_flight: 5, probe_timeout_ms: 9 }
"#,
    );
    let loaded = folder.load().expect("sound");
    let config = &loaded.config;
    assert_eq!(config.listen.address().to_string(), "0.0.0.0:9000");
    assert_eq!(config.listen.allowed_hosts(), ["gate.example.com"]);
    assert_eq!(config.limits.request_bytes(), 2048);
    assert!(config.startup_wait.is_zero());
    assert_eq!(config.naming.style, catalog::NamingStyle::McpServerTool);
    assert_eq!(config.agent.as_str(), "developer");
    assert_eq!(config.audit.file(), folder.path().join("audit/a.jsonl"));
    let server = loaded.servers["a"].as_ref().expect("sound");
    assert_eq!((server.timeout().as_millis(), server.max_in_flight()), (1000, 5));
    assert_eq!(server.era(), upstream::config::EraChoice::Legacy);
}

#[test]
fn sizes_are_bounded() {
    let huge = format!("version: 1\n# {}", "x".repeat(2 << 20));
    assert_eq!(
        Folder::new().with(NAME, &huge).told(),
        "error: `toolgate.yaml` is larger than 1048576 bytes\n"
    );
    let many: String = (0..1001).map(|index| format!("  s{index}: {{ builtin: demo }}\n")).collect();
    let told = Folder::new().with(NAME, &format!("version: 1\nservers:\n{many}")).told();
    assert!(told.contains("1001 entries, and at most 1000 are accepted"), "{told}");
    let latin = Folder::new();
    std::fs::write(latin.path().join(NAME), b"version: 1 # \xe4").expect("writable");
    assert!(latin.told().contains("did not contain valid UTF-8"));
}

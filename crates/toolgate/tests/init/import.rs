//! From the files of clients to `toolgate.yaml`: the same servers, the same rules, no lost secret.

use serde_json::{Value, json};

use super::{
    home::Home,
    terminal::{ENTER, INTERRUPT, Terminal},
};

const SERVERS: &str = r#"{
  // As people write them.
  "mcpServers": {
    "files": {"description": "Files: read, write", "command": "files-server", "args": ["--root", "${HOME}/a b"], "env": {"LOG": "debug", "PORT": "80"}},
    "mail": {"type": "sse", "url": "https://mail.example.com/sse", "headers": {"Authorization": "Bearer s3cret-value"}},
    "off": {"command": "x", "disabled": true},
    "toolgate": {"command": "toolgate", "args": ["stdio"]},
  },
}"#;
const RULES: &str = r#"{
  "agents": {"reader": {"allow": {"servers": ["*"], "tools": {"files": ["read_*"]}}, "deny": {"servers": ["mail"]}}},
  "defaults": {"deny_on_missing_agent": true}
}"#;

fn home() -> Home {
    Home::new().with("project/.mcp.json", SERVERS)
}

#[test]
fn an_imported_file_is_what_it_was() {
    let home = home();
    let before = home.ends(0, &["validate", ".mcp.json", "-o", "json"]).json();
    let answer = home.ends(0, &["import", "-o", "json"]).json();
    assert_eq!(answer["outcome"], "written");
    assert_eq!(answer["secrets"], json!([{"server": "mail", "place": "headers.Authorization"}]));
    assert_eq!(home.mode("project/toolgate.yaml"), 0o600);
    let after = home.ends(0, &["validate", "toolgate.yaml", "-o", "json"]).json();
    for key in ["disabled", "left_out"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    // All but the gateway itself.
    assert_eq!(before["usable"], json!(["files", "mail", "toolgate"]));
    assert_eq!(after["usable"], json!(["files", "mail"]));
    insta::assert_snapshot!("import", home.text("project/toolgate.yaml"));
}

#[test]
fn rules_come_along() {
    let home = home().with("project/.mcp-gateway-rules.json", RULES);
    let answer = home.ends(0, &["import", "-o", "json"]).json();
    assert_eq!(answer["rules"]["agents"], json!(["reader"]));
    let test = |arguments: &[&str], code: i32| {
        home.ends(code, &[&["policy", "test", "--config", "toolgate.yaml"], arguments].concat());
    };
    test(&["--agent", "reader", "--server", "files", "--tool", "read_x"], 0);
    test(&["--agent", "reader", "--server", "files", "--tool", "write_x"], 1);
    test(&["--agent", "reader", "--server", "mail"], 1);
    test(&["--agent", "stranger", "--server", "files"], 1);
}

#[test]
fn secrets_become_variables_on_request() {
    let home = home();
    let answer = home.ends(0, &["import", "--secrets", "env", "-o", "json"]).json();
    assert_eq!(
        answer["variables"],
        json!([{"name": "MAIL_TOKEN", "server": "mail", "place": "headers.Authorization"}])
    );
    let text = home.text("project/toolgate.yaml");
    assert!(text.contains("Authorization: \"Bearer ${MAIL_TOKEN}\"") && !text.contains("s3cret"), "{text}");
}

#[test]
fn no_secret_is_shown() {
    let home = home();
    for arguments in [&["import", "--dry-run"][..], &["import", "--dry-run", "-o", "json"], &["import"]] {
        let answer = home.ends(0, arguments);
        assert!(!answer.output.contains("s3cret") && !answer.errors.contains("s3cret"), "{}", answer.output);
    }
    assert!(home.text("project/toolgate.yaml").contains("s3cret"));
}

#[test]
fn servers_of_several_clients_keep_apart() {
    let home = Home::new()
        .with(".cursor/mcp.json", r#"{"mcpServers": {"a": {"command": "one"}, "b": {"command": "two"}}}"#)
        .with(
            ".codex/config.toml",
            "[mcp_servers.A]\ncommand = \"three\"\n[mcp_servers.b]\ncommand = \"two\"\n",
        )
        .with("project/extra.json", r#"{"servers": {"a": {"command": "four", "cwd": "sub"}}}"#);
    let arguments = ["import", "cursor", "--from", "codex", "extra.json", "-o", "json"];
    let answer = home.ends(0, &arguments).json();
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|server| server["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&answer["servers"]), ["a", "b", "a-vscode", "A-codex"]);
    let notes = answer["notes"].to_string();
    assert!(notes.contains("becomes `A-codex`") && notes.contains("the same as `b`"), "{notes}");
}

#[test]
fn relative_folders_lead_to_the_same_place() {
    let file = r#"{"mcpServers": {"a": {"command": "x", "cwd": "sub"}}}"#;
    let home = Home::new().with("project/.mcp.json", file);
    home.ends(0, &["import", "--out", "here.yaml"]);
    assert!(home.text("project/here.yaml").contains("cwd: sub\n"));
    home.ends(0, &["import", "--out", "below/there.yaml"]);
    let text = home.text("project/below/there.yaml");
    assert!(text.contains("/project/sub\n"), "{text}");
}

#[test]
fn what_cannot_be_said_is_left_out_and_told() {
    let file = r#"{"mcpServers": {"good": {"command": "x"}, "bad": {"command": "x", "url": "http://h"}}}"#;
    let home = Home::new().with("project/.mcp.json", file);
    let answer = home.ends(3, &["import", "-o", "json"]).json();
    assert_eq!(answer["left_out"][0]["name"], "bad");
    assert_eq!(home.ends(0, &["validate", "-o", "json"]).json()["usable"], json!(["good"]));
}

#[test]
fn nothing_is_overwritten_unasked() {
    let home = home().with("project/toolgate.yaml", "version: 1\n");
    let refused = home.ends(1, &["import"]);
    assert!(refused.errors.contains("no terminal"), "{}", refused.errors);
    for keys in [format!("n{ENTER}"), ENTER.to_owned(), INTERRUPT.to_owned()] {
        let mut terminal = Terminal::start(&home, &["import"]);
        terminal.answer("is there already. Replace it", &keys);
        let (code, seen) = terminal.finish();
        assert_eq!(code, Some(1), "{seen}");
        assert!(seen.contains("Nothing was written"), "{seen}");
    }
    assert_eq!(home.text("project/toolgate.yaml"), "version: 1\n");
    let mut terminal = Terminal::start(&home, &["import"]);
    terminal.answer("is there already. Replace it", &format!("y{ENTER}"));
    assert_eq!(terminal.finish().0, Some(0));
    home.ends(0, &["import", "--yes"]);
    assert_eq!(home.text("project/toolgate.yaml.bak"), "version: 1\n");
    assert_eq!(home.project(), [".mcp.json", "toolgate.yaml", "toolgate.yaml.bak", "toolgate.yaml.bak.1"]);
}

#[test]
fn what_is_not_there_is_named() {
    let home = Home::new().with("project/odd.json", "{\"a\": 1}").with("project/broken.json", "{");
    let cases = [
        (&["import"][..], "there is no .mcp.json"),
        (&["import", "none.json"], "there is no file none.json"),
        (&["import", "zed"], "Zed has no file here"),
        (&["import", "odd.json"], "neither servers"),
        (&["import", "broken.json"], "broken.json"),
    ];
    for (arguments, expected) in cases {
        let answer = home.ends(1, arguments);
        assert!(answer.errors.contains(expected), "{}", answer.errors);
    }
    assert_eq!(home.project(), ["broken.json", "odd.json"]);
}

#[test]
fn what_is_commented_out_may_be_used_as_it_stands() {
    let home = home();
    home.ends(0, &["import", "--out", "plain.yaml"]);
    let mut in_example = false;
    let uncommented = |line: &str| {
        in_example = ["# rules:", "# exposure:"].contains(&line) || in_example && line.starts_with("#   ");
        if in_example { line.trim_start_matches("# ").to_owned() } else { line.to_owned() }
    };
    let text: Vec<String> = home.text("project/plain.yaml").lines().map(uncommented).collect();
    let text = text.join("\n");
    assert!(text.contains("\nrules:\n  agents:") && text.contains("\nexposure:\n  stdio:"), "{text}");
    let home = home.with("project/used.yaml", &text);
    home.ends(0, &["validate", "used.yaml"]);
    home.ends(
        1,
        &[
            "policy",
            "test",
            "--config",
            "used.yaml",
            "--agent",
            "reviewer",
            "--server",
            "files",
            "--tool",
            "delete_x",
        ],
    );
}

#[test]
fn every_client_can_be_imported() {
    let map = |key: &str, entry: &str| format!("{{\"{key}\": {{\"files\": {entry}}}}}");
    let usual = map("mcpServers", r#"{"command": "x", "args": ["a"], "env": {"K": "${K}"}}"#);
    let cases = [
        ("claude-code", ".claude.json", usual.clone()),
        ("claude-desktop", ".config/Claude/claude_desktop_config.json", usual.clone()),
        ("windsurf", ".codeium/windsurf/mcp_config.json", usual),
        (
            "cursor",
            "project/.cursor/mcp.json",
            map("mcpServers", r#"{"command": "x", "args": ["a"], "env": {"K": "${env:K}"}}"#),
        ),
        (
            "vscode",
            "project/.vscode/mcp.json",
            map("servers", r#"{"type": "stdio", "command": "x", "args": ["a"], "env": {"K": "${input:k}"}}"#),
        ),
        (
            "codex",
            ".codex/config.toml",
            "[mcp_servers.files]\ncommand = \"x\"\nargs = [\"a\"]\nenv_vars = [\"K\"]\n".to_owned(),
        ),
        (
            "gemini-cli",
            ".gemini/settings.json",
            map("mcpServers", r#"{"command": "x", "args": ["a"], "env": {"K": "$K"}}"#),
        ),
        (
            "zed",
            ".config/zed/settings.json",
            map(
                "context_servers",
                r#"{"source": "custom", "command": "x", "args": ["a"], "env": {"K": "${K}"}}"#,
            ),
        ),
    ];
    for (client, file, text) in cases {
        let home = Home::new().with(file, &text);
        home.ends(0, &["import", client]);
        let text = home.text("project/toolgate.yaml");
        let expected = "  files:\n    command: x\n    args: [\"a\"]\n    env:\n      K: \"${K}\"\n";
        assert!(text.contains(expected), "{client}: {text}");
        let checked = home.ends(3, &["validate", "-o", "json"]).json();
        assert_eq!(checked["left_out"][0]["reason"], "environment variable is not set: K", "{client}");
    }
}

/// What the rules say of a call that they refuse must be what the imported ones say.
#[track_caller]
fn is_as_strict(home: &Home) {
    let denied = ["policy", "test", "--config", "toolgate.yaml", "--agent", "reader", "--server", "mail"];
    home.ends(1, &denied);
    home.ends(
        1,
        &["policy", "test", "--config", "toolgate.yaml", "--agent", "stranger", "--server", "files"],
    );
}

#[test]
fn rules_beside_a_named_file_come_along() {
    let home = Home::new()
        .with("project/team/servers.json", SERVERS)
        .with("project/team/.mcp-gateway-rules.json", RULES);
    let answer = home.ends(0, &["import", "./team/servers.json", "-o", "json"]).json();
    assert_eq!(answer["rules"]["agents"], json!(["reader"]));
    let files = json!(["team/servers.json", "team/.mcp-gateway-rules.json"]);
    assert_eq!((&answer["read"], &answer["sources"]), (&files, &files));
    is_as_strict(&home);
    let text = home.ends(0, &["import", "team/servers.json", "--yes"]).output;
    assert!(text.contains("Read: team/servers.json, team/.mcp-gateway-rules.json.\n"), "{text}");
}

#[test]
fn rules_beside_the_file_that_a_variable_names_come_along() {
    let home =
        Home::new().with("elsewhere/servers.json", SERVERS).with("elsewhere/.mcp-gateway-rules.json", RULES);
    let mut command = home.command(&["import"]);
    let output = command.env("GATEWAY_MCP_CONFIG", home.path("elsewhere/servers.json")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    is_as_strict(&home);
}

#[test]
fn rules_that_serve_would_find_come_along_with_a_named_file() {
    let home = Home::new()
        .with("project/team/servers.json", SERVERS)
        .with(".config/agent-mcp-gateway/.mcp-gateway-rules.json", RULES);
    home.ends(0, &["import", "team/servers.json"]);
    is_as_strict(&home);
    let home = Home::new().with("project/team/servers.json", SERVERS).with("other/rules.json", RULES);
    let mut command = home.command(&["import", "team/servers.json"]);
    assert!(command.env("GATEWAY_RULES", home.path("other/rules.json")).status().unwrap().success());
    is_as_strict(&home);
}

#[test]
fn rules_that_cannot_be_read_are_not_passed_over() {
    let home = Home::new()
        .with("project/team/servers.json", SERVERS)
        .with("project/team/.mcp-gateway-rules.json", "{\"agents\": ");
    home.ends(1, &["import", "team/servers.json"]);
    let home = Home::new()
        .with("project/a/servers.json", SERVERS)
        .with("project/a/.mcp-gateway-rules.json", RULES)
        .with("project/b/servers.json", SERVERS)
        .with("project/b/.mcp-gateway-rules.json", RULES);
    let both = home.ends(1, &["import", "a/servers.json", "b/servers.json"]);
    assert!(both.errors.contains("rules are taken from one"), "{}", both.errors);
    home.ends(0, &["import", "a/servers.json", "b/servers.json", "a/.mcp-gateway-rules.json"]);
    is_as_strict(&home);
}

//! What is refused leaves every byte where it was, and says why.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{
    home::Home,
    samples::{self, SAMPLES},
};

#[track_caller]
fn check_refused(home: &Home, arguments: &[&str], reason: &str) {
    let answer = home.run(arguments);
    assert_eq!(answer.code, Some(1), "{} {}", answer.output, answer.errors);
    assert!(answer.errors.contains(reason), "{}", answer.errors);
    assert!(home.records().is_empty());
}

#[test]
fn without_a_terminal_nothing_is_written() {
    for sample in &SAMPLES {
        let home = Home::new();
        home.write(sample.path, sample.text);
        check_refused(
            &home,
            &["install", sample.client, "--scope", sample.scope],
            "`--yes` writes without asking",
        );
        assert_eq!(home.text(sample.path), sample.text);
    }
    let home = Home::new();
    home.done(&["install", "zed", "--yes"]);
    let installed = home.text(".config/zed/settings.json");
    assert_eq!(home.run(&["uninstall", "zed"]).code, Some(1));
    assert_eq!(home.text(".config/zed/settings.json"), installed);
}

#[test]
fn a_dry_run_shows_and_writes_nothing() {
    for sample in &SAMPLES {
        let home = Home::new();
        home.write(sample.path, sample.text);
        let answer =
            home.done(&["install", sample.client, "--scope", sample.scope, "--dry-run", "-o", "json"]);
        assert_eq!(answer.outcome(), "dry_run");
        assert!(answer.errors.contains("\n@@ -") && answer.errors.contains("toolgate"), "{}", answer.errors);
        assert!(!answer.errors.contains("hunter2"), "{}", answer.errors);
        assert_eq!(home.text(sample.path), sample.text);
        assert!(!home.path("state").exists());
    }
    let home = Home::new();
    home.done(&["install", "cursor", "--dry-run"]);
    assert!(!home.path(".cursor").exists());
}

#[test]
fn our_own_entry_is_shown_in_full() {
    let home = Home::new();
    let answer = home.done(&["install", "claude-code", "--agent", "researcher", "--dry-run"]);
    assert!(
        answer.errors.contains(r#"+      "args": ["stdio", "--agent", "researcher"]"#),
        "{}",
        answer.errors
    );
}

#[test]
fn what_is_removed_is_shown_without_secrets() {
    let home = Home::new();
    let other =
        r#"{"mcpServers": {"toolgate": {"command": "x", "env": {"KEY": "hunter2"}, "args": ["hunter2"]}}}"#;
    home.write(".cursor/mcp.json", other);
    let answer = home.done(&["install", "cursor", "--dry-run"]);
    assert!(answer.errors.contains("it would be replaced"), "{}", answer.errors);
    assert!(
        answer.errors.contains(r#"-{"mcpServers""#) && !answer.errors.contains("hunter2"),
        "{}",
        answer.errors
    );
}

#[test]
fn broken_files_are_refused_with_the_place() {
    let home = Home::new();
    for (client, text, reason) in [
        ("cursor", "{\n  \"mcpServers\": {\n    \"a\" {}\n  }\n}", "mcp.json:3:9"),
        ("cursor", "{\"mcpServers\": {}", "mcp.json:1:1"),
        ("cursor", "{\"a\": 1, \"a\": 2}", "the key `a` stands twice"),
        ("cursor", "{\"mcpServers\": {\"x\": {}, \"x\": {}}}", "the key `x` stands twice"),
        ("cursor", "{\"mcpServers\": []}", "`mcpServers` is no map of servers"),
        ("cursor", "[]", "`mcpServers` is no map of servers"),
        ("codex", "a = 1\n[mcp_servers\n", "config.toml:2:1"),
        ("codex", "[mcp_servers.a]\n[mcp_servers.a]\n", "duplicate key"),
        ("codex", "mcp_servers = 1\n", "`mcp_servers` is no map of servers"),
        ("codex", "mcp_servers = { a = {} }\n", "only a person can edit"),
    ] {
        let path = samples::of(client).path;
        home.write(path, text);
        check_refused(&home, &["install", client, "--yes"], reason);
        assert_eq!(home.text(path), text);
    }
    home.write(".cursor/mcp.json", b"\xff\xfe{}");
    check_refused(&home, &["install", "cursor", "--yes"], "is not UTF-8 text");
}

#[test]
fn a_broken_line_is_shown_without_its_values() {
    let home = Home::new();
    home.write(".cursor/mcp.json", "{\"mcpServers\": {\"a\": {\"env\": {\"KEY\": \"hunter2\" oops}}}}");
    let answer = home.run(&["install", "cursor", "--yes"]);
    assert!(!answer.errors.contains("hunter2"), "{}", answer.errors);
}

#[test]
fn what_cannot_be_written_is_said() {
    let home = Home::new();
    home.write(".cursor", "a file where the folder belongs");
    check_refused(&home, &["install", "cursor", "--yes"], "cannot read");
    home.write(".gemini/settings.json", "{}\n");
    fs::set_permissions(home.path(".gemini/settings.json"), fs::Permissions::from_mode(0o444)).expect("ours");
    check_refused(&home, &["install", "gemini-cli", "--yes"], "is write-protected");
    assert_eq!(home.text(".gemini/settings.json"), "{}\n");
    if rustix::process::geteuid().is_root() {
        return; // Nothing is read-only to root.
    }
    home.write(".codex/config.toml", "a = 1\n");
    fs::set_permissions(home.path(".codex"), fs::Permissions::from_mode(0o555)).expect("ours");
    check_refused(&home, &["install", "codex", "--yes"], "cannot write");
    fs::set_permissions(home.path(".codex"), fs::Permissions::from_mode(0o755)).expect("ours");
    assert_eq!(home.text(".codex/config.toml"), "a = 1\n");
}

#[test]
fn what_a_client_cannot_do_is_said() {
    let home = Home::new();
    check_refused(&home, &["install", "claude-desktop", "--http", "--yes"], "takes no address");
    check_refused(
        &home,
        &["install", "windsurf", "--scope", "project", "--yes"],
        "no servers of scope `project`",
    );
    for arguments in [
        &["install"][..],
        &["install", "emacs"],
        &["install", "zed", "--name", "a b"],
        &["install", "zed", "--http", "--config", "x"],
        &["install", "zed", "--url", "http://h/mcp"],
        &["install", "zed", "--http", "--url", "http://ada:pw@h/mcp"],
        &["install", "zed", "--http", "--url", "ftp://h"],
        &["install", "zed", "--list"],
        &["uninstall"],
    ] {
        assert_eq!(home.run(arguments).code, Some(2), "{arguments:?}");
    }
    let homeless = home.command(&["install", "zed", "--yes"]).env_remove("HOME").output().expect("runs");
    assert!(String::from_utf8_lossy(&homeless.stderr).contains("there is no home folder"));
}

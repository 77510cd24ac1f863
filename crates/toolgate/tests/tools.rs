//! `toolgate tools`: what the real binary finds, in a file of tools and at servers that it starts itself.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolgate"));
    command.arg("tools").args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env_clear().env("HOME", folder).env("TOOLGATE_STATE_DIR", folder.join("state"));
    command.output().expect("the binary is there")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Makes a folder with a file of tools.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tools = json!([
        {"server": "hub", "tool": "create_issue", "description": "Open an issue in a repository.",
         "inputSchema": {"properties": {"title": {"type": "string"}}, "required": ["title"]}},
        {"server": "hub", "tool": "list_issues", "description": "List the issues of a repository."},
        {"server": "disk", "tool": "read_file", "description": "Read a file."},
    ]);
    fs::write(folder.path().join("tools.json"), tools.to_string()).expect("writable");
    folder
}

#[test]
fn a_search_shows_signatures() {
    let folder = folder();
    let found = run(folder.path(), &["search", "--catalog", "tools.json", "open an issue", "--limit", "1"]);
    let shown = text(&found.stdout);
    assert!(
        shown.ends_with("  hub  create_issue(title: string): Open an issue in a repository.\n"),
        "{shown}"
    );
    let found =
        run(folder.path(), &["search", "--catalog", "tools.json", "read", "--server", "disk", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!(answer["hits"][0]["tool"], "read_file");
    let nothing = run(folder.path(), &["search", "--catalog", "tools.json", "qqqq"]);
    assert_eq!((text(&nothing.stdout).as_str(), nothing.status.code()), ("", Some(0)));
}

#[test]
fn a_batch_is_answered_line_by_line() {
    let folder = folder();
    let tasks = "{\"id\": \"a\", \"query\": \"list issues\", \"style\": \"terse\"}\n\n{\"id\": 2, \"query\": \"zzzz\"}\n";
    fs::write(folder.path().join("tasks.jsonl"), tasks).expect("writable");
    let answered = run(folder.path(), &["search", "--catalog", "tools.json", "--batch", "tasks.jsonl"]);
    let lines: Vec<Value> =
        text(&answered.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["id"], &lines[0]["hits"][0]["tool"]), (&json!("a"), &json!("list_issues")));
    assert!(lines[0]["hits"][0]["score"].as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)));
    assert_eq!(lines[1], json!({"id": 2, "hits": []}));
}

#[test]
fn a_line_that_is_no_task_is_named() {
    let folder = folder();
    fs::write(folder.path().join("tasks.jsonl"), "{\"id\": 1, \"query\": \"x\"}\n{\"id\": 2}\n")
        .expect("writable");
    let refused = run(folder.path(), &["search", "--catalog", "tools.json", "--batch", "tasks.jsonl"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("line 2"), "{}", text(&refused.stderr));
    assert_eq!(text(&refused.stdout), "");
}

#[test]
fn configured_servers_are_asked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = r#"{"version": 1, "servers": {"notes": {"builtin": "demo"}}}"#;
    fs::write(folder.path().join("toolgate.yaml"), config).expect("writable");
    let found = run(folder.path(), &["search", "sum of two numbers", "--limit", "1"]);
    assert!(text(&found.stdout).contains("  notes  add("), "{} {}", text(&found.stdout), text(&found.stderr));
    let listed = run(folder.path(), &["list", "-o", "json"]);
    let rows: Vec<Value> = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert!(rows.iter().any(|row| row["server"] == "notes" && row["tool"] == "add"), "{rows:?}");
}

#[test]
fn a_list_in_json_is_a_catalog() {
    let folder = folder();
    let list = |catalog: &str| run(folder.path(), &["list", "--catalog", catalog, "-o", "json"]).stdout;
    let listed = list("tools.json");
    let tools: Value = serde_json::from_slice(&listed).expect("JSON");
    let issue = tools.as_array().expect("rows").iter().find(|tool| tool["tool"] == "create_issue");
    assert_eq!(issue.expect("listed")["inputSchema"]["required"], json!(["title"]));
    fs::write(folder.path().join("again.json"), &listed).expect("writable");
    assert_eq!(text(&list("again.json")), text(&listed));
    let found = run(folder.path(), &["search", "--catalog", "again.json", "open an issue", "--limit", "1"]);
    assert!(text(&found.stdout).contains("create_issue(title: string)"), "{}", text(&found.stdout));
}

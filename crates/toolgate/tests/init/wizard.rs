//! The wizard: in a terminal, with `--yes`, and interrupted.

use super::{
    home::Home,
    terminal::{DOWN, ENTER, INTERRUPT, Terminal},
};

const CURSOR: &str = ".cursor/mcp.json";
const SERVERS: &str = r#"{"mcpServers": {
  "files": {"command": "files-server", "args": ["${HOME}"]},
  "mail": {"url": "https://mail.example.com/mcp", "headers": {"Authorization": "Bearer ${MAIL_TOKEN}"}}
}}"#;

fn home() -> Home {
    Home::new().with(CURSOR, SERVERS)
}

#[test]
fn with_yes_everything_that_is_found_is_taken() {
    let home = home();
    let answer = home.ends(0, &["init", "--yes"]);
    assert!(
        answer.output.contains("Wrote toolgate.yaml.") && answer.output.contains("toolgate install CLIENT")
    );
    let text = home.text("project/toolgate.yaml");
    assert!(text.contains("# From Cursor (~/.cursor/mcp.json)"), "{text}");
    let checked = home.ends(3, &["validate", "-o", "json"]).json();
    assert_eq!(checked["usable"], serde_json::json!(["files"]));
    assert_eq!(checked["left_out"][0]["name"], "mail");
    let judged =
        home.ends(0, &["policy", "test", "--server", "files", "--tool", "read", "-o", "json"]).json();
    assert_eq!(judged["agent"], "default");
}

#[test]
fn what_is_there_is_replaced_with_force_alone_and_kept() {
    let home = home().with("project/toolgate.yaml", "version: 1\n");
    let refused = home.ends(1, &["init", "--yes"]);
    assert!(
        refused.errors.contains("exists already") && refused.errors.contains("--force"),
        "{}",
        refused.errors
    );
    assert_eq!(home.text("project/toolgate.yaml"), "version: 1\n");
    home.ends(0, &["init", "--yes", "--force"]);
    assert_eq!(home.text("project/toolgate.yaml.bak"), "version: 1\n");
    assert_eq!(home.project(), ["toolgate.yaml", "toolgate.yaml.bak"]);
}

#[test]
fn without_a_terminal_nothing_is_written() {
    let home = home();
    let refused = home.ends(1, &["init"]);
    assert!(refused.errors.contains("--yes"), "{}", refused.errors);
    assert!(home.project().is_empty());
}

#[test]
fn agents_get_their_servers() {
    let home = home();
    home.ends(0, &["init", "--yes", "--agents", "reader,writer", "--grant", "reader=files"]);
    let test = |agent: &str, server: &str, code: i32| {
        home.ends(code, &["policy", "test", "--agent", agent, "--server", server]);
    };
    test("reader", "files", 0);
    test("reader", "mail", 1);
    test("writer", "mail", 0);
    test("default", "files", 1);
    let unknown = home.ends(1, &["init", "--yes", "--force", "--grant", "a=nothing"]);
    assert!(unknown.errors.contains("`nothing`"), "{}", unknown.errors);
}

#[test]
fn the_files_of_agent_mcp_gateway_are_written_too() {
    let home = home();
    home.ends(0, &["init", "--yes", "--format", "agent-mcp-gateway", "--out", "gate", "--agents", "a"]);
    let servers: serde_json::Value = serde_json::from_str(&home.text("project/gate/.mcp.json")).unwrap();
    assert_eq!(servers["mcpServers"]["mail"]["headers"]["Authorization"], "Bearer ${MAIL_TOKEN}");
    let rules: serde_json::Value =
        serde_json::from_str(&home.text("project/gate/.mcp-gateway-rules.json")).unwrap();
    assert_eq!(rules["agents"]["a"]["allow"]["servers"], serde_json::json!(["files", "mail"]));
    home.ends(3, &["validate", "gate/.mcp.json"]);
}

#[test]
fn a_machine_without_servers_gets_the_demo() {
    let home = Home::new();
    home.ends(0, &["init", "--yes"]);
    assert_eq!(home.ends(0, &["validate", "-o", "json"]).json()["usable"][0], "demo");
}

#[test]
fn the_wizard_asks_and_writes() {
    let home = home().with("project/toolgate.yaml", "version: 1\n");
    let mut terminal = Terminal::start(&home, &["init"]);
    // A blank takes the mark from the first server.
    terminal.answer("Which servers shall stand behind", &format!(" {ENTER}"));
    terminal.answer("Who will use the gateway?", &format!("{DOWN}{ENTER}"));
    terminal.answer("Names of the agents", &format!("reader, writer{ENTER}"));
    terminal.answer("Which servers may `reader` use?", ENTER);
    terminal.answer("Which servers may `writer` use?", &format!(" {ENTER}"));
    terminal.answer("Which files shall be written?", ENTER);
    terminal.answer("is there already. Replace it", &format!("y{ENTER}"));
    terminal.answer("Write toolgate.yaml?", ENTER);
    let (code, seen) = terminal.finish();
    assert_eq!(code, Some(0), "{seen}");
    assert_eq!(seen.matches("REACHED BY").count(), 1, "the table stands there once: {seen}");
    let text = home.text("project/toolgate.yaml");
    assert!(text.contains("  mail:\n") && !text.contains("  files:\n"), "{text}");
    home.ends(0, &["policy", "test", "--agent", "reader", "--server", "mail"]);
    home.ends(1, &["policy", "test", "--agent", "writer", "--server", "mail"]);
    assert_eq!(home.text("project/toolgate.yaml.bak"), "version: 1\n");
}

#[test]
fn whoever_goes_away_leaves_nothing_behind() {
    let questions = ["Which servers shall", "Who will use", "Which files shall", "Write toolgate.yaml?"];
    for last in 0..questions.len() {
        let home = home();
        let mut terminal = Terminal::start(&home, &["init"]);
        for question in &questions[..last] {
            terminal.answer(question, ENTER);
        }
        terminal.answer(questions[last], INTERRUPT);
        let (code, seen) = terminal.finish();
        assert_eq!(code, Some(1), "{seen}");
        assert!(seen.contains("Nothing was written."), "{seen}");
        assert!(home.project().is_empty(), "{:?}", home.project());
    }
}

#[test]
fn rules_that_are_not_taken_are_named() {
    let home = Home::new()
        .with("project/.mcp.json", SERVERS)
        .with("project/.mcp-gateway-rules.json", r#"{"agents": {"a": {"allow": {"servers": ["files"]}}}}"#);
    let answer = home.ends(0, &["init", "--yes"]);
    let expected = "Note: The rules in .mcp-gateway-rules.json are not taken";
    assert_eq!(answer.output.matches(expected).count(), 1, "{}", answer.output);
}

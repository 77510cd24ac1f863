//! Questions in a real pseudo-terminal.

use super::home::Home;

#[path = "../binary/pty.rs"]
mod pty;

/// The binary with a terminal for its three streams.
struct Terminal(pty::Pty);

impl Terminal {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        Self(pty::Pty::start(home.command(arguments)))
    }

    /// Reads until `text` was shown.
    #[track_caller]
    fn expect(&mut self, text: &str) {
        self.0.read_until(text, 0);
    }

    #[track_caller]
    fn answer(mut self, line: &str) -> (Option<i32>, String) {
        self.expect("Write this? [y/N] ");
        self.0.type_keys(line);
        self.finish()
    }

    fn finish(self) -> (Option<i32>, String) {
        self.0.finish()
    }
}

const FILE: &str = ".gemini/settings.json";
const BEFORE: &str = "{\n  \"theme\": \"x\", \"mcpServers\": {\"a\": {\"env\": {\"K\": \"hunter2\"}}}\n}\n";

#[test]
fn yes_writes_and_no_does_not() {
    let home = Home::new();
    home.write(FILE, BEFORE);
    for refusal in ["n\n", "\n", "\u{4}", "yes please\nno\n", "yes please\nperhaps\n"] {
        let (code, seen) = Terminal::start(&home, &["install", "gemini-cli"]).answer(refusal);
        assert_eq!(code, Some(1), "{seen}");
        assert!(seen.contains("Nothing was written"), "{seen}");
        assert_eq!(home.text(FILE), BEFORE);
    }
    let (code, seen) = Terminal::start(&home, &["install", "gemini-cli"]).answer("y\n");
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("Installed as `toolgate` for Gemini CLI") && !seen.contains("hunter2"), "{seen}");
    assert!(seen.contains("\u{1b}[32m+"), "added lines are green: {seen}");
    let installed = home.text(FILE);
    assert!(installed.contains("\"toolgate\""));

    let (code, _) = Terminal::start(&home, &["uninstall", "gemini-cli"]).answer("n\n");
    assert_eq!((code, home.text(FILE)), (Some(1), installed));
    let (code, _) = Terminal::start(&home, &["uninstall", "gemini-cli"]).answer("YES\n");
    assert_eq!((code, home.text(FILE)), (Some(0), BEFORE.to_owned()));
}

#[test]
fn what_is_neither_yes_nor_no_is_asked_again() {
    let home = Home::new();
    let (code, seen) = Terminal::start(&home, &["install", "gemini-cli"]).answer("ja\nyes\n");
    assert_eq!(code, Some(0), "{seen}");
    assert!(seen.contains("Please write `y` for yes or `n` for no"), "{seen}");
}

#[test]
fn what_changed_while_the_question_stood_is_not_overwritten() {
    let home = Home::new();
    home.write(FILE, BEFORE);
    let mut terminal = Terminal::start(&home, &["install", "gemini-cli"]);
    terminal.expect("[y/N] ");
    home.write(FILE, "{\"mine\": 1}");
    let (code, seen) = terminal.answer("y\n");
    assert_eq!(code, Some(1), "{seen}");
    assert!(seen.contains("was changed by another program meanwhile"), "{seen}");
    assert_eq!(home.text(FILE), "{\"mine\": 1}");
    assert!(home.records().is_empty());

    let mut terminal = Terminal::start(&home, &["install", "cursor"]);
    terminal.expect("[y/N] ");
    home.write(".cursor/mcp.json", "{\"mine\": 1}");
    let (code, seen) = terminal.answer("y\n");
    assert_eq!(code, Some(1), "{seen}");
    assert_eq!(home.text(".cursor/mcp.json"), "{\"mine\": 1}");
}

#[test]
fn with_yes_nothing_is_asked() {
    let home = Home::new();
    let (code, seen) = Terminal::start(&home, &["install", "cursor", "--yes"]).finish();
    assert_eq!(code, Some(0), "{seen}");
    assert!(!seen.contains("[y/N]"));
}

//! Questions in a real pseudo-terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Child,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::home::Home;

/// The binary with a terminal for its three streams.
struct Terminal {
    ours: File,
    child: Child,
    seen: String,
}

impl Terminal {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&ours).expect("ours");
        unlockpt(&ours).expect("ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string().expect("text");
        let theirs = File::options().read(true).write(true).open(name).expect("the other end");
        let copy = || theirs.try_clone().expect("an open file");
        let mut command = home.command(arguments);
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let child = command.spawn().expect("the binary is there");
        Self { ours: File::from(ours), child, seen: String::new() }
    }

    /// Reads until `text` was shown.
    fn expect(&mut self, text: &str) {
        let mut buffer = [0; 1024];
        while !self.seen.contains(text) {
            let length = self.ours.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", self.seen));
            assert_ne!(length, 0, "{}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    }

    fn answer(mut self, line: &str) -> (Option<i32>, String) {
        self.expect("Write this? [y/N] ");
        self.ours.write_all(line.as_bytes()).expect("the child listens");
        self.finish()
    }

    /// Reads to the end: when nobody holds the other end, reading fails.
    fn finish(mut self) -> (Option<i32>, String) {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = self.ours.read(&mut buffer) {
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        (self.child.wait().expect("it ends").code(), self.seen)
    }
}

const FILE: &str = ".gemini/settings.json";
const BEFORE: &str = "{\n  \"theme\": \"x\", \"mcpServers\": {\"a\": {\"env\": {\"K\": \"hunter2\"}}}\n}\n";

#[test]
fn yes_writes_and_no_does_not() {
    let home = Home::new();
    home.write(FILE, BEFORE);
    for refusal in ["n\n", "\n", "yes please\n", "\u{4}"] {
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

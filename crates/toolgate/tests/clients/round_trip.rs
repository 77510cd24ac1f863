//! Installing changes the one entry and nothing else, and uninstalling gives back every byte.

use super::{
    home::{Home, program},
    samples::{self, SAMPLES, Sample},
};

/// The ways in which the same text is stored.
fn variants(text: &str) -> Vec<Vec<u8>> {
    let trimmed = text.trim_end();
    vec![
        text.into(),
        text.replace('\n', "\r\n").into(),
        trimmed.into(),
        trimmed.replace('\n', "\r\n").into(),
        format!("\u{feff}{text}").into(),
    ]
}

fn arguments<'a>(command: &'a str, sample: &'a Sample) -> Vec<&'a str> {
    vec![command, sample.client, "--scope", sample.scope, "--yes", "-o", "json"]
}

#[test]
fn undo_gives_back_the_same_bytes() {
    for sample in &SAMPLES {
        for bytes in variants(sample.text) {
            let home = Home::new();
            home.write(sample.path, &bytes);
            let installed = home.done(&arguments("install", sample));
            assert_eq!(installed.outcome(), "installed");
            assert_ne!(home.read(sample.path), bytes);
            assert_eq!(home.done(&arguments("uninstall", sample)).outcome(), "restored");
            assert_eq!(home.read(sample.path), bytes, "{} {}", sample.client, sample.scope);
            assert!(home.records().is_empty());
        }
    }
}

#[test]
fn the_edit_alone_can_be_taken_back_too() {
    for sample in &SAMPLES {
        for bytes in variants(sample.text) {
            let home = Home::new();
            home.write(sample.path, &bytes);
            home.done(&arguments("install", sample));
            // With another comment the file is no longer the one that was written.
            let comment = if sample.client == "codex" { "\n# edited\n" } else { "\n// edited\n" };
            let edited = [&home.read(sample.path)[..], comment.as_bytes()].concat();
            home.write(sample.path, edited);
            let answer = home.done(&arguments("uninstall", sample));
            assert_eq!(answer.outcome(), "removed");
            assert!(answer.errors.contains("was edited after the installation"), "{}", answer.errors);
            if sample.client == "codex" && !bytes.ends_with(b"\n") {
                // The comment took the line end that the file had not.
                assert!(home.read(sample.path).starts_with(&bytes));
                continue;
            }
            let expected = [&bytes[..], comment.as_bytes()].concat();
            assert_eq!(String::from_utf8_lossy(&home.read(sample.path)), String::from_utf8_lossy(&expected));
        }
    }
}

/// Tells whether `after` is `before` with lines added; a kept line may get a comma.
fn only_adds(before: &str, after: &str) -> bool {
    let mut lines = before.split_inclusive('\n').peekable();
    for line in after.split_inclusive('\n') {
        let is_kept = lines.peek().is_some_and(|kept| {
            let (kept, line) = (kept.trim_end(), line.trim_end());
            let with_comma = (0..=kept.len()).filter(|at| kept.is_char_boundary(*at));
            kept == line
                || with_comma.map(|at| format!("{},{}", &kept[..at], &kept[at..])).any(|kept| kept == line)
        });
        if is_kept {
            lines.next();
        }
    }
    lines.next().is_none()
}

#[test]
fn install_adds_its_entry_and_nothing_else() {
    for sample in SAMPLES.iter().filter(|sample| sample.text.len() > 3 && sample.client != "windsurf") {
        let home = Home::new();
        home.write(sample.path, sample.text);
        home.done(&arguments("install", sample));
        let after = home.text(sample.path);
        if sample.scope != "local" {
            assert!(only_adds(sample.text, &after), "{after}");
        }
        let shown = after.replace(&program().display().to_string(), "[program]");
        let shown = shown
            .replace(&home.path("project").canonicalize().expect("there").display().to_string(), "[project]");
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "snapshots", omit_expression => true }, {
            insta::assert_snapshot!(format!("{}_{}", sample.client, sample.scope), shown);
        });
    }
}

#[test]
fn a_missing_file_is_made_and_deleted_again() {
    for sample in &SAMPLES {
        let home = Home::new();
        home.done(&arguments("install", sample));
        assert!(home.text(sample.path).contains("toolgate"));
        assert_eq!(home.done(&arguments("uninstall", sample)).outcome(), "deleted");
        assert!(!home.path(sample.path).exists());
        let left: Vec<_> = std::fs::read_dir(home.path(""))
            .expect("there")
            .map(|entry| entry.expect("there").file_name())
            .collect();
        assert!(left.iter().all(|name| name == "project" || name == "state"), "{left:?}");
        assert_eq!(std::fs::read_dir(home.path("project")).expect("there").count(), 0);
    }
}

#[test]
fn an_empty_file_is_given_back_empty() {
    for text in ["", "\n", "  "] {
        let home = Home::new();
        home.write(".cursor/mcp.json", text);
        home.done(&["install", "cursor", "--yes"]);
        home.done(&["uninstall", "cursor", "--yes"]);
        assert_eq!(home.text(".cursor/mcp.json"), text);
    }
}

#[test]
fn the_same_twice_is_already_installed() {
    for sample in &SAMPLES {
        let home = Home::new();
        home.write(sample.path, sample.text);
        home.done(&arguments("install", sample));
        let once = home.read(sample.path);
        assert_eq!(home.done(&arguments("install", sample)).outcome(), "already_installed");
        assert_eq!(home.read(sample.path), once);
        home.done(&arguments("uninstall", sample));
        assert_eq!(home.text(sample.path), sample.text);
    }
}

#[test]
fn options_stand_in_the_entry() {
    let home = Home::new();
    home.write("project/toolgate.yaml", "version: 1\n");
    home.done(&[
        "install",
        "cursor",
        "--config",
        "toolgate.yaml",
        "--agent",
        "ada",
        "--name",
        "gate",
        "--yes",
    ]);
    let entry: serde_json::Value = serde_json::from_str(&home.text(".cursor/mcp.json")).expect("JSON");
    let entry = &entry["mcpServers"]["gate"];
    let config = home.path("project").canonicalize().expect("there").join("toolgate.yaml");
    assert_eq!(entry["command"], program().display().to_string());
    let expected = serde_json::json!(["stdio", "--config", config, "--agent", "ada"]);
    assert_eq!(entry["args"], expected);
}

#[test]
fn addresses_are_written_as_each_client_reads_them() {
    for (client, expected) in [
        ("claude-code", r#""type": "http""#),
        ("cursor", r#""url": "http://127.0.0.1:8787/mcp""#),
        ("vscode", r#""url": "http://127.0.0.1:8787/mcp""#),
        ("windsurf", r#""serverUrl": "http://127.0.0.1:8787/mcp""#),
        ("codex", r#"url = "http://127.0.0.1:8787/mcp""#),
        ("gemini-cli", r#""httpUrl": "http://127.0.0.1:8787/mcp""#),
        ("zed", r#""url": "http://127.0.0.1:8787/mcp""#),
    ] {
        let home = Home::new();
        home.done(&["install", client, "--http", "--yes"]);
        let path = samples::of(client).path;
        assert!(home.text(path).contains(expected), "{}", home.text(path));
        home.done(&["uninstall", client, "--yes"]);
        assert!(!home.path(path).exists());
    }
}

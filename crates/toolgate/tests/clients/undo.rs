//! Undoing when the world went on in between.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::home::Home;

const FILE: &str = ".cursor/mcp.json";
const BEFORE: &str = "{\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\"}\n  }\n}\n";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn what_was_edited_in_between_stays() {
    let home = Home::new();
    home.write(FILE, BEFORE);
    home.done(&["install", "cursor", "--yes"]);
    home.write(FILE, home.text(FILE).replace("\"x\"", "\"y\""));
    let answer = home.done(&["uninstall", "cursor", "--yes"]);
    assert!(answer.output.contains("the entry `toolgate` is taken out of"), "{}", answer.output);
    assert_eq!(home.text(FILE), BEFORE.replace("\"x\"", "\"y\""));
}

#[test]
fn an_entry_that_was_replaced_comes_back() {
    let before = BEFORE.replace("\"a\"", "\"toolgate\"");
    for edit in ["", "// edited\n"] {
        let home = Home::new();
        home.write(FILE, &before);
        assert_eq!(home.done(&["install", "cursor", "--yes", "-o", "json"]).outcome(), "replaced");
        home.write(FILE, home.text(FILE) + edit);
        home.done(&["uninstall", "cursor", "--yes"]);
        let after: String = home.text(FILE).split_whitespace().collect();
        let expected: String = format!("{before}{edit}").split_whitespace().collect();
        assert_eq!(after, expected);
    }
}

#[test]
fn installing_anew_does_not_forget_what_was_first() {
    for edit in ["", "// edited\n"] {
        let home = Home::new();
        home.write(FILE, BEFORE);
        home.done(&["install", "cursor", "--yes"]);
        home.write(FILE, home.text(FILE) + edit);
        home.done(&["install", "cursor", "--agent", "ada", "--yes"]);
        assert_eq!(home.done(&["uninstall", "cursor", "--yes", "-o", "json"]).outcome(), "restored");
        assert_eq!(home.text(FILE), format!("{BEFORE}{edit}"));
    }
}

#[test]
fn two_entries_are_undone_in_any_order() {
    for order in [["one", "two"], ["two", "one"]] {
        let home = Home::new();
        home.write(FILE, BEFORE);
        home.done(&["install", "cursor", "--name", "one", "--yes"]);
        home.done(&["install", "cursor", "--name", "two", "--agent", "ada", "--yes"]);
        for name in order {
            home.done(&["uninstall", "cursor", "--name", name, "--yes"]);
        }
        assert_eq!(home.text(FILE), BEFORE, "{order:?}");
    }
}

#[test]
fn without_a_record_only_our_entry_is_taken_out() {
    let home = Home::new();
    home.write(FILE, BEFORE);
    home.done(&["install", "cursor", "--yes"]);
    fs::remove_dir_all(home.path("state")).expect("there");
    let answer = home.done(&["uninstall", "cursor", "--yes"]);
    assert!(answer.errors.contains("There is no record"), "{}", answer.errors);
    assert_eq!(home.text(FILE), BEFORE);

    let foreign = BEFORE.replace("\"a\"", "\"toolgate\"");
    home.write(FILE, &foreign);
    assert_eq!(home.done(&["uninstall", "cursor", "--yes", "-o", "json"]).outcome(), "not_ours");
    assert_eq!(home.text(FILE), foreign);
    home.write(FILE, BEFORE);
    assert_eq!(home.done(&["uninstall", "cursor", "--yes", "-o", "json"]).outcome(), "nothing_there");
    assert_eq!(home.done(&["uninstall", "zed", "--yes", "-o", "json"]).outcome(), "nothing_there");
}

#[test]
fn an_entry_that_somebody_made_theirs_is_left_alone() {
    let home = Home::new();
    home.done(&["install", "cursor", "--yes"]);
    let theirs = "{\"mcpServers\": {\"toolgate\": {\"command\": \"other\"}}}";
    home.write(FILE, theirs);
    assert_eq!(home.done(&["uninstall", "cursor", "--yes", "-o", "json"]).outcome(), "not_ours");
    assert_eq!(home.text(FILE), theirs);
}

#[test]
fn a_damaged_backup_is_not_written() {
    let home = Home::new();
    home.write(FILE, BEFORE);
    home.done(&["install", "cursor", "--yes"]);
    let backup = home.records().into_iter().find(|name| name.ends_with(".backup")).expect("a backup");
    home.write(&format!("state/installs/{backup}"), "{}");
    let installed = home.text(FILE);
    let answer = home.run(&["uninstall", "cursor", "--yes"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.errors.contains("it was changed"), "{}", answer.errors);
    assert_eq!(home.text(FILE), installed);
}

#[test]
fn links_stay_links_and_permissions_stay() {
    let home = Home::new();
    home.write("dotfiles/cursor.json", BEFORE);
    fs::set_permissions(home.path("dotfiles/cursor.json"), fs::Permissions::from_mode(0o640)).expect("ours");
    fs::create_dir(home.path(".cursor")).expect("writable");
    std::os::unix::fs::symlink("../dotfiles/cursor.json", home.path(FILE)).expect("writable");
    home.done(&["install", "cursor", "--yes"]);
    assert!(home.path(FILE).is_symlink());
    assert!(home.text("dotfiles/cursor.json").contains("toolgate"));
    assert_eq!(mode(&home.path("dotfiles/cursor.json")), 0o640);
    home.done(&["uninstall", "cursor", "--yes"]);
    assert!(home.path(FILE).is_symlink());
    assert_eq!(home.text("dotfiles/cursor.json"), BEFORE);
    assert_eq!(mode(&home.path("dotfiles/cursor.json")), 0o640);
}

#[test]
fn a_link_to_nothing_leads_to_the_new_file() {
    let home = Home::new();
    fs::create_dir(home.path(".cursor")).expect("writable");
    std::os::unix::fs::symlink(home.path("dotfiles/cursor.json"), home.path(FILE)).expect("writable");
    home.done(&["install", "cursor", "--yes"]);
    assert!(home.path(FILE).is_symlink() && home.path("dotfiles/cursor.json").is_file());
    home.done(&["uninstall", "cursor", "--yes"]);
    assert!(home.path(FILE).is_symlink() && !home.path("dotfiles").exists());
}

#[test]
fn new_files_and_records_are_private_where_secrets_may_come() {
    let home = Home::new();
    home.write(".cursor/other", "");
    home.done(&["install", "cursor", "--yes"]);
    assert_eq!(mode(&home.path(FILE)), 0o600);
    home.done(&["install", "cursor", "--scope", "project", "--yes"]);
    assert_eq!(mode(&home.path("project/.cursor/mcp.json")) & 0o444, 0o444);
    for record in home.records() {
        assert_eq!(mode(&home.path("state/installs").join(record)), 0o600);
    }
    home.done(&["uninstall", "cursor", "--yes"]);
    assert!(home.path(".cursor/other").is_file() && !home.path(FILE).exists());
}

//! `install --list`: what is on the machine.

use super::{home::Home, samples::SAMPLES};

#[test]
fn every_file_is_listed_with_what_stands_in_it() {
    let home = Home::new();
    for sample in &SAMPLES {
        home.write(sample.path, sample.text);
    }
    home.write(".codex/config.toml", "oops");
    home.done(&["install", "zed", "--name", "gate", "--yes"]);
    let listed = home.done(&["install", "--list", "-o", "json"]).json();
    for sample in SAMPLES.iter().filter(|sample| sample.client != "codex" && sample.scope != "local") {
        let found = listed.as_array().expect("a list").iter();
        let mut found =
            found.filter(|found| found["client"] == sample.client && found["scope"] == sample.scope);
        let found = found.next().unwrap_or_else(|| panic!("{} {}", sample.client, sample.scope));
        assert_eq!(found["other_servers"], sample.servers, "{found}");
        assert_eq!(found["installed"], sample.client == "zed");
    }
    let text = home.done(&["install", "--list"]).output;
    assert!(text.contains("unreadable") && text.contains("gate") && !text.contains("hunter2"), "{text}");
    assert!(Home::new().done(&["install", "--list"]).errors.contains("No client's file was found"));
}

#[test]
fn an_address_that_only_the_record_knows_is_ours() {
    let home = Home::new();
    home.done(&["install", "cursor", "--http", "--url", "https://gate.example.com/mcp", "--yes"]);
    let listed = home.done(&["install", "--list", "-o", "json"]).json();
    assert_eq!(listed[0]["names"][0], "toolgate");
    assert_eq!(home.done(&["uninstall", "cursor", "--yes", "-o", "json"]).outcome(), "deleted");
}

#[test]
fn another_scope_is_pointed_out() {
    let home = Home::new();
    home.done(&["install", "cursor", "--scope", "project", "--yes"]);
    let answer = home.done(&["uninstall", "cursor", "--yes"]);
    assert!(answer.errors.contains("add `--scope project`"), "{}", answer.errors);
}

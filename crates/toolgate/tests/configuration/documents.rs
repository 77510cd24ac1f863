//! The example and the pages about configuration say what the program does.

use std::{fs, path::Path};

use serde_json::Value;
use toolgate::config::schema;

use super::folder::Folder;

fn repository_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns every key of every type of the schema.
fn keys(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(properties) = members.get("properties").and_then(Value::as_object) {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| keys(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_key_is_described_in_the_page_and_in_the_schema() {
    let (page, schema) = (repository_file("docs/configuration.md"), schema());
    let mut found = Vec::new();
    keys(&schema, &mut found);
    assert!(found.len() > 40, "{found:?}");
    for key in found {
        assert!(page.contains(&format!("`{key}`")), "docs/configuration.md does not mention `{key}`");
    }
    let text = schema.to_string();
    assert_eq!(text.matches("\"properties\"").count(), 12, "a new section: describe it in the page too");
}

#[test]
fn the_example_loads_without_a_fault_and_without_a_warning() {
    let folder = Folder::new()
        .with("toolgate.yaml", &repository_file("toolgate.example.yaml"))
        .with_variable("GITHUB_TOKEN", "x")
        .with_variable("HOME", "/home/ada");
    let loaded = folder.load().expect("the example is sound");
    assert_eq!(loaded.warnings, []);
    assert!(loaded.servers.values().all(Result::is_ok));
    assert!(loaded.servers.len() >= 4);
}

#[test]
fn the_example_shows_every_key() {
    let (example, mut found) = (repository_file("toolgate.example.yaml"), Vec::new());
    keys(&schema(), &mut found);
    for key in found {
        assert!(example.contains(&format!("{key}:")), "toolgate.example.yaml does not show `{key}`");
    }
}

#[test]
fn the_yaml_of_the_page_loads() {
    let page = repository_file("docs/configuration.md");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 2);
    for block in blocks {
        let folder = Folder::new()
            .with("toolgate.yaml", block)
            .with(".mcp.json", r#"{"mcpServers": {}}"#)
            .with_variable("GITHUB_TOKEN", "x")
            .with_variable("HOME", "/home/ada");
        let told = folder.shown(folder.load());
        assert!(!told.contains("refused") && !told.contains("left out"), "{block}\n{told}");
    }
}

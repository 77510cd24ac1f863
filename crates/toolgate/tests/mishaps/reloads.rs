//! Which file is blamed for a change that was refused, and for how long.

use serde_json::Value;

use super::{gateway::Gateway, home::Home};

const CONFIG: &str = "version: 1\nservers: { demo: { builtin: demo } }\nrules_file: rules.json\n";
const RULES: &str = r#"{"agents": {"reader": {"allow": {"servers": ["demo"]}}}}"#;
const UNCHANGED: &str = "The configuration in force stays as it was";
const DONE: &str = "reloaded successfully";

#[test]
fn the_file_at_fault_is_blamed_until_a_load_succeeds() {
    let home = Home::new().with("project/toolgate.yaml", CONFIG).with("project/rules.json", RULES);
    let mut gateway = Gateway::start(&home);
    gateway.read_until("Try it");

    home.write("project/toolgate.yaml", format!("{CONFIG}servres: {{}}\n"));
    gateway.read_until(UNCHANGED);
    // Everything is read, and the rules are sound.
    gateway.hang_up();
    let said = gateway.read_until(UNCHANGED).join("\n");
    assert!(said.contains("Failed to reload MCP server configuration"), "{said}");
    assert!(!said.contains("Failed to reload gateway rules"), "{said}");
    let [config, rules] = gateway.refused();
    assert!(config.as_str().is_some_and(|fault| fault.contains("toolgate.yaml:4:1")), "{config}");
    assert_eq!(rules, Value::Null);

    home.write("project/toolgate.yaml", CONFIG);
    gateway.read_until(DONE);
    assert_eq!(gateway.refused(), [Value::Null, Value::Null]);

    home.write("project/rules.json", "{\"agents\": ");
    gateway.read_until(UNCHANGED);
    let [config, rules] = gateway.refused();
    assert_eq!(config, Value::Null);
    assert!(rules.as_str().is_some_and(|fault| fault.contains("rules.json:1:")), "{rules}");

    // What mends it is a change of the other file.
    home.write(
        "project/toolgate.yaml",
        "version: 1\nservers: { demo: { builtin: demo } }\nrules: { agents: {} }\n",
    );
    gateway.read_until(DONE);
    assert_eq!(gateway.refused(), [Value::Null, Value::Null]);
}

//! A draft as the two files of agent-mcp-gateway. They are JSON, which knows no comments.

use serde_json::{Map, Value, json};

use super::{Draft, RulesDraft, server::DraftServer};

/// Writes the servers as `.mcp.json`, which agent-mcp-gateway and most clients read.
pub fn mcp_json(draft: &Draft) -> String {
    let servers = draft.servers.iter().map(|server| (server.name.clone(), server.to_client()));
    text(&json!({ "mcpServers": servers.collect::<Map<_, _>>() }))
}

/// Writes the rules as `.mcp-gateway-rules.json`. Its keys that begin with `_` are for people.
pub fn rules_json(rules: &RulesDraft) -> String {
    let mut file = Map::new();
    let about =
        "Who may use what. Denials win over grants. `toolgate policy explain --agent NAME` explains it.";
    file.insert("_about".to_owned(), about.into());
    if let Value::Object(rules) = rules.to_json() {
        file.extend(rules);
    }
    text(&Value::Object(file))
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

impl DraftServer {
    /// Returns the entry in the words of clients.
    fn to_client(&self) -> Value {
        let mut entry = self.entry.clone();
        if entry.shift_remove("enabled") == Some(Value::Bool(false)) {
            entry.insert("disabled".to_owned(), true.into());
        }
        Value::Object(entry)
    }
}

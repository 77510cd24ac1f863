//! Servers as clients write them, brought to one form: that of `mcpServers` in most clients.

use serde_json::{Map, Value};

use super::client::Client;

/// Keys of the common form, in the order in which they are written.
const KEYS: [&str; 8] = ["type", "command", "args", "env", "cwd", "url", "headers", "disabled"];

/// A server that a client's file names.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundServer {
    /// Its name in the file.
    pub name: String,
    /// Its entry in the common form: `type`, `command`, `args`, `env`, `cwd`, `url`, `headers`, `disabled`, as far as
    /// they are given. It may hold secrets.
    pub json: Value,
}

impl std::fmt::Debug for FoundServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundServer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Returns the common form of an entry; none when it names neither a command nor an address, as entries of extensions
/// do.
pub(super) fn common(client: Client, entry: &Value) -> Option<Value> {
    let mut entry = entry.as_object()?.clone();
    match client {
        Client::ClaudeCode | Client::ClaudeDesktop => {}
        Client::Cursor | Client::VsCode => rewrite_all(&mut entry, &plain_reference),
        Client::Windsurf => {
            rename(&mut entry, "serverUrl", "url");
            rewrite_all(&mut entry, &plain_reference);
        }
        Client::Codex => codex(&mut entry),
        Client::GeminiCli => gemini(&mut entry),
        Client::Zed => zed(&mut entry),
    }
    if !entry.contains_key("command") && !entry.contains_key("url") {
        return None;
    }
    let kept = KEYS.iter().filter_map(|key| Some(((*key).to_owned(), entry.get(*key)?.clone())));
    Some(Value::Object(kept.collect()))
}

fn codex(entry: &mut Map<String, Value>) {
    rename(entry, "http_headers", "headers");
    switched_off(entry);
    for (name, variable) in texts(entry.get("env_http_headers")) {
        put_into(entry, "headers", &name, format!("${{{variable}}}"));
    }
    if let Some(variable) = entry.get("bearer_token_env_var").and_then(Value::as_str).map(str::to_owned) {
        put_into(entry, "headers", "Authorization", format!("Bearer ${{{variable}}}"));
    }
    let passed = entry.get("env_vars").and_then(Value::as_array).cloned().unwrap_or_default();
    for variable in passed.iter().filter_map(Value::as_str) {
        put_into(entry, "env", variable, format!("${{{variable}}}"));
    }
}

fn gemini(entry: &mut Map<String, Value>) {
    if entry.contains_key("httpUrl") {
        entry.insert("type".into(), "http".into());
        rename(entry, "httpUrl", "url");
    } else if entry.contains_key("url") && !entry.contains_key("type") {
        entry.insert("type".into(), "sse".into());
    }
    rewrite_all(entry, &braced_reference);
}

fn zed(entry: &mut Map<String, Value>) {
    switched_off(entry);
    // The form of older versions: everything about the process below `command`.
    if let Some(Value::Object(command)) = entry.get("command").cloned() {
        entry.remove("command");
        for (from, to) in [("path", "command"), ("args", "args"), ("env", "env")] {
            if let Some(value) = command.get(from) {
                entry.insert(to.into(), value.clone());
            }
        }
    }
}

fn switched_off(entry: &mut Map<String, Value>) {
    if entry.get("enabled") == Some(&Value::Bool(false)) {
        entry.insert("disabled".into(), true.into());
    }
}

fn rename(entry: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = entry.remove(from) {
        entry.insert(to.to_owned(), value);
    }
}

fn texts(map: Option<&Value>) -> Vec<(String, String)> {
    let members = map.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Sets a member of the map below `key`, unless it is there.
fn put_into(entry: &mut Map<String, Value>, key: &str, member: &str, text: String) {
    let map = entry.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if let Some(map) = map.as_object_mut() {
        map.entry(member).or_insert(Value::String(text));
    }
}

fn rewrite_all(entry: &mut Map<String, Value>, rewrite: &dyn Fn(&str) -> String) {
    entry.values_mut().for_each(|value| rewrite_texts(value, rewrite));
}

fn rewrite_texts(value: &mut Value, rewrite: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = rewrite(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite_texts(item, rewrite)),
        Value::Object(members) => members.values_mut().for_each(|member| rewrite_texts(member, rewrite)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `${env:NAME}` of three editors becomes `${NAME}`.
fn plain_reference(text: &str) -> String {
    text.replace("${env:", "${")
}

/// `$NAME`, alone, becomes `${NAME}`.
fn braced_reference(text: &str) -> String {
    match text.strip_prefix('$') {
        Some(name) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            format!("${{{name}}}")
        }
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "cases read better so")]
    fn check(client: Client, entry: Value, expected: Value) {
        assert_eq!(common(client, &entry).unwrap_or(Value::Null), expected);
    }

    #[test]
    fn addresses_have_many_names() {
        let common = json!({ "url": "http://h/mcp", "headers": { "A": "${K}" } });
        let headers = json!({ "A": "${env:K}" });
        check(Client::Windsurf, json!({ "serverUrl": "http://h/mcp", "headers": headers }), common.clone());
        check(Client::Cursor, json!({ "url": "http://h/mcp", "headers": headers }), common.clone());
        check(Client::Codex, json!({ "url": "http://h/mcp", "env_http_headers": { "A": "K" } }), common);
        check(
            Client::GeminiCli,
            json!({ "url": "http://h/sse" }),
            json!({ "type": "sse", "url": "http://h/sse" }),
        );
        check(
            Client::GeminiCli,
            json!({ "httpUrl": "http://h" }),
            json!({ "type": "http", "url": "http://h" }),
        );
        check(
            Client::Codex,
            json!({ "url": "http://h", "bearer_token_env_var": "T", "http_headers": { "B": "1" }, "enabled": false }),
            json!({ "url": "http://h", "headers": { "B": "1", "Authorization": "Bearer ${T}" }, "disabled": true }),
        );
    }

    #[test]
    fn commands_too() {
        let entry = json!({ "command": "x", "args": ["a"], "env": { "K": "$K", "L": "a$" }, "trust": true });
        check(
            Client::GeminiCli,
            entry,
            json!({ "command": "x", "args": ["a"], "env": { "K": "${K}", "L": "a$" } }),
        );
        check(
            Client::Zed,
            json!({ "source": "custom", "command": { "path": "x", "args": ["a"], "env": null } }),
            json!({ "command": "x", "args": ["a"], "env": null }),
        );
        check(
            Client::Codex,
            json!({ "command": "x", "env": { "A": "1" }, "env_vars": ["A", "B"] }),
            json!({ "command": "x", "env": { "A": "1", "B": "${B}" } }),
        );
    }

    #[test]
    fn what_starts_nothing_is_no_server() {
        check(Client::Zed, json!({ "source": "extension", "settings": {} }), Value::Null);
        check(Client::Cursor, json!("x"), Value::Null);
    }
}

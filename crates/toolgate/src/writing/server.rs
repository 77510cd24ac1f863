//! One server to be written: an entry of a client's file in our own words. What cannot be said in them is left out,
//! with the reason.

use std::path::Path;

use domain::ServerId;
use serde_json::{Map, Value, json};
use upstream::config::ServerConfig;

use super::yaml;

/// A server to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct DraftServer {
    /// Its name.
    pub name: String,
    /// Where it comes from, as a person reads it.
    pub origin: String,
    /// What should be known about it, as sentences.
    pub remarks: Vec<String>,
    /// Its entry with the keys of `toolgate.yaml`, in the order in which they are written.
    pub(super) entry: Map<String, Value>,
}

/// A server that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub origin: String,
    /// Why.
    pub reason: String,
}

/// Words of clients for the transport of 2024.
const OLD_TRANSPORT: &str = "sse";

// === impl DraftServer ===

impl DraftServer {
    /// Takes an entry in the common form of clients over. `folder` is where relative folders in it begin; none: where
    /// they begin for us, too.
    ///
    /// # Errors
    /// [`LeftOut`] when the entry is none of ours, even in other words.
    pub fn adopt(name: &str, common: &Value, origin: &str, folder: Option<&Path>) -> Result<Self, LeftOut> {
        let left_out = |reason: &str| LeftOut {
            name: name.to_owned(),
            origin: origin.to_owned(),
            reason: reason.to_owned(),
        };
        ServerId::new(name).map_err(|error| left_out(&error.to_string()))?;
        let common = common.as_object().ok_or_else(|| left_out("the entry is no map"))?;
        let kind = common.get("type").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let mut server =
            Self { name: name.to_owned(), origin: origin.to_owned(), remarks: Vec::new(), entry: Map::new() };
        for (key, value) in common.iter().filter(|(key, value)| is_meant(&kind, key) && !value.is_null()) {
            server.take(key, value, folder);
        }
        if kind == OLD_TRANSPORT {
            server.entry.insert("type".to_owned(), Value::String(kind));
        }
        // The message of a failure could hold a value.
        match serde_json::from_value::<ServerConfig>(Value::Object(server.entry.clone())) {
            Ok(config) if config.command.is_some() && config.url.is_some() => {
                Err(left_out("it names both a command and an address"))
            }
            Ok(config) if config.command.is_none() && config.url.is_none() => {
                Err(left_out("it names neither a command nor an address"))
            }
            Ok(_) => Ok(server),
            Err(_) => Err(left_out("the entry has not the shape of a server")),
        }
    }

    /// The built-in server, for those who have no other yet.
    pub fn demo() -> Self {
        let entry = json!({"builtin": "demo"}).as_object().cloned().unwrap_or_default();
        let (name, origin) = ("demo".to_owned(), "built in".to_owned());
        let remarks = vec!["A few harmless tools inside the gateway, to try it with.".to_owned()];
        Self { name, origin, remarks, entry }
    }

    /// Tells whether two servers are the same under perhaps two names.
    pub fn is_same(&self, other: &Self) -> bool {
        self.entry == other.entry
    }

    /// Returns how it is reached, without anything that may be a secret.
    pub fn shown(&self) -> String {
        if let Some(command) = self.entry.get("command").and_then(Value::as_str) {
            return command.to_owned();
        }
        match self.entry.get("url").and_then(Value::as_str) {
            Some(url) => without_secrets(url),
            None => "built in".to_owned(),
        }
    }

    fn take(&mut self, key: &str, value: &Value, folder: Option<&Path>) {
        let (key, value) = match key {
            "disabled" if *value == Value::Bool(true) => ("enabled", Value::Bool(false)),
            "command" | "url" | "description" => (key, plain(value)),
            "cwd" => (key, absolute(value, folder)),
            "args" | "env" | "headers" if !is_empty(value) => (key, each(value)),
            _ => return,
        };
        self.entry.insert(key.to_owned(), value);
    }

    /// Writes the entry below its name, every line behind `indent`.
    pub(super) fn write(&self, indent: &str, yaml: &mut String) {
        for (key, value) in &self.entry {
            match value {
                Value::Object(members) => {
                    yaml.push_str(&format!("{indent}{key}:\n"));
                    for (name, value) in members {
                        let (name, value) = (yaml::text(name), scalar(value));
                        yaml.push_str(&format!("{indent}  {name}: {value}\n"));
                    }
                }
                Value::Array(items) => {
                    let items = items.iter().filter_map(Value::as_str);
                    yaml.push_str(&format!("{indent}{key}: {}\n", yaml::list(items)));
                }
                scalar_value => yaml.push_str(&format!("{indent}{key}: {}\n", scalar(scalar_value))),
            }
        }
    }
}

impl std::fmt::Debug for DraftServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DraftServer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Of `command` and `url` the one that `type` does not speak of is dropped: some clients keep both.
fn is_meant(kind: &str, key: &str) -> bool {
    match (kind, key) {
        ("stdio" | "local", "url" | "headers") => false,
        ("http" | "sse" | "streamable-http" | "streamablehttp" | "streamable_http" | "remote", key) => {
            !matches!(key, "command" | "args" | "env" | "cwd")
        }
        (_, _) => true,
    }
}

/// Numbers and truth values become texts: clients accept them in environments, and pass them on as texts.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    }
}

fn each(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => {
            let given = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(given.map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

/// A folder that begins with a variable is left to the variable.
fn absolute(value: &Value, folder: Option<&Path>) -> Value {
    match (value.as_str(), folder) {
        (Some(cwd), Some(folder)) if !cwd.starts_with("${") => {
            Value::String(folder.join(cwd).display().to_string())
        }
        (Some(_) | None, _) => value.clone(),
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), yaml::text)
}

/// An address without query, user name and password.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
            let host = authority.rsplit('@').next().unwrap_or_default();
            path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "cases read better so")]
    fn check(common: Value, expected: Result<&str, &str>) {
        let adopted = DraftServer::adopt("s", &common, "here", Some(Path::new("/p")));
        let written = adopted.map(|server| {
            let mut yaml = String::new();
            server.write("", &mut yaml);
            yaml
        });
        assert_eq!(written.as_deref().map_err(|left_out| left_out.reason.as_str()), expected, "{common}");
    }

    #[test]
    fn entries_of_clients_become_ours() {
        check(
            json!({"type": "stdio", "command": "npx", "args": ["-y", "a"], "env": {"PORT": 80, "T": "${T}", "N": null}}),
            Ok("command: npx\nargs: [\"-y\", \"a\"]\nenv:\n  PORT: \"80\"\n  T: \"${T}\"\n"),
        );
        check(
            json!({"url": "http://h/mcp", "headers": {"X": "1"}, "disabled": true}),
            Ok("url: http://h/mcp\nheaders:\n  X: \"1\"\nenabled: false\n"),
        );
        check(
            json!({"type": "sse", "command": "x", "url": "http://h/sse"}),
            Ok("url: http://h/sse\ntype: sse\n"),
        );
        check(json!({"command": "x", "cwd": "a", "args": [], "env": {}}), Ok("command: x\ncwd: /p/a\n"));
        check(json!({"command": "x", "cwd": "${HOME}/a"}), Ok("command: x\ncwd: \"${HOME}/a\"\n"));
    }

    #[test]
    fn what_is_no_server_is_left_out() {
        check(json!({"command": "x", "url": "http://h"}), Err("it names both a command and an address"));
        check(json!({"type": "stdio", "url": "http://h"}), Err("it names neither a command nor an address"));
        check(json!({"command": "x", "args": "a"}), Err("the entry has not the shape of a server"));
        check(json!({"command": ["x"]}), Err("the entry has not the shape of a server"));
        let unnamed = DraftServer::adopt("a\nb", &json!({"command": "x"}), "here", None).unwrap_err();
        assert!(unnamed.reason.contains("invalid server name"), "{}", unnamed.reason);
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        assert_eq!(without_secrets("https://u:p@h:1/a/b?key=s#f"), "https://h:1/a/b");
        assert_eq!(without_secrets("https://h?key=s"), "https://h");
        assert_eq!(without_secrets("${URL}"), "${URL}");
    }
}

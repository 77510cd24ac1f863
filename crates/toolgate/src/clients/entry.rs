//! Our own entry in a client's file, in the form that the client reads.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{client::Client, error::ClientError, found};

/// Where a gateway listens when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8787/mcp";
/// Our executable, as an entry may name it.
const PROGRAM: &str = "toolgate";

/// How the client reaches the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// It starts one.
    Stdio {
        /// The executable; absolute, because clients have search paths of their own.
        program: String,
        /// What follows it.
        arguments: Vec<String>,
    },
    /// One runs already.
    Http {
        /// Its endpoint.
        url: String,
    },
}

// === impl Launch ===

impl Launch {
    /// Returns the entry as `client` reads it.
    ///
    /// # Errors
    /// [`ClientError::NoRemote`] when the client cannot be told an address.
    pub(super) fn entry(&self, client: Client) -> Result<Value, ClientError> {
        match self {
            Self::Stdio { program, arguments } => Ok(stdio_entry(client, program, arguments)),
            Self::Http { url } => http_entry(client, url).ok_or(ClientError::NoRemote { client }),
        }
    }
}

fn stdio_entry(client: Client, program: &str, arguments: &[String]) -> Value {
    let mut entry = Map::new();
    match client {
        Client::ClaudeCode | Client::VsCode => entry.insert("type".into(), "stdio".into()),
        // Older versions ask for it, newer ones do not mind.
        Client::Zed => entry.insert("source".into(), "custom".into()),
        Client::ClaudeDesktop | Client::Cursor | Client::Windsurf | Client::Codex | Client::GeminiCli => None,
    };
    entry.insert("command".into(), program.into());
    entry.insert("args".into(), arguments.into());
    Value::Object(entry)
}

fn http_entry(client: Client, url: &str) -> Option<Value> {
    match client {
        Client::ClaudeCode | Client::VsCode => Some(json!({ "type": "http", "url": url })),
        Client::Cursor | Client::Codex | Client::Zed => Some(json!({ "url": url })),
        Client::Windsurf => Some(json!({ "serverUrl": url })),
        // Its `url` means the HTTP transport of 2024.
        Client::GeminiCli => Some(json!({ "httpUrl": url })),
        Client::ClaudeDesktop => None,
    }
}

/// Tells whether two entries reach the same thing, whatever else stands in them.
pub(super) fn is_same(client: Client, one: &Value, other: &Value) -> bool {
    let plain = |entry: &Value| found::common(client, entry).map(without_type);
    plain(one).is_some() && plain(one) == plain(other)
}

/// Tells whether an entry reaches a gateway of ours, as far as it shows; `program` is this executable, which may have
/// another name.
pub(super) fn is_ours(client: Client, entry: &Value, program: Option<&Path>) -> bool {
    let Some(common) = found::common(client, entry) else { return false };
    if let Some(command) = common.get("command").and_then(Value::as_str) {
        let command = Path::new(command);
        return program == Some(command) || command.file_stem().is_some_and(|stem| stem == PROGRAM);
    }
    common.get("url").and_then(Value::as_str) == Some(DEFAULT_URL)
}

/// The command or address says it; clients differ in whether a type is written beside it.
fn without_type(mut common: Value) -> Value {
    if let Some(entry) = common.as_object_mut() {
        entry.shift_remove("type");
    }
    common
}

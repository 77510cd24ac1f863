//! agent-mcp-gateway's own validation of its servers' file, message by message. It stops at the first fault, in the
//! peer's order, and looks at the text before variables are filled in. Its validation of rules is policy's, in a module
//! of the same name, and has what both say in the same way; what we refuse ourselves stands in `adopted` and `servers`.

use policy::peer_validation::{kind, object};
use serde_json::{Map, Value};

/// Checks the file of servers as the peer does.
///
/// # Errors
/// The peer's message about the first fault; in an address that it shows, what may be a secret is hidden.
pub fn mcp_config(file: &Value) -> Result<(), String> {
    let file = object(file, |kind| format!("MCP server configuration must be a JSON object, got {kind}"))?;
    let servers = file.get("mcpServers").ok_or("Missing required key \"mcpServers\"")?;
    for (name, server) in object(servers, |kind| format!("\"mcpServers\" must be an object, got {kind}"))? {
        check_server(name, server)?;
    }
    Ok(())
}

/// A key that is there counts, whatever its value.
fn check_server(name: &str, server: &Value) -> Result<(), String> {
    let server =
        object(server, |kind| format!("Server \"{name}\" configuration must be an object, got {kind}"))?;
    let checked = match (server.get("command"), server.get("url")) {
        (Some(_), Some(_)) => {
            return Err(format!(
                "Server \"{name}\" cannot have both \"command\" (stdio) and \"url\" (HTTP) - specify one transport type only"
            ));
        }
        (None, None) => {
            return Err(format!(
                "Server \"{name}\" must specify either \"command\" (stdio) or \"url\" (HTTP) transport"
            ));
        }
        (Some(command), None) => check_command(server, command),
        (None, Some(url)) => check_url(server, url),
    };
    checked.map_err(|problem| format!("Server \"{name}\": {problem}"))
}

fn check_command(server: &Map<String, Value>, command: &Value) -> Result<(), String> {
    text(command, || "\"command\"".to_owned())?;
    match server.get("args") {
        None => {}
        Some(Value::Array(arguments)) => {
            for (index, argument) in arguments.iter().enumerate() {
                text(argument, || format!("args[{index}]"))?;
            }
        }
        Some(other) => return Err(format!("\"args\" must be an array, got {}", kind(other))),
    }
    check_texts(server, "env")
}

fn check_url(server: &Map<String, Value>, url: &Value) -> Result<(), String> {
    let url = text(url, || "\"url\"".to_owned())?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let shown = without_secrets(url);
        return Err(format!("\"url\" must start with http:// or https://, got \"{shown}\""));
    }
    check_texts(server, "headers")
}

fn check_texts(server: &Map<String, Value>, key: &str) -> Result<(), String> {
    let Some(texts) = server.get(key) else { return Ok(()) };
    for (name, value) in object(texts, |kind| format!("\"{key}\" must be an object, got {kind}"))? {
        text(value, || format!("{key}[\"{name}\"]"))?;
    }
    Ok(())
}

/// Hides what stands where addresses have their user and their parameters. The peer shows them; messages end in logs.
fn without_secrets(url: &str) -> String {
    let (address, parameters) = match url.find(['?', '#']) {
        Some(end) => (&url[..end], "***"),
        None => (url, ""),
    };
    let host = address.find("://").map_or(0, |colon| colon + "://".len());
    match address.rfind('@').filter(|at| *at >= host) {
        Some(at) => format!("{}***{}{parameters}", &address[..host], &address[at..]),
        None => format!("{address}{parameters}"),
    }
}

fn text(value: &Value, place: impl Fn() -> String) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{} must be a string, got {}", place(), kind(value)))
}

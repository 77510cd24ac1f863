//! agent-mcp-gateway's own validation of its rules, message by message. It stops at the first fault, in the peer's
//! order. What our readings refuse stands in `rules/read.rs`.

use serde_json::{Map, Value};

/// Checks `rules` as the peer does.
///
/// # Errors
/// The peer's message about the first fault.
pub fn gateway_rules(rules: &Value) -> Result<(), String> {
    let rules =
        object(rules, |kind| format!("Gateway rules configuration must be a JSON object, got {kind}"))?;
    if let Some(agents) = rules.get("agents") {
        for (id, agent) in object(agents, |kind| format!("\"agents\" must be an object, got {kind}"))? {
            check_agent(id, agent)?;
        }
    }
    rules.get("defaults").map_or(Ok(()), check_defaults)
}

fn check_defaults(defaults: &Value) -> Result<(), String> {
    let defaults = object(defaults, |kind| format!("\"defaults\" must be an object, got {kind}"))?;
    match defaults.get("deny_on_missing_agent") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(other) => {
            Err(format!("\"defaults.deny_on_missing_agent\" must be a boolean, got {}", kind(other)))
        }
    }
}

fn check_agent(id: &str, agent: &Value) -> Result<(), String> {
    check_agent_id(id)?;
    let agent = object(agent, |kind| format!("Agent \"{id}\" configuration must be an object, got {kind}"))?;
    for half in ["allow", "deny"] {
        if let Some(value) = agent.get(half) {
            check_half(id, half, value)?;
        }
    }
    Ok(())
}

pub(crate) fn check_agent_id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("Agent ID must be a non-empty string, got ''".to_owned());
    }
    if !is_agent_id(id) {
        return Err(format!(
            "Agent ID \"{id}\" contains invalid characters. Only alphanumeric, underscore, dot, and hyphen allowed."
        ));
    }
    Ok(())
}

/// One line end after the name is let through, as by `$` in the peer's expression.
fn is_agent_id(id: &str) -> bool {
    let id = id.strip_suffix('\n').unwrap_or(id);
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn check_half(id: &str, half: &str, value: &Value) -> Result<(), String> {
    let value = object(value, |kind| format!("Agent \"{id}\" {half} section must be an object, got {kind}"))?;
    if let Some(servers) = value.get("servers") {
        let place = format!("Agent \"{id}\" {half}.servers");
        check_list(&place, servers, check_server)?;
    }
    let Some(tools) = value.get("tools") else { return Ok(()) };
    let tools = object(tools, |kind| format!("Agent \"{id}\" {half}.tools must be an object, got {kind}"))?;
    for (server, list) in tools {
        let place = format!("Agent \"{id}\" {half}.tools[\"{server}\"]");
        check_list(&place, list, check_tool)?;
    }
    Ok(())
}

fn check_list(
    place: &str,
    list: &Value,
    check_entry: impl Fn(&str) -> Result<(), String>,
) -> Result<(), String> {
    let Value::Array(entries) = list else {
        return Err(format!("{place} must be an array, got {}", kind(list)));
    };
    for (index, entry) in entries.iter().enumerate() {
        let Value::String(text) = entry else {
            return Err(format!("{place}[{index}] must be a string, got {}", kind(entry)));
        };
        check_entry(text).map_err(|problem| format!("{place}[{index}]: {problem}"))?;
    }
    Ok(())
}

pub(crate) fn check_server(server: &str) -> Result<(), String> {
    if server != "*" && server.contains('*') {
        return Err("wildcard \"*\" can only be used alone, not in patterns".to_owned());
    }
    Ok(())
}

pub(crate) fn check_tool(pattern: &str) -> Result<(), String> {
    if pattern.matches('*').count() > 1 {
        return Err(format!("pattern \"{pattern}\" contains multiple wildcards - only one allowed"));
    }
    if pattern.contains('*') && !pattern.starts_with('*') && !pattern.ends_with('*') {
        return Err(format!("wildcard in pattern \"{pattern}\" must be at start, end, or alone"));
    }
    Ok(())
}

/// Returns `value` as an object. What the peer says of its files and of its rules names kinds in one way.
///
/// # Errors
/// What `problem` makes of the kind that `value` has instead.
pub fn object(value: &Value, problem: impl Fn(&str) -> String) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| problem(kind(value)))
}

/// Returns the name that Python gives to what `value` is.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

//! One line that says what a tool takes, returns and does, for models that choose among many tools:
//! `create_issue(owner: string, labels?: string[], state?: "open"|"closed" = "open") -> {id: integer}: Creates an issue.`
//! The full schema is another question. The text is a server's: it is cut, and what cannot be seen is escaped.

use serde_json::{Map, Value};

/// Longest name of a tool or parameter, in characters.
const MAX_NAME: usize = 64;
/// Longest list of parameters, in characters; further ones are counted.
const MAX_PARAMETERS: usize = 320;
/// Longest description of what is returned, in characters.
const MAX_OUTPUT: usize = 160;
/// Longest description, in characters: a sentence of usual length.
const MAX_SUMMARY: usize = 200;
/// Shortest first sentence that stands alone, in characters; shorter ones are headings.
const SHORTEST_SUMMARY: usize = 12;
/// Most members that are shown of an object within.
const MAX_MEMBERS: usize = 8;
/// Most values that are shown of those allowed.
const MAX_VALUES: usize = 6;
/// Longest value that is shown, in characters.
const MAX_VALUE: usize = 24;
/// How deep objects and arrays are shown.
const MAX_DEPTH: usize = 2;

/// Returns the signature of a tool from its JSON as listed.
///
/// One line of at most some 900 characters, usually 100 to 250: one level of objects is shown, required parameters
/// stand first, optional ones have a question mark. Anything is accepted: what is no tool has the signature `?()`.
pub fn signature(tool: &[u8]) -> String {
    let tool: Value = serde_json::from_slice(tool).unwrap_or_default();
    let name = tool.get("name").and_then(Value::as_str).unwrap_or("?");
    let mut line = format!("{}({})", cut(name, MAX_NAME), parameters(tool.get("inputSchema")));
    if let Some(output) = tool.get("outputSchema").and_then(Value::as_object) {
        line.push_str(" -> ");
        line.push_str(&cut(&kind(&Value::Object(output.clone()), 0), MAX_OUTPUT));
    }
    let summary = summary(tool.get("description").and_then(Value::as_str).unwrap_or_default());
    if !summary.is_empty() {
        line.push_str(": ");
        line.push_str(&summary);
    }
    line
}

fn parameters(schema: Option<&Value>) -> String {
    let Some(schema) = schema.and_then(Value::as_object) else { return String::new() };
    let all = members(schema, 0);
    let mut line = String::new();
    for (at, member) in all.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        if line.chars().count() + member.chars().count() + comma.len() > MAX_PARAMETERS {
            line.push_str(&format!("{comma}… {} more", all.len() - at));
            break;
        }
        line.push_str(comma);
        line.push_str(member);
    }
    line
}

/// Returns what stands for each property, the required ones first.
fn members(schema: &Map<String, Value>, depth: usize) -> Vec<String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| {
        required.is_some_and(|names| names.iter().any(|required| required.as_str() == Some(name)))
    };
    let (first, later): (Vec<_>, Vec<_>) = properties.iter().partition(|(name, _)| is_required(name));
    let first = first.into_iter().map(|(name, property)| member(name, property, "", depth));
    first.chain(later.into_iter().map(|(name, property)| member(name, property, "?", depth))).collect()
}

fn member(name: &str, property: &Value, mark: &str, depth: usize) -> String {
    let default = match property.get("default") {
        None | Some(Value::Null) => String::new(),
        Some(value) => format!(" = {}", cut(&value.to_string(), MAX_VALUE)),
    };
    format!("{}{mark}: {}{default}", cut(name, MAX_NAME), kind(property, depth + 1))
}

/// Returns what values a schema stands for.
fn kind(schema: &Value, depth: usize) -> String {
    let Some(schema) = schema.as_object() else { return "any".to_owned() };
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return choice(values.iter().map(|value| cut(&value.to_string(), MAX_VALUE)), values.len());
    }
    if let Some(value) = schema.get("const") {
        return cut(&value.to_string(), MAX_VALUE);
    }
    let alternatives = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    if let Some(alternatives) = alternatives {
        let depth = depth.max(1);
        let kinds = alternatives.iter().map(|alternative| {
            if depth < MAX_DEPTH { kind(alternative, depth + 1) } else { simple(alternative) }
        });
        return choice(kinds, alternatives.len());
    }
    match schema.get("type") {
        Some(Value::Array(types)) => {
            choice(types.iter().filter_map(Value::as_str).map(|name| cut(name, MAX_VALUE)), types.len())
        }
        Some(Value::String(name)) if name == "array" => array(schema, depth),
        Some(Value::String(name)) if name == "object" => object(schema, depth),
        Some(Value::String(name)) => cut(name, MAX_VALUE),
        _ if schema.contains_key("properties") => object(schema, depth),
        _ => "any".to_owned(),
    }
}

/// Returns the name of a type without anything within.
fn simple(schema: &Value) -> String {
    schema.get("type").and_then(Value::as_str).map_or_else(|| "any".to_owned(), |name| cut(name, MAX_VALUE))
}

fn array(schema: &Map<String, Value>, depth: usize) -> String {
    let items = match schema.get("items") {
        Some(items) if depth < MAX_DEPTH => kind(items, depth + 1),
        Some(items) => simple(items),
        None => "any".to_owned(),
    };
    if items.contains('|') && !items.starts_with('{') { format!("({items})[]") } else { format!("{items}[]") }
}

fn object(schema: &Map<String, Value>, depth: usize) -> String {
    let all = if depth < MAX_DEPTH { members(schema, depth) } else { Vec::new() };
    if all.is_empty() {
        return "object".to_owned();
    }
    let more = if all.len() > MAX_MEMBERS { ", …" } else { "" };
    let shown: Vec<String> = all.into_iter().take(MAX_MEMBERS).collect();
    cut(&format!("{{{}{more}}}", shown.join(", ")), MAX_OUTPUT)
}

fn choice(values: impl Iterator<Item = String>, count: usize) -> String {
    let shown: Vec<String> = values.take(MAX_VALUES).collect();
    if shown.is_empty() {
        return "any".to_owned();
    }
    let more = if count > MAX_VALUES { "|…" } else { "" };
    format!("{}{more}", shown.join("|"))
}

/// Returns the first sentence of a description on one line.
fn summary(description: &str) -> String {
    let mut text = String::new();
    for (count, c) in description.trim().chars().enumerate() {
        let ends = text.ends_with(['.', '!', '?']) && c.is_whitespace() || c == '\n';
        if count > MAX_SUMMARY || (ends && count >= SHORTEST_SUMMARY) {
            break;
        }
        text.push(c);
    }
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), MAX_SUMMARY)
}

/// Returns the beginning of a text with what cannot be seen escaped. An ellipsis stands where it was cut.
fn cut(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut room = limit;
    for c in text.chars() {
        let shown = if is_hidden(c) { c.escape_unicode().collect() } else { c.to_string() };
        let length = shown.chars().count();
        if length > room {
            out.pop();
            out.push('…');
            break;
        }
        room -= length;
        out.push_str(&shown);
    }
    out
}

/// Tells whether a character is a control, or one that changes how others look or cannot be seen at all.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(tool: &Value) -> String {
        signature(tool.to_string().as_bytes())
    }

    #[test]
    fn signatures() {
        let schema = json!({
            "type": "object",
            "properties": {
                "labels": {"type": "array", "items": {"type": "string"}},
                "owner": {"type": "string"},
                "state": {"enum": ["open", "closed"], "default": "open"},
                "at": {"type": "object", "properties": {"line": {"type": "integer"}}},
                "body": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["owner", "at"],
        });
        let tool = json!({
            "name": "create_issue",
            "description": "Creates an issue\n in v1.2 style. Takes long.",
            "inputSchema": schema,
            "outputSchema": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
        });
        assert_eq!(
            of(&tool),
            "create_issue(owner: string, at: {line?: integer}, labels?: string[], state?: \"open\"|\"closed\" = \"open\", \
             body?: string|null) -> {id: integer}: Creates an issue"
        );
        assert_eq!(of(&json!({"name": "ping"})), "ping()");
        assert_eq!(of(&json!([1])), "?()");
        assert_eq!(of(&json!({"name": "a\u{1b}[0m\u{202e}"})), "a\\u{1b}[0m\\u{202e}()");
    }

    #[test]
    fn many_parameters_are_counted() {
        let properties: Map<String, Value> =
            (0..100).map(|at| (format!("parameter_{at}"), json!({"type": "string"}))).collect();
        let line = of(&json!({"name": "t", "inputSchema": {"properties": properties}}));
        assert!(line.ends_with("more)") && line.chars().count() < 400, "{line}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            ".{0,300}".prop_map(Value::from),
            Just(json!("object")),
            Just(json!("array")),
        ];
        let key = prop_oneof![
            Just("name"),
            Just("description"),
            Just("inputSchema"),
            Just("outputSchema"),
            Just("properties"),
            Just("items"),
            Just("type"),
            Just("enum"),
            Just("anyOf"),
            Just("required"),
            Just("default"),
            Just("\u{7}"),
        ];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key.clone().prop_map(str::to_owned), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_tool_has_a_bounded_line(tool in any_json()) {
            let line = of(&tool);
            prop_assert!(line.chars().count() <= 900, "{} {}", line.chars().count(), line);
            prop_assert!(!line.chars().any(is_hidden));
            prop_assert_eq!(line, of(&tool));
        }

        #[test]
        fn any_bytes_have_a_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            signature(&bytes);
        }
    }
}

//! agent-mcp-gateway's arithmetic of tokens: a quarter of the characters of name, description and schema, the schema as
//! Python's `json.dumps` writes it. Budgets that its users found by trying keep their meaning.

use serde_json::Value;

/// Returns the tokens of one tool's definition, at least 1. `schema` is the JSON text of its input schema.
pub(super) fn of_tool(name: &str, description: &str, schema: &str) -> u64 {
    let characters = name.chars().count() + description.chars().count() + schema_length(schema);
    (characters as u64 / 4).max(1)
}

fn schema_length(schema: &str) -> usize {
    match serde_json::from_str(schema) {
        Ok(Value::Null) => 0,
        Ok(Value::Object(members)) if members.is_empty() => 0,
        Ok(value) => length(&value),
        Err(_) => UNREADABLE,
    }
}

/// What a schema counts that cannot be written.
const UNREADABLE: usize = 100;

/// Returns how many characters `json.dumps` writes: `, ` and `: ` between members, escapes for all but ASCII.
fn length(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text_length(text),
        Value::Array(items) => 2 + separators(items.len()) + items.iter().map(length).sum::<usize>(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| text_length(name) + 2 + length(value);
            2 + separators(members.len()) + members.iter().map(member).sum::<usize>()
        }
    }
}

const fn separators(items: usize) -> usize {
    2 * items.saturating_sub(1)
}

fn text_length(text: &str) -> usize {
    2 + text.chars().map(character_length).sum::<usize>()
}

const fn character_length(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        ' '..='~' => 1,
        // A character beyond the basic plane is two escapes.
        '\u{10000}'.. => 12,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right-hand numbers are what Python counts.
    #[test]
    fn tokens_of_tools() {
        let schema = r#"{"properties":{"a":{"type":"integer"},"b":{"default":2,"type":"integer"}},"required":["a"],"type":"object"}"#;
        assert_eq!(of_tool("add", "Add numbers", schema), 33);
        assert_eq!(of_tool("", "", "{}"), 1);
        assert_eq!(of_tool("abcd", "", "null"), 1);
        assert_eq!(of_tool("abcdefgh", "é", "{}"), 2);
        assert_eq!(schema_length(r#"{"é":"😀\u007f"}"#), 2 + 8 + 2 + 20);
        assert_eq!(schema_length("[1,2.5,true,null]"), 20);
        assert_eq!(schema_length("{"), UNREADABLE);
    }
}

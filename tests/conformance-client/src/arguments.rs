//! Values that fit a flat JSON Schema, as an obliging person would fill in a form: the default where there is one.
//! Nothing is fetched, and keywords that only narrow a value are not looked at.

use rmcp::model::JsonObject;
use serde_json::{Value, json};

/// Returns an object with a value for each property.
pub(crate) fn fitting(schema: &JsonObject) -> JsonObject {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.map(|(name, property)| (name.clone(), value(property))).collect()
}

fn value(schema: &Value) -> Value {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|choices| choices.get(0)) {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("number" | "integer") => json!(3),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => json!("text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_come_first_and_types_second() {
        let schema = json!({ "type": "object", "properties": {
            "name": { "type": "string", "default": "Jo" },
            "status": { "type": "string", "enum": ["on", "off"] },
            "age": { "type": "integer" },
            "sure": { "type": "boolean", "default": false },
        } });
        let expected = json!({ "name": "Jo", "status": "on", "age": 3, "sure": false });
        assert_eq!(Value::Object(fitting(schema.as_object().unwrap())), expected);
    }

    #[test]
    fn a_schema_without_properties_needs_nothing() {
        assert!(fitting(json!({ "type": "object" }).as_object().unwrap()).is_empty());
    }
}

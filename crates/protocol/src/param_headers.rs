//! `x-mcp-header` annotations in a tool's input schema (SEP-2243): which arguments a modern HTTP request
//! repeats as `Mcp-Param-*` headers. A tool that breaks the rules must not be offered.

use serde_json::{Map, Value};

use crate::header;

const ANNOTATION: &str = "x-mcp-header";

/// Most annotations in one schema; a request must stay within ordinary header limits.
const MAX_ANNOTATIONS: usize = 32;

/// Largest integer that every JSON reader keeps exactly, 2^53 - 1.
const MAX_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// One argument that is repeated in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamHeader {
    /// The header's name without `Mcp-Param-`.
    pub name: String,
    path: Vec<String>,
}

/// What makes a tool's annotations invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    /// The name is empty or holds characters that a header name cannot.
    #[error("an `x-mcp-header` value is no header name")]
    NotAToken,
    /// Two annotations have the same name, case aside.
    #[error("two `x-mcp-header` values are the same")]
    Duplicate,
    /// The annotated schema is neither integer, string nor boolean.
    #[error("`x-mcp-header` stands on something else than an integer, string or boolean")]
    Type,
    /// The annotation stands where no chain of `properties` leads.
    #[error("`x-mcp-header` stands outside plain properties")]
    Place,
    /// More annotations than a request can carry.
    #[error("more than {MAX_ANNOTATIONS} `x-mcp-header` annotations")]
    TooMany,
    /// The schema is not readable, so its annotations cannot be checked.
    #[error("the input schema cannot be read")]
    Unreadable,
}

/// Reads the annotations of a tool's input schema, given as JSON text.
///
/// # Errors
/// [`InvalidAnnotation`]: the tool must be dropped from listings (specification, tools: header parameters).
pub fn plan(schema: &str) -> Result<Vec<ParamHeader>, InvalidAnnotation> {
    if !schema.contains(ANNOTATION) && !schema.contains('\\') {
        return Ok(Vec::new());
    }
    let schema: Value = serde_json::from_str(schema).map_err(|_| InvalidAnnotation::Unreadable)?;
    let mut found = Vec::new();
    collect(&schema, &mut Vec::new(), &mut found)?;
    if found.len() != count(&schema) {
        return Err(InvalidAnnotation::Place);
    }
    if found.len() > MAX_ANNOTATIONS {
        return Err(InvalidAnnotation::TooMany);
    }
    for (position, header) in found.iter().enumerate() {
        if found[..position].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(&header.name)) {
            return Err(InvalidAnnotation::Duplicate);
        }
    }
    Ok(found)
}

impl ParamHeader {
    /// Returns the header's value for these arguments; `None` when the argument is absent or null.
    ///
    /// A value of another type than the schema says is not sent: the upstream refuses it by the body.
    pub fn value(&self, arguments: &Value) -> Option<String> {
        let value = self.path.iter().try_fold(arguments, |value, name| value.get(name))?;
        match value {
            Value::String(text) => Some(header::encode(text).into_owned()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => {
                number.as_i64().filter(|n| n.unsigned_abs() <= MAX_SAFE_INTEGER).map(|n| n.to_string())
            }
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

fn collect(
    schema: &Value,
    path: &mut Vec<String>,
    found: &mut Vec<ParamHeader>,
) -> Result<(), InvalidAnnotation> {
    let Some(schema) = schema.as_object() else { return Ok(()) };
    if let Some(annotation) = schema.get(ANNOTATION) {
        found.push(ParamHeader { name: checked_name(annotation, schema, path)?, path: path.clone() });
    }
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        path.push(name.clone());
        collect(property, path, found)?;
        path.pop();
    }
    Ok(())
}

fn checked_name(
    annotation: &Value,
    schema: &Map<String, Value>,
    path: &[String],
) -> Result<String, InvalidAnnotation> {
    if path.is_empty() {
        return Err(InvalidAnnotation::Place);
    }
    if !matches!(schema.get("type").and_then(Value::as_str), Some("integer" | "string" | "boolean")) {
        return Err(InvalidAnnotation::Type);
    }
    let name = annotation.as_str().filter(|name| is_token(name)).ok_or(InvalidAnnotation::NotAToken)?;
    Ok(name.to_owned())
}

/// RFC 9110 section 5.6.2: a header name is a token.
fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(is_tchar)
}

/// Counts annotations wherever a schema can stand. Members of `properties` are names, not keywords.
fn count(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => {
            let own = usize::from(map.contains_key(ANNOTATION));
            own + map.iter().map(|(keyword, value)| count_under(keyword, value)).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn count_under(keyword: &str, value: &Value) -> usize {
    match (keyword, value) {
        ("default" | "const" | "enum" | "examples", _) => 0,
        (
            "properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas",
            Value::Object(map),
        ) => map.values().map(count).sum(),
        _ => count(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(properties: &str) -> Result<Vec<String>, InvalidAnnotation> {
        let schema = format!(r#"{{"type":"object","properties":{properties}}}"#);
        plan(&schema).map(|headers| headers.into_iter().map(|header| header.name).collect())
    }

    #[test]
    fn annotations() {
        use InvalidAnnotation::{Duplicate, NotAToken, Place, Type};
        let cases: &[(&str, Result<&[&str], InvalidAnnotation>)] = &[
            (r#"{"a":{"type":"string"}}"#, Ok(&[])),
            (r#"{"a":{"type":"string","x-mcp-header":"Region"}}"#, Ok(&["Region"])),
            (
                r#"{"a":{"type":"object","properties":{"b":{"type":"integer","x-mcp-header":"B"}}}}"#,
                Ok(&["B"]),
            ),
            (r#"{"x-mcp-header":{"type":"string"}}"#, Ok(&[])),
            (r#"{"a":{"type":"string","x-mcp-header":""}}"#, Err(NotAToken)),
            (r#"{"a":{"type":"string","x-mcp-header":"A\r\nX: y"}}"#, Err(NotAToken)),
            (r#"{"a":{"type":"string","x-mcp-header":"a b"}}"#, Err(NotAToken)),
            (r#"{"a":{"type":"string","x-mcp-header":7}}"#, Err(NotAToken)),
            (r#"{"a":{"type":"number","x-mcp-header":"A"}}"#, Err(Type)),
            (r#"{"a":{"type":["string","null"],"x-mcp-header":"A"}}"#, Err(Type)),
            (r#"{"a":{"type":"object","x-mcp-header":"A"}}"#, Err(Type)),
            (r#"{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}"#, Err(Place)),
            (r#"{"a":{"oneOf":[{"type":"string","x-mcp-header":"A"}]}}"#, Err(Place)),
            (
                r#"{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}"#,
                Err(Duplicate),
            ),
            (r#"{"a":{"type":"string","x-mcp-head\u0065r":""}}"#, Err(NotAToken)),
        ];
        for (properties, expected) in cases {
            let expected =
                expected.clone().map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            assert_eq!(outcome(properties), expected, "{properties}");
        }
    }

    #[test]
    fn values_are_encoded_and_absent_ones_left_out() {
        let schema = r#"{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}"#;
        let header = plan(schema).unwrap().remove(0);
        let value = |arguments: &str| header.value(&serde_json::from_str(arguments).unwrap());
        assert_eq!(value(r#"{"a":"eu"}"#).as_deref(), Some("eu"));
        assert_eq!(value(r#"{"a":"é"}"#).as_deref(), Some("=?base64?w6k=?="));
        assert_eq!(value(r#"{"a":7}"#).as_deref(), Some("7"));
        assert_eq!(value(r#"{"a":null}"#), None);
        assert_eq!(value("{}"), None);
    }

    #[test]
    fn integers_that_not_every_reader_keeps_are_not_sent() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}"#;
        let header = plan(schema).unwrap().remove(0);
        let value =
            |number: &str| header.value(&serde_json::from_str(&format!("{{\"n\":{number}}}")).unwrap());
        for safe in ["0", "-7", "9007199254740991", "-9007199254740991"] {
            assert_eq!(value(safe).as_deref(), Some(safe));
        }
        let unsafe_ones = [
            "9007199254740992",
            "-9007199254740992",
            "9223372036854775807",
            "-9223372036854775807",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "0.5",
        ];
        for number in unsafe_ones {
            assert_eq!(value(number), None, "{number}");
        }
    }
}

//! Reads JSON with comments and trailing commas into a located tree: the files that MCP clients keep.

use std::collections::HashSet;

use jsonc_parser::{
    CollectOptions, ParseOptions, ParseResult,
    ast::{ObjectProp, Value},
    common::{Range, Ranged as _},
    parse_to_ast,
};

use super::{
    diagnostic::Diagnostic,
    document::{Document, Entry, Node, NodeValue, Span, unreadable},
};

/// Reads `text`; `name` is how the file is called in messages. A key that stands twice is refused: clients differ in
/// which one they take.
///
/// # Errors
/// The one fault at which reading stopped. Nesting is bounded by the parser (512).
pub(crate) fn read(name: &str, text: String) -> Result<Document, Box<Diagnostic>> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        ..ParseOptions::default()
    };
    let fault = |span: Span, problem: String| Box::new(unreadable(name, &text, span, problem));
    let tree = match parse_to_ast(&text, &CollectOptions::default(), &options) {
        Ok(ParseResult { value: Some(value), .. }) => locate(&value),
        Ok(ParseResult { value: None, .. }) => {
            let span = Span { start: 0, end: 0 };
            Ok(Node { span, value: NodeValue::Map(Vec::new()) })
        }
        Err(error) => Err((span(error.range()), format!("not readable as JSON: {}", error.kind()))),
    };
    match tree {
        Ok(root) => Ok(Document::new(name.to_owned(), text, root)),
        Err((span, problem)) => Err(fault(span, problem)),
    }
}

fn locate(value: &Value<'_>) -> Result<Node, (Span, String)> {
    let located = match value {
        Value::StringLit(literal) => NodeValue::Text(literal.value.to_string()),
        Value::NumberLit(literal) => literal
            .value
            .parse()
            .map_or_else(|_| NodeValue::Float(literal.value.to_owned()), NodeValue::Integer),
        Value::BooleanLit(literal) => NodeValue::Bool(literal.value),
        Value::Object(object) => NodeValue::Map(locate_map(&object.properties)?),
        Value::Array(array) => NodeValue::List(array.elements.iter().map(locate).collect::<Result<_, _>>()?),
        Value::NullKeyword(_) => NodeValue::Null,
    };
    Ok(Node { span: span(value.range()), value: located })
}

fn locate_map(properties: &[ObjectProp<'_>]) -> Result<Vec<Entry>, (Span, String)> {
    let mut entries = Vec::with_capacity(properties.len());
    let mut keys = HashSet::with_capacity(properties.len());
    for property in properties {
        let key = property.name.as_str().to_owned();
        let key_span = span(property.name.range());
        if !keys.insert(key.clone()) {
            return Err((key_span, format!("the key `{key}` stands twice")));
        }
        entries.push(Entry { key, key_span, value: locate(&property.value)? });
    }
    Ok(entries)
}

const fn span(range: Range) -> Span {
    Span { start: range.start, end: range.end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match read("f", text.to_owned()) {
            Ok(document) => document.root().to_json().to_string(),
            Err(fault) => format!("{}: {}", fault.place().expect("in a file"), fault.problem()),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn files_as_clients_write_them() {
        check("", "{}");
        check("{}", "{}");
        check(
            "// c\n{\"a\": [1, true, null, 1.5,], /* d */ \"b\": \"\\u00fc\",}",
            r#"{"a":[1,true,null,1.5],"b":"ü"}"#,
        );
    }

    #[test]
    fn what_is_not_json_is_one_fault_with_its_place() {
        check("{\"a\": 1 \"b\": 2}", "f:1:8: not readable as JSON: Expected comma");
        check("{\n  \"a\": 1,\n  \"a\": 2\n}", "f:3:3: the key `a` stands twice");
        check("{a: 1}", "f:1:2: not readable as JSON: Expected string for object property");
        check("{\"a\": 1} x", "f:1:10: not readable as JSON: Text cannot contain more than one JSON value");
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(read("f", "[".repeat(100_000)).is_err());
    }
}

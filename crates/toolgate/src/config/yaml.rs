//! Reads YAML into a located tree. Bounded: the size of the file by the caller, nesting, nodes and aliases here.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned, options::DuplicateKeyPolicy};

use super::{
    diagnostic::Diagnostic,
    document::{Document, Entry, Node, NodeValue, Span, unreadable},
};

/// Nesting of maps and lists. Ours goes to five.
const MAX_DEPTH: usize = 32;
/// Nodes of one file, those that aliases repeat included.
const MAX_NODES: usize = 100_000;
/// References to anchors in one file.
const MAX_ALIASES: usize = 1_000;

/// Reads `text`; `name` is how the file is called in messages.
///
/// # Errors
/// The one fault at which reading stopped: after it, nobody knows what the rest means.
pub(crate) fn read(name: &str, text: String) -> Result<Document, Box<Diagnostic>> {
    let budget = serde_saphyr::budget! {
        max_depth: MAX_DEPTH,
        max_nodes: MAX_NODES,
        max_events: 2 * MAX_NODES,
        max_aliases: MAX_ALIASES,
        max_documents: 1,
    };
    let options = serde_saphyr::options! {
        budget: budget,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(&text, options) {
        Ok(raw) => {
            let mut root = raw.value.locate(&text, raw.referenced);
            if matches!(root.value, NodeValue::Null) {
                // A file without any key, or with comments alone.
                root.value = NodeValue::Map(Vec::new());
            }
            Ok(Document::new(name.to_owned(), text, root))
        }
        Err(error) => Err(Box::new(syntax_fault(name, &text, &error))),
    }
}

/// The tree as the parser hands it over, places in its own form.
enum Raw {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl Raw {
    fn locate(self, text: &str, location: Location) -> Node {
        let value = match self {
            Self::Null => NodeValue::Null,
            Self::Bool(value) => NodeValue::Bool(value),
            Self::Integer(value) => NodeValue::Integer(value),
            Self::Float(value) => NodeValue::Float(value.to_string()),
            Self::Text(value) => NodeValue::Text(value),
            Self::List(items) => NodeValue::List(
                items.into_iter().map(|item| item.value.locate(text, item.referenced)).collect(),
            ),
            Self::Map(entries) => {
                let locate = |(key, value): (Spanned<String>, Spanned<Self>)| Entry {
                    key_span: span(text, key.referenced),
                    key: key.value,
                    value: value.value.locate(text, value.referenced),
                };
                NodeValue::Map(entries.into_iter().map(locate).collect())
            }
        };
        Node { span: span(text, location), value }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true, false, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Raw, E> {
        i64::try_from(value).map(Raw::Integer).map_err(|_| E::custom("a number beyond all bounds"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            if entries.len() >= MAX_NODES {
                return Err(A::Error::custom("a map with too many keys"));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

fn span(text: &str, location: Location) -> Span {
    let bytes = location.span();
    match (bytes.byte_offset(), bytes.byte_len()) {
        (Some(start), Some(length)) => Span::within(text, narrow(start), narrow(length)),
        (Some(start), None) => Span::within(text, narrow(start), 0),
        (None, _) => Span::within(text, 0, 0),
    }
}

fn syntax_fault(name: &str, text: &str, error: &serde_saphyr::Error) -> Diagnostic {
    let place = error.location().map_or(Span { start: 0, end: 0 }, |location| {
        if location.span().byte_offset().is_some() {
            span(text, location)
        } else {
            Span::at(text, location.line() as usize, location.column() as usize)
        }
    });
    let problem = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` stands twice")
        }
        other => format!("not readable as YAML: {}", without_place(&other.to_string())),
    };
    unreadable(name, text, place, problem)
}

/// The parser ends its messages with the place, which we show in our own way.
fn without_place(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |end| &message[..end])
}

fn narrow(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(text: &str, path: &[&str]) -> String {
        let document = read("f", text.to_owned()).expect("sound");
        let path: Vec<String> = path.iter().map(|&segment| segment.to_owned()).collect();
        let span = document.locate(&path);
        format!("{}..{} {:?}", span.start, span.end, &text[span.start..span.end])
    }

    #[test]
    fn everything_knows_its_place() {
        let text = "version: 1\nservers:\n  ü:\n    command: \"npx\"\n    args: [a, 'b c']\n";
        assert_eq!(spot(text, &["version"]), "0..7 \"version\"");
        assert_eq!(spot(text, &["servers", "ü", "command"]), "30..37 \"command\"");
        assert_eq!(spot(text, &["servers", "ü", "args", "1"]), "59..64 \"'b c'\"");
        assert_eq!(spot(text, &["servers", "ü", "cwd"]), "22..24 \"ü\"");
    }

    #[test]
    fn yaml_becomes_plain_data() {
        let json = |text: &str| read("f", text.to_owned()).expect("sound").root().to_json().to_string();
        assert_eq!(json(""), "{}");
        assert_eq!(json("# nothing\n"), "{}");
        assert_eq!(
            json("a: yes\nb: 1\nc: '1'\nd:\n1: true\n"),
            r#"{"a":"yes","b":1,"c":"1","d":null,"1":true}"#
        );
        assert_eq!(
            json("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}"),
            r#"{"a":{"b":1},"c":{"b":1},"d":{"e":2,"b":1}}"#
        );
        assert_eq!(json(r#"{"a": ["b"]}"#), r#"{"a":["b"]}"#);
    }

    #[test]
    fn what_is_not_yaml_is_one_fault_with_its_place() {
        check("a: [1, 2", "f:1:4: not readable as YAML: unclosed bracket '['");
        check("a: 1\nb: 1\na: 2\n", "f:3:1: the key `a` stands twice");
        check("a: *x", "f:1:4: not readable as YAML: alias references unknown anchor");
        check("a: 1\n---\nb: 2", "f:2:1: not readable as YAML: budget breached: Documents { documents: 2 }");
        check("a:\n  b: \"x", "f:2:6: not readable as YAML: unclosed quote");
        check("a: &a [*a]", "f:1:8: not readable as YAML: recursive references require weak recursion types");
        check(
            "a: 1e999",
            "f:1:4: not readable as YAML: non-finite float `1e999` rejected by the configured policy",
        );
    }

    #[test]
    fn alias_bombs_and_deep_nesting_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(read("f", bomb).is_err());
        assert!(read("f", "[".repeat(100_000)).is_err());
        assert!(read("f", format!("{}x", "- ".repeat(10_000))).is_err());
    }

    fn check(text: &str, expected: &str) {
        let fault = read("f", text.to_owned()).expect_err("broken");
        assert_eq!(format!("{}: {}", fault.place().expect("in a file"), fault.problem()), expected);
    }
}

//! Checks a located tree against a JSON Schema of ours and names everything that does not fit: unknown keys, wrong
//! kinds, unknown words, missing keys. All at once, which a deserializer cannot do.
//! It knows the part of JSON Schema that `schemars` writes for our types, and nothing else. What a value means is
//! checked by the crates that own it (`build()`).

use serde_json::Value;

use super::{
    document::{Entry, Node, NodeValue, Span},
    suggest,
};

/// One thing that does not fit.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) kind: MisfitKind,
    pub(crate) span: Span,
    pub(crate) path: Vec<String>,
    pub(crate) problem: String,
    pub(crate) help: Option<String>,
}

/// How bad it is depends on whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MisfitKind {
    /// A key that nobody reads.
    UnknownKey,
    /// A value that cannot be read.
    WrongValue,
    /// A key that must be there.
    MissingKey,
}

/// Checks `node`, which stands at `path`, against `schema`. `at` is shown for what is missing in it.
pub(crate) fn check(node: &Node, schema: &Value, path: &[String], at: Span) -> Vec<Misfit> {
    let mut walk = Walk { schema, path: path.to_vec(), misfits: Vec::new() };
    walk.value(node, schema, at);
    walk.misfits
}

struct Walk<'a> {
    /// The whole schema, in which references are looked up.
    schema: &'a Value,
    path: Vec<String>,
    misfits: Vec<Misfit>,
}

/// What a schema expects, as far as messages and the walk need it.
enum Expected<'a> {
    Map(&'a Value),
    List(&'a Value),
    Word(Vec<&'a str>),
    Text,
    Bool,
    Integer { least: i64, most: i64 },
    Anything,
}

impl<'a> Walk<'a> {
    fn value(&mut self, node: &Node, schema: &'a Value, at: Span) {
        let resolved = self.resolve(schema);
        match (expected(resolved), &node.value) {
            (Expected::Map(schema), NodeValue::Map(entries)) => self.map(entries, schema, at),
            (Expected::List(items), NodeValue::List(nodes)) => {
                for (index, item) in nodes.iter().enumerate() {
                    self.below(index.to_string(), |walk| walk.value(item, items, item.span));
                }
            }
            (Expected::Word(words), NodeValue::Text(text)) => self.word(text, &words, node.span),
            (Expected::Integer { least, most }, NodeValue::Integer(number)) => {
                if *number < least || *number > most {
                    let problem = format!(
                        "the number {number} is too {}",
                        if *number < least { "small" } else { "large" }
                    );
                    self.wrong(node.span, problem, example(schema, resolved));
                }
            }
            (Expected::Text, NodeValue::Text(_))
            | (Expected::Bool, NodeValue::Bool(_))
            | (Expected::Anything, _) => {}
            (_, NodeValue::Null) if accepts_null(schema) => {}
            (expected, _) => {
                let span = if matches!(node.value, NodeValue::Map(_) | NodeValue::List(_) | NodeValue::Null) {
                    at
                } else {
                    node.span
                };
                let problem = format!("{} where {} belongs", kind_of(node), name_of(&expected));
                let quotes = matches!(expected, Expected::Text) && is_bare_scalar(node);
                let help =
                    if quotes { Some("put it in quotes".to_owned()) } else { example(schema, resolved) };
                self.wrong(span, problem, help);
            }
        }
    }

    fn map(&mut self, entries: &[Entry], schema: &'a Value, at: Span) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known: Vec<&str> =
            properties.into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
        for entry in entries {
            let property = properties.and_then(|map| map.get(&entry.key));
            let others = schema.get("additionalProperties").filter(|others| others.is_object());
            self.below(entry.key.clone(), |walk| match property.or(others) {
                Some(schema) => walk.value(&entry.value, schema, entry.key_span),
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    walk.unknown_key(entry, &known);
                }
                None => {}
            });
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if entries.iter().all(|entry| entry.key != key) {
                let help = properties.and_then(|map| example_of(key, map.get(key)?));
                let problem = format!("the key `{key}` is missing");
                self.push(MisfitKind::MissingKey, at, problem, help);
            }
        }
    }

    fn word(&mut self, text: &str, words: &[&str], span: Span) {
        if words.contains(&text) {
            return;
        }
        self.wrong(span, format!("`{text}` means nothing here"), Some(suggest::for_word(text, words)));
    }

    fn unknown_key(&mut self, entry: &Entry, known: &[&str]) {
        let help = suggest::for_key(&entry.key, known);
        let problem = format!("unknown key `{}`", entry.key);
        self.push(MisfitKind::UnknownKey, entry.key_span, problem, help);
    }

    fn wrong(&mut self, span: Span, problem: impl Into<String>, help: Option<String>) {
        self.push(MisfitKind::WrongValue, span, problem.into(), help);
    }

    fn push(&mut self, kind: MisfitKind, span: Span, problem: String, help: Option<String>) {
        self.misfits.push(Misfit { kind, span, path: self.path.clone(), problem, help });
    }

    fn below(&mut self, segment: String, check: impl FnOnce(&mut Self)) {
        self.path.push(segment);
        check(self);
        self.path.pop();
    }

    /// Follows references and steps into the one branch of an optional value that is not null.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let mut current = schema;
        loop {
            let branch = current.get("anyOf").and_then(Value::as_array).and_then(|branches| {
                branches.iter().find(|branch| branch.get("type") != Some(&Value::from("null")))
            });
            let reference = current
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| self.schema.pointer(reference.strip_prefix('#')?));
            match branch.or(reference) {
                Some(next) => current = next,
                None => return current,
            }
        }
    }
}

fn expected(schema: &Value) -> Expected<'_> {
    if let Some(words) = words(schema) {
        return Expected::Word(words);
    }
    match type_of(schema) {
        Some("object") => Expected::Map(schema),
        Some("array") => schema.get("items").map_or(Expected::Anything, Expected::List),
        Some("string") => Expected::Text,
        Some("boolean") => Expected::Bool,
        Some("integer") => {
            let most = match schema.get("format").and_then(Value::as_str) {
                Some("uint32") => u32::MAX.into(),
                _ => i64::MAX,
            };
            let least = schema.get("minimum").and_then(Value::as_i64).map_or(i64::MIN, |least| least.min(0));
            Expected::Integer { least, most }
        }
        _ => Expected::Anything,
    }
}

/// Returns the words of a closed set, written as `enum` or as `oneOf` of `const`.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return list.iter().map(Value::as_str).collect();
    }
    let branches = schema.get("oneOf").and_then(Value::as_array)?;
    let mut found = Vec::new();
    for branch in branches {
        match (branch.get("const").and_then(Value::as_str), words(branch)) {
            (Some(word), _) => found.push(word),
            (None, Some(words)) => found.extend(words),
            (None, None) => return None,
        }
    }
    Some(found)
}

/// Returns the type, of a list of types the one that is not null.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn accepts_null(schema: &Value) -> bool {
    let null = Value::from("null");
    let by_type = schema.get("type").and_then(Value::as_array).is_some_and(|names| names.contains(&null));
    let by_branch = schema.get("anyOf").and_then(Value::as_array);
    by_type
        || by_branch.is_some_and(|branches| branches.iter().any(|branch| branch.get("type") == Some(&null)))
}

const fn kind_of(node: &Node) -> &'static str {
    match node.value {
        NodeValue::Null => "nothing",
        NodeValue::Bool(_) => "`true` or `false`",
        NodeValue::Integer(_) => "a number",
        NodeValue::Float(_) => "a number with a fraction",
        NodeValue::Text(_) => "text",
        NodeValue::List(_) => "a list",
        NodeValue::Map(_) => "a map of keys",
    }
}

const fn name_of(expected: &Expected<'_>) -> &'static str {
    match expected {
        Expected::Map(_) => "a map of keys",
        Expected::List(_) => "a list",
        Expected::Word(_) => "a word",
        Expected::Text => "text",
        Expected::Bool => "`true` or `false`",
        Expected::Integer { .. } => "a whole number",
        Expected::Anything => "a value",
    }
}

const fn is_bare_scalar(node: &Node) -> bool {
    matches!(node.value, NodeValue::Bool(_) | NodeValue::Integer(_) | NodeValue::Float(_))
}

fn example(schema: &Value, resolved: &Value) -> Option<String> {
    let value = [schema, resolved].iter().find_map(|schema| schema.get("examples")?.get(0))?;
    Some(format!("write for example `{}`", shown(value)))
}

fn example_of(key: &str, schema: &Value) -> Option<String> {
    let value = schema.get("examples")?.get(0)?;
    Some(format!("write for example `{key}: {}`", shown(value)))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

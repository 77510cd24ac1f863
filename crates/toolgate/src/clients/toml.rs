//! Reads TOML into the tree that all configuration is read into, and edits it: one table of servers, added at the end,
//! replaced or taken out line by line.

use std::ops::Range;

use serde_json::Value;
use toml_edit::{Document, Item, Table, TableLike, Value as TomlValue};

use super::splice::{Splice, line_end};
use crate::config::{Diagnostic, Entry, Node, NodeValue, Span, unreadable};

/// Where an entry stands.
#[derive(Debug, PartialEq, Eq)]
enum Located {
    Absent,
    /// Whole lines, each part once; the first holds the entry's own header.
    Lines(Vec<Range<usize>>),
    /// Inside of something else, or spread over dotted keys.
    ByHand,
}

/// Reads `text`; `name` is how the file is called in messages.
///
/// # Errors
/// The fault at which reading stopped; a key that stands twice is one. Nesting is bounded by the parser.
pub(super) fn read(name: &str, text: &str) -> Result<Node, Box<Diagnostic>> {
    let document = Document::parse(text).map_err(|error| {
        let at = error.span().unwrap_or_default();
        let span = Span::within(text, at.start, at.len());
        Box::new(unreadable(name, text, span, format!("not readable as TOML: {}", error.message())))
    })?;
    Ok(Node { span: Span { start: 0, end: text.len() }, value: map(document.as_table()) })
}

fn map(table: &dyn TableLike) -> NodeValue {
    let entries = table.iter().map(|(key, item)| Entry {
        key: key.to_owned(),
        key_span: span(table.key(key).and_then(toml_edit::Key::span)),
        value: node(item),
    });
    NodeValue::Map(entries.collect())
}

fn node(item: &Item) -> Node {
    let value = match item {
        Item::None => NodeValue::Null,
        Item::Value(value) => return value_node(value),
        Item::Table(table) => {
            let header = span(table.span());
            let span = Span { start: header.start, end: header.end.max(body_end(table)) };
            return Node { span, value: map(table) };
        }
        Item::ArrayOfTables(tables) => NodeValue::List(
            tables.iter().map(|table| Node { span: span(table.span()), value: map(table) }).collect(),
        ),
    };
    Node { span: span(item.span()), value }
}

fn value_node(value: &TomlValue) -> Node {
    let read = match value {
        TomlValue::String(text) => NodeValue::Text(text.value().clone()),
        TomlValue::Integer(number) => NodeValue::Integer(*number.value()),
        TomlValue::Float(number) => NodeValue::Float(number.value().to_string()),
        TomlValue::Boolean(value) => NodeValue::Bool(*value.value()),
        TomlValue::Datetime(time) => NodeValue::Text(time.value().to_string()),
        TomlValue::Array(items) => NodeValue::List(items.iter().map(value_node).collect()),
        TomlValue::InlineTable(table) => map(table),
    };
    Node { span: span(value.span()), value: read }
}

fn span(range: Option<Range<usize>>) -> Span {
    let range = range.unwrap_or_default();
    Span { start: range.start, end: range.end }
}

/// Returns what changes when `value` is put as `[key.name]`; none when only a person can edit it.
pub(super) fn put(text: &str, key: &str, name: &str, value: &Value) -> Option<Vec<Splice>> {
    let end = line_end(text);
    let body = render(key, name, value, end);
    match locate(text, key, name) {
        Located::ByHand => None,
        Located::Absent if text.is_empty() => Some(vec![Splice::insert(0, body + end)]),
        Located::Absent if text.ends_with('\n') => {
            Some(vec![Splice::insert(text.len(), format!("{end}{body}{end}"))])
        }
        Located::Absent => Some(vec![Splice::insert(text.len(), format!("{end}{end}{body}"))]),
        Located::Lines(parts) => {
            let (first, others) = parts.split_first()?;
            let last_line_end = if text[first.clone()].ends_with('\n') { end } else { "" };
            let here = Splice { start: first.start, end: first.end, text: body + last_line_end };
            Some(std::iter::once(here).chain(others.iter().map(|part| cut(text, part))).collect())
        }
    }
}

/// Returns what changes when `[key.name]` is taken out; none when only a person can do it.
pub(super) fn remove(text: &str, key: &str, name: &str) -> Option<Vec<Splice>> {
    match locate(text, key, name) {
        Located::Absent => Some(Vec::new()),
        Located::Lines(parts) => Some(parts.iter().map(|part| cut(text, part)).collect()),
        Located::ByHand => None,
    }
}

/// Takes lines out, with one empty line before them.
fn cut(text: &str, part: &Range<usize>) -> Splice {
    let before = &text[..part.start];
    let mut start = part.start;
    for blank in ["\n\r\n", "\n\n"] {
        if before.ends_with(blank) {
            start -= blank.len() - 1;
            break;
        }
    }
    let is_unended_last_line = part.end == text.len() && !text.ends_with('\n');
    if is_unended_last_line {
        let kept = text[..start].strip_suffix('\n').unwrap_or(&text[..start]);
        start = kept.strip_suffix('\r').unwrap_or(kept).len();
    }
    Splice::remove(start, part.end)
}

fn locate(text: &str, key: &str, name: &str) -> Located {
    let Ok(document) = Document::parse(text) else { return Located::ByHand };
    let table = match document.as_table().get(key) {
        None => return Located::Absent,
        Some(Item::Table(table)) => table,
        Some(Item::None | Item::Value(_) | Item::ArrayOfTables(_)) => return Located::ByHand,
    };
    match table.get_key_value(name) {
        None => Located::Absent,
        Some((_, Item::Table(entry))) => {
            let mut parts = Vec::new();
            match collect(text, entry, &mut parts) {
                Some(()) => Located::Lines(parts),
                None => Located::ByHand,
            }
        }
        Some((key, Item::Value(value))) if !table.is_dotted() => match key.span().zip(value.span()) {
            Some((key, value)) => Located::Lines(vec![lines(text, key.start, value.end)]),
            None => Located::ByHand,
        },
        Some((_, Item::None | Item::Value(_) | Item::ArrayOfTables(_))) => Located::ByHand,
    }
}

/// Collects the lines of a table and of those below it; none if a part of it has no header.
fn collect(text: &str, table: &Table, parts: &mut Vec<Range<usize>>) -> Option<()> {
    if table.is_dotted() {
        return None;
    }
    if let Some(header) = table.span() {
        parts.push(lines(text, header.start, body_end(table).max(header.end)));
    }
    for (_, item) in table {
        match item {
            Item::Table(below) if !below.is_dotted() => collect(text, below, parts)?,
            Item::Table(_) | Item::Value(_) | Item::None => {}
            Item::ArrayOfTables(_) => return None,
        }
    }
    Some(())
}

/// Where the last value ends that stands directly in a table, dotted keys among them.
fn body_end(table: &Table) -> usize {
    let ends = table.iter().map(|(_, item)| match item {
        Item::Value(value) => value.span().map_or(0, |span| span.end),
        Item::Table(below) if below.is_dotted() => body_end(below),
        Item::Table(_) | Item::ArrayOfTables(_) | Item::None => 0,
    });
    ends.max().unwrap_or(0)
}

/// Widens a part to whole lines.
fn lines(text: &str, start: usize, end: usize) -> Range<usize> {
    let start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[end..].find('\n').map_or(text.len(), |length| end + length + 1);
    start..end
}

/// Writes a table without the line end behind its last line.
fn render(key: &str, name: &str, value: &Value, end: &str) -> String {
    let mut text = format!("[{}.{}]", rendered_key(key), rendered_key(name));
    for (key, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        text.push_str(&format!("{end}{} = {}", rendered_key(key), rendered(value)));
    }
    text
}

fn rendered(value: &Value) -> String {
    match value {
        // A basic string is a JSON string, but for one character.
        Value::String(text) => Value::from(text.as_str()).to_string().replace('\u{7f}', "\\u007F"),
        Value::Array(items) => format!("[{}]", items.iter().map(rendered).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let member =
                |(key, value): (&String, &Value)| format!("{} = {}", rendered_key(key), rendered(value));
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Value::Null => "\"\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn rendered_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { rendered(&Value::from(key)) }
}

#[cfg(test)]
mod tests;

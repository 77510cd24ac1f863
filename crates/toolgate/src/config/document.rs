//! A configuration file as a tree in which everything knows where it stands.
//! YAML and JSON are read into it by `yaml.rs` and `jsonc.rs`; what may stand where is checked in `shape.rs`.

use serde_json::{Map, Value};

use super::{
    diagnostic::{Diagnostic, Position, Severity, SourceLine},
    mask,
};

/// A part of a file, in bytes. It always lies within the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: NodeValue,
}

/// What a value is. Floating-point numbers keep their text: no key of ours takes one.
#[derive(Debug, Clone)]
pub(crate) enum NodeValue {
    Null,
    Bool(bool),
    Integer(i64),
    Float(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// A file: its name as shown, its text, its tree.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    name: String,
    text: String,
    root: Node,
    /// Parts that may hold secrets, in order; they are never shown.
    masked: Vec<Span>,
}

// === impl Span ===

impl Span {
    /// Builds the span, cut to `text` and to character borders.
    pub(crate) fn within(text: &str, start: usize, length: usize) -> Self {
        let start = text.floor_char_boundary(start.min(text.len()));
        let end = text.ceil_char_boundary(start.saturating_add(length).min(text.len()));
        Self { start, end }
    }

    /// Builds the span of one character from its line and column, both from 1.
    pub(crate) fn at(text: &str, line: usize, column: usize) -> Self {
        let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
        let line_start: usize = lines.map(str::len).sum();
        let before = text[line_start..].chars().take(column.saturating_sub(1));
        Self::within(text, line_start + before.map(char::len_utf8).sum::<usize>(), 1)
    }
}

// === impl Node ===

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            NodeValue::Map(entries) => entries,
            NodeValue::Null
            | NodeValue::Bool(_)
            | NodeValue::Integer(_)
            | NodeValue::Float(_)
            | NodeValue::Text(_)
            | NodeValue::List(_) => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Keeps the keys that `is_kept` accepts.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        if let NodeValue::Map(entries) = &mut self.value {
            entries.retain(|entry| is_kept(&entry.key));
        }
    }

    /// Returns the same data without places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(*value),
            NodeValue::Integer(value) => Value::from(*value),
            NodeValue::Float(text) => text.parse::<f64>().map_or(Value::Null, Value::from),
            NodeValue::Text(text) => Value::String(text.clone()),
            NodeValue::List(items) => items.iter().map(Self::to_json).collect(),
            NodeValue::Map(entries) => {
                let members = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

// === impl Document ===

impl Document {
    pub(crate) fn new(name: String, text: String, root: Node) -> Self {
        let masked = mask::secret_spans(&root);
        Self { name, text, root, masked }
    }

    pub(crate) const fn root(&self) -> &Node {
        &self.root
    }

    /// Builds the diagnostic for `span`; `path` names the key as a person reads it.
    pub(crate) fn diagnose(
        &self,
        severity: Severity,
        span: Span,
        path: &[String],
        problem: impl Into<String>,
    ) -> Diagnostic {
        let source = source_line(&self.text, span, |line, start| mask::hide(line, start, &self.masked));
        Diagnostic::new(severity, problem).at_file(&self.name, source).at_path(path)
    }

    /// Returns the place of `path` below the root, or of the longest part of it that exists: the key in a map, the
    /// item in a list.
    pub(crate) fn locate(&self, path: &[String]) -> Span {
        let mut node = &self.root;
        let mut span = Span { start: node.span.start, end: node.span.start };
        for segment in path {
            match &node.value {
                NodeValue::Map(entries) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == *segment) else { break };
                    span = entry.key_span;
                    node = &entry.value;
                }
                NodeValue::List(items) => {
                    let Some(item) = segment.parse::<usize>().ok().and_then(|index| items.get(index)) else {
                        break;
                    };
                    span = item.span;
                    node = item;
                }
                NodeValue::Null
                | NodeValue::Bool(_)
                | NodeValue::Integer(_)
                | NodeValue::Float(_)
                | NodeValue::Text(_) => break,
            }
        }
        span
    }
}

/// Builds the diagnostic of a file that could not be read into a tree: nobody knows where its secrets are, so most
/// of the line is hidden.
pub(crate) fn unreadable(name: &str, text: &str, span: Span, problem: impl Into<String>) -> Diagnostic {
    let source = source_line(text, span, |line, _| mask::hide_values(line));
    Diagnostic::new(Severity::Error, problem).at_file(name, source)
}

/// Finds the line of `span`; `mask` gets the line and where it starts in the text.
fn source_line(text: &str, span: Span, mask: impl FnOnce(&str, usize) -> String) -> SourceLine {
    let line_start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[line_start..].find('\n').map_or(text.len(), |length| line_start + length);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let number = 1 + text[..line_start].bytes().filter(|byte| *byte == b'\n').count();
    let start = (span.start - line_start).min(line.len());
    let end = (span.end.max(span.start) - line_start).clamp(start, line.len());
    let column = 1 + line[..start].chars().count();
    let width = line[start..end].chars().count().max(1);
    SourceLine { position: Position { line: number, column }, width, text: mask(line, line_start) }
}

//! Edits of JSON with comments: which bytes change when an entry is put in or taken out.
//! Style is taken from the file: indentation, line ends, one line or many, commas behind the last member.

use serde_json::{Map, Value};

use super::splice::{Splice, line_end};
use crate::config::{Entry, Node, NodeValue, Span};

/// Indentation where a file shows none.
const DEFAULT_INDENT: &str = "  ";

/// A document that is edited.
#[derive(Clone, Copy)]
pub(super) struct Json<'a> {
    pub(super) text: &'a str,
    pub(super) root: &'a Node,
}

/// How the members of one map stand.
struct Style {
    /// Before each member: a line end with indentation, or blanks.
    lead: String,
    /// Indentation of the members; none when all stands on one line.
    indent: Option<String>,
}

/// Follows `keys` as far as there are maps. Returns the last map and how many keys were followed, or the place of what
/// is no map.
pub(super) fn descend<'a>(root: &'a Node, keys: &[String]) -> Result<(&'a Node, usize), Span> {
    let mut node = root;
    for (depth, key) in keys.iter().enumerate() {
        require_map(node)?;
        match node.entry(key) {
            Some(entry) => node = &entry.value,
            None => return Ok((node, depth)),
        }
    }
    require_map(node)?;
    Ok((node, keys.len()))
}

fn require_map(node: &Node) -> Result<(), Span> {
    match node.value {
        NodeValue::Map(_) => Ok(()),
        NodeValue::Null
        | NodeValue::Bool(_)
        | NodeValue::Integer(_)
        | NodeValue::Float(_)
        | NodeValue::Text(_)
        | NodeValue::List(_) => Err(node.span),
    }
}

// === impl Json ===

impl<'a> Json<'a> {
    /// Returns what changes when `value` is put under `name` into the map below `keys`; missing maps are made.
    ///
    /// # Errors
    /// The place of a value that should be a map and is none.
    pub(super) fn put(self, keys: &[String], name: &str, value: &Value) -> Result<Vec<Splice>, Span> {
        if self.root.span.start == self.root.span.end {
            return Ok(vec![self.begin(&nested(keys, name, value))]);
        }
        let (map, depth) = descend(self.root, keys)?;
        if let (Some(entry), true) = (map.entry(name), depth == keys.len()) {
            let style = self.style(map);
            let text = self.render(value, style.indent.as_deref());
            return Ok(vec![Splice::replace(entry.value.span, text)]);
        }
        match keys[depth..].split_first() {
            Some((first, rest)) => Ok(self.insert(map, first, &nested(rest, name, value))),
            None => Ok(self.insert(map, name, value)),
        }
    }

    /// Returns what changes when `name` is taken out of the map below `keys`; nothing if it is not there.
    pub(super) fn remove(self, keys: &[String], name: &str) -> Vec<Splice> {
        let Ok((map, depth)) = descend(self.root, keys) else { return Vec::new() };
        let index = map.entries().iter().position(|entry| entry.key == name);
        match index.filter(|_| depth == keys.len()) {
            Some(index) => self.cut(map, index),
            None => Vec::new(),
        }
    }

    /// A file that holds nothing, or nothing but comments, gets its first value.
    fn begin(self, value: &Value) -> Splice {
        let end = line_end(self.text);
        let rendered = self.render(value, Some(""));
        if self.text.is_empty() || self.text.ends_with('\n') {
            Splice::insert(self.text.len(), format!("{rendered}{end}"))
        } else {
            Splice::insert(self.text.len(), format!("{end}{rendered}"))
        }
    }

    fn insert(self, map: &Node, name: &str, value: &Value) -> Vec<Splice> {
        let style = self.style(map);
        let rendered = self.render(value, style.indent.as_deref());
        let member = format!("{}{}: {rendered}", style.lead, Value::from(name));
        match map.entries().last() {
            Some(last) => self.insert_behind(map, last, member),
            None => vec![self.insert_first(map, member, &style)],
        }
    }

    /// The new member comes last, behind the comments of the one before it.
    fn insert_behind(self, map: &Node, last: &Entry, mut member: String) -> Vec<Splice> {
        let close = map.span.end - 1;
        let end = last.value.span.end;
        let comma = self.comma(end, close);
        let behind = comma.map_or(end, |comma| comma + 1);
        let at = behind + self.text[behind..close].trim_end().len();
        match comma {
            Some(_) => {
                member.push(',');
                vec![Splice::insert(at, member)]
            }
            None if at == end => vec![Splice::insert(at, format!(",{member}"))],
            None => vec![Splice::insert(end, ","), Splice::insert(at, member)],
        }
    }

    fn insert_first(self, map: &Node, mut member: String, style: &Style) -> Splice {
        let (open, close) = (map.span.start + 1, map.span.end - 1);
        let inside = &self.text[open..close];
        let at = open + inside.trim_end().len();
        let brace_needs_line = style.indent.is_some() && inside.trim().is_empty() && !inside.contains('\n');
        if brace_needs_line {
            member.push_str(line_end(self.text));
            member.push_str(self.indentation_at(map.span.start));
            return Splice { start: open, end: close, text: member };
        }
        Splice::insert(at, member)
    }

    fn cut(self, map: &Node, index: usize) -> Vec<Splice> {
        let entries = map.entries();
        let (open, close) = (map.span.start + 1, map.span.end - 1);
        let (start, end) = (entries[index].key_span.start, entries[index].value.span.end);
        let next = entries.get(index + 1).map_or(close, |next| next.key_span.start);
        let before = index.checked_sub(1).map_or(open, |index| entries[index].value.span.end);
        let comma_behind = self.comma(end, next);
        if entries.len() == 1 && self.is_blank(open, start) && self.is_blank_but_comma(end, close) {
            return vec![Splice::remove(open, close)];
        }
        let mut splices = vec![Splice::remove(self.cut_start(before, start, end, comma_behind), end)];
        let comma = comma_behind.or_else(|| self.comma(before, start).filter(|_| index > 0));
        splices.extend(comma.map(|comma| Splice::remove(comma, comma + 1)));
        splices
    }

    /// Where a cut begins: at the end of what stands before the member. A line comment there keeps its line end, unless
    /// another one follows the member.
    fn cut_start(self, before: usize, start: usize, end: usize, comma_behind: Option<usize>) -> usize {
        let lead = before + self.text[before..start].trim_end().len();
        let behind = comma_behind.filter(|comma| *comma == end).map_or(end, |comma| comma + 1);
        let rest = self.text[behind..].split('\n').next().unwrap_or_default();
        let line_goes_on = !rest.trim().is_empty();
        if line_goes_on && self.ends_in_line_comment(before, lead) { start } else { lead }
    }

    fn is_blank(self, start: usize, end: usize) -> bool {
        self.text[start..end].trim().is_empty()
    }

    fn is_blank_but_comma(self, start: usize, end: usize) -> bool {
        self.text[start..end].trim().trim_start_matches(',').is_empty()
    }

    /// Finds the comma between two values: what stands there is blanks, comments, and at most that comma.
    fn comma(self, start: usize, end: usize) -> Option<usize> {
        pieces(&self.text[start..end]).find(|(_, piece)| *piece == Piece::Comma).map(|(at, _)| start + at)
    }

    fn ends_in_line_comment(self, start: usize, end: usize) -> bool {
        pieces(&self.text[start..end]).last().is_some_and(|(_, piece)| piece == Piece::LineComment)
    }

    fn style(self, map: &Node) -> Style {
        let one_line = Style { lead: " ".to_owned(), indent: None };
        let indented =
            |indent: String| Style { lead: format!("{}{indent}", line_end(self.text)), indent: Some(indent) };
        let Some((first, last)) = map.entries().first().zip(map.entries().last()) else {
            let is_all_there_is = map.span == self.root.span;
            if !self.text.contains('\n') && !is_all_there_is {
                return one_line;
            }
            let outer = self.indentation_at(map.span.start);
            return indented(format!("{outer}{}", self.unit()));
        };
        let open = map.span.start + 1;
        if self.text[open..first.key_span.start].contains('\n') {
            let own_line = [last, first].into_iter().find_map(|entry| self.own_indentation(entry));
            return indented(own_line.unwrap_or(DEFAULT_INDENT).to_owned());
        }
        let comment_before = self.comment_needs_line(last, map.span.end - 1);
        if comment_before { indented(self.indentation_at(map.span.start).to_owned()) } else { one_line }
    }

    /// Tells whether what follows `last` ends in a line comment, so that a member must not follow on its line.
    fn comment_needs_line(self, last: &Entry, close: usize) -> bool {
        let end = last.value.span.end;
        self.ends_in_line_comment(end, end + self.text[end..close].trim_end().len())
    }

    /// One step of indentation: what the members of the root have.
    fn unit(self) -> &'a str {
        let own = self.root.entries().iter().find_map(|entry| self.own_indentation(entry));
        own.filter(|indent| !indent.is_empty()).unwrap_or(DEFAULT_INDENT)
    }

    /// The indentation of a member that begins its line.
    fn own_indentation(self, entry: &Entry) -> Option<&'a str> {
        let start = entry.key_span.start;
        let line = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let before = &self.text[line..start];
        before.trim().is_empty().then_some(before)
    }

    /// The indentation of the line that holds the byte `at`.
    fn indentation_at(self, at: usize) -> &'a str {
        let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let blanks = self.text[line..at].len() - self.text[line..at].trim_start().len();
        &self.text[line..line + blanks]
    }

    /// Writes a value; with an indentation, maps take many lines, and their members stand one step further in.
    fn render(self, value: &Value, indent: Option<&str>) -> String {
        match (value, indent) {
            (Value::Object(members), Some(indent)) if !members.is_empty() => {
                let (end, inner) = (line_end(self.text), format!("{indent}{}", self.unit()));
                let member = |(key, value): (&String, &Value)| {
                    format!("{end}{inner}{}: {}", Value::from(key.as_str()), self.render(value, Some(&inner)))
                };
                let members = members.iter().map(member).collect::<Vec<_>>();
                format!("{{{}{end}{indent}}}", members.join(","))
            }
            (Value::Object(members), _) => {
                let member = |(key, value): (&String, &Value)| {
                    format!("{}: {}", Value::from(key.as_str()), self.render(value, None))
                };
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
            }
            (Value::Array(items), _) => {
                let items = items.iter().map(|item| self.render(item, None));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            (scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)), _) => {
                scalar.to_string()
            }
        }
    }
}

/// What stands between values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    LineComment,
    BlockComment,
    Comma,
}

/// Finds comments and commas in a text that lies between two values, with where they begin.
fn pieces(text: &str) -> impl Iterator<Item = (usize, Piece)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        let (length, piece) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), Piece::LineComment)
        } else if rest.starts_with("/*") {
            (rest.find("*/").map_or(rest.len(), |end| end + 2), Piece::BlockComment)
        } else {
            (rest.chars().next()?.len_utf8(), Piece::Comma)
        };
        at += length;
        Some((at - length, piece))
    })
}

fn nested(keys: &[String], name: &str, value: &Value) -> Value {
    let innermost = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
    keys.iter().rev().fold(innermost, |value, key| Value::Object(Map::from_iter([(key.clone(), value)])))
}

#[cfg(test)]
mod tests;

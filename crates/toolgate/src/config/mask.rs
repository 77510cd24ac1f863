//! Hides what may be a secret in a line that is shown in a message. The length stays, so that columns stay right.

use super::document::{Node, NodeValue, Span};

/// Keys whose values may be secrets, all the way down.
const SECRET_KEYS: [&str; 4] = ["args", "env", "headers", "url"];

/// Words that stand before a credential and are none.
const SCHEMES: [&str; 3] = ["Bearer", "Basic", "Token"];

/// Returns the places of all values that may be secrets, in the order of the file.
pub(super) fn secret_spans(root: &Node) -> Vec<Span> {
    let mut spans = Vec::new();
    collect(root, &mut spans);
    spans.sort_unstable();
    spans
}

/// Hides the parts of `line` that lie in `masked`; the line starts at byte `start` of the text.
pub(super) fn hide(line: &str, start: usize, masked: &[Span]) -> String {
    let is_hidden =
        |offset: usize| masked.iter().any(|span| (span.start..span.end).contains(&(start + offset)));
    line.char_indices().map(|(offset, c)| if is_hidden(offset) && !is_quote(c) { '*' } else { c }).collect()
}

/// Hides every letter and digit behind the first colon; without a colon, of the whole line.
pub(super) fn hide_values(line: &str) -> String {
    let colon = line.find(':').unwrap_or(0);
    let hide = |(offset, c): (usize, char)| if offset >= colon && c.is_alphanumeric() { '*' } else { c };
    line.char_indices().map(hide).collect()
}

fn collect(node: &Node, spans: &mut Vec<Span>) {
    for entry in node.entries() {
        if SECRET_KEYS.contains(&entry.key.as_str()) {
            collect_values(&entry.value, spans);
        } else {
            collect(&entry.value, spans);
        }
    }
    if let NodeValue::List(items) = &node.value {
        items.iter().for_each(|item| collect(item, spans));
    }
}

fn collect_values(node: &Node, spans: &mut Vec<Span>) {
    match &node.value {
        NodeValue::List(items) => items.iter().for_each(|item| collect_values(item, spans)),
        NodeValue::Map(entries) => entries.iter().for_each(|entry| collect_values(&entry.value, spans)),
        NodeValue::Text(text) if is_reference(text) => {}
        NodeValue::Text(_) | NodeValue::Integer(_) | NodeValue::Float(_) => spans.push(node.span),
        NodeValue::Null | NodeValue::Bool(_) => {}
    }
}

/// Tells whether the text is nothing but references to variables, without defaults: worth reading, and no secret.
fn is_reference(text: &str) -> bool {
    let mut rest = text.trim();
    for scheme in SCHEMES {
        rest = rest.strip_prefix(scheme).unwrap_or(rest).trim_start();
    }
    while let Some(inside) = rest.strip_prefix("${") {
        let Some((name, behind)) = inside.split_once('}') else { return false };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}

const fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_shown_and_literals_are_not() {
        for shown in ["${TOKEN}", "Bearer ${TOKEN}", "${A}${B}", ""] {
            assert!(is_reference(shown), "{shown}");
        }
        for hidden in ["hunter2", "Bearer hunter2", "${A}x", "${A:-hunter2}", "${A"] {
            assert!(!is_reference(hidden), "{hidden}");
        }
    }

    #[test]
    fn values_of_a_broken_line_are_hidden() {
        assert_eq!(hide_values("  TOKEN: \"hunter2"), "  TOKEN: \"*******");
        assert_eq!(hide_values("  - hunter2 x"), "  - ******* *");
        assert_eq!(hide_values("\"a\": {\"b\": 1}"), "\"a\": {\"*\": *}");
    }
}

//! Fills `${NAME}` and `${NAME:-default}` into the strings of one server. `$${` stands for a plain `${`.
//! Defaults are taken as they are: nothing is filled in inside them.

use super::document::{Node, NodeValue, Span};

/// Keys of a server in whose values variables are filled in.
const KEYS: [&str; 6] = ["command", "args", "env", "cwd", "url", "headers"];

/// Longest text after filling in; a whole environment of Linux is smaller.
const MAX_FILLED_BYTES: usize = 1 << 20;

/// Something that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) span: Span,
    pub(crate) path: Vec<String>,
    pub(crate) kind: GapKind,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GapKind {
    /// The variable is not set, and there is no default.
    Missing(String),
    /// `${` without `}`.
    Unfinished,
    /// What stands between the braces is not the name of a variable.
    NotAName,
    /// The value would be longer than [`MAX_FILLED_BYTES`].
    TooLong,
}

/// Returns `server` with its variables filled in.
///
/// # Errors
/// Every gap, with paths that start at the server.
pub(crate) fn fill(server: &Node, variable: &dyn Fn(&str) -> Option<String>) -> Result<Node, Vec<Gap>> {
    let mut filled = server.clone();
    let mut filler = Filler { variable, path: Vec::new(), gaps: Vec::new() };
    if let NodeValue::Map(entries) = &mut filled.value {
        for entry in entries.iter_mut().filter(|entry| KEYS.contains(&entry.key.as_str())) {
            filler.below(&entry.key, &mut entry.value);
        }
    }
    if filler.gaps.is_empty() { Ok(filled) } else { Err(filler.gaps) }
}

struct Filler<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    path: Vec<String>,
    gaps: Vec<Gap>,
}

impl Filler<'_> {
    fn below(&mut self, segment: &str, node: &mut Node) {
        self.path.push(segment.to_owned());
        self.node(node);
        self.path.pop();
    }

    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            NodeValue::Text(text) => match expand(text, self.variable) {
                Ok(filled) => *text = filled,
                Err(kinds) => {
                    let gap = |kind| Gap { span: node.span, path: self.path.clone(), kind };
                    self.gaps.extend(kinds.into_iter().map(gap));
                }
            },
            NodeValue::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.below(&index.to_string(), item);
                }
            }
            NodeValue::Map(entries) => {
                for entry in entries {
                    self.below(&entry.key, &mut entry.value);
                }
            }
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Integer(_) | NodeValue::Float(_) => {}
        }
    }
}

/// Expands one text.
fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<GapKind>> {
    let (mut filled, mut gaps, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some(dollar) = rest.find("${") {
        let (before, reference) = rest.split_at(dollar);
        if let Some(plain) = before.strip_suffix('$') {
            filled.push_str(plain);
            filled.push_str("${");
            rest = &reference[2..];
            continue;
        }
        filled.push_str(before);
        let Some(length) = reference.find('}') else {
            gaps.push(GapKind::Unfinished);
            rest = "";
            break;
        };
        match resolve(&reference[2..length], variable) {
            Ok(value) => filled.push_str(&value),
            Err(gap) => gaps.push(gap),
        }
        rest = &reference[length + 1..];
        if filled.len() > MAX_FILLED_BYTES {
            return Err(vec![GapKind::TooLong]);
        }
    }
    filled.push_str(rest);
    if gaps.is_empty() { Ok(filled) } else { Err(gaps) }
}

/// Resolves what stands between the braces. `env:NAME`, as some editors write it, is `NAME`.
fn resolve(inside: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, GapKind> {
    let (name, default) =
        inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    let name = name.strip_prefix("env:").unwrap_or(name);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(GapKind::NotAName);
    }
    // As in a shell, `:-` counts an empty variable as missing.
    match (variable(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(GapKind::Missing(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "B" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            "BIG" => Some("x".repeat(MAX_FILLED_BYTES)),
            _ => None,
        }
    }

    fn check(text: &str, expected: &Result<&str, Vec<GapKind>>) {
        assert_eq!(&expand(text, &variable).as_deref().map_err(Clone::clone), expected, "{text}");
    }

    #[test]
    fn variables_are_filled_in_once() {
        check("", &Ok(""));
        check("Bearer ${A}", &Ok("Bearer one"));
        check("${A}${A}-${env:A}", &Ok("oneone-one"));
        check("${B}", &Ok("${A}"));
        check("$A $ {A} {A} }", &Ok("$A $ {A} {A} }"));
        check("$${A} ${A}", &Ok("${A} one"));
        check("${NONE:-two}", &Ok("two"));
        check("${NONE:-}", &Ok(""));
        check("${A:-two}", &Ok("one"));
        check("${EMPTY}|${EMPTY:-two}", &Ok("|two"));
        check("${NONE:-http://x:1/}", &Ok("http://x:1/"));
    }

    #[test]
    fn every_gap_is_named() {
        let missing = |name: &str| GapKind::Missing(name.to_owned());
        check("${NONE} ${A} ${NEITHER}", &Err(vec![missing("NONE"), missing("NEITHER")]));
        check("x ${A", &Err(vec![GapKind::Unfinished]));
        check("${}", &Err(vec![GapKind::NotAName]));
        check("${input:token}", &Err(vec![GapKind::NotAName]));
        check("${1}", &Err(vec![GapKind::NotAName]));
        check("${BIG}${BIG}", &Err(vec![GapKind::TooLong]));
    }
}

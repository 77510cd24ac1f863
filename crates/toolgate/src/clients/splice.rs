//! An edit as the parts of a text that change. Everything outside of them is kept byte for byte.

use crate::config::Span;

/// One replaced part of a text; an empty part inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

// === impl Splice ===

impl Splice {
    pub(super) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { start: at, end: at, text: text.into() }
    }

    pub(super) const fn remove(start: usize, end: usize) -> Self {
        Self { start, end, text: String::new() }
    }

    pub(super) fn replace(span: Span, text: impl Into<String>) -> Self {
        Self { start: span.start, end: span.end, text: text.into() }
    }
}

/// Returns `text` with the splices applied. They may stand in any order and must not overlap; of two at one place the
/// first comes first.
pub(super) fn apply(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|splice| (splice.start, splice.end));
    let mut edited = String::with_capacity(text.len() + splices.iter().map(|s| s.text.len()).sum::<usize>());
    let mut done = 0;
    for splice in &splices {
        edited.push_str(&text[done..splice.start]);
        edited.push_str(&splice.text);
        done = splice.end;
    }
    edited.push_str(&text[done..]);
    edited
}

/// The line end that `text` uses: that of its first line.
pub(super) fn line_end(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        Some(_) | None => "\n",
    }
}

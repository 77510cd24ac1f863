//! Replaces strings anywhere within one JSON text, found with [`Object`](crate::Object) or as raw values; every other
//! byte stays. Where the strings stand is worked out from where their texts lie in memory, so nothing is counted twice.

use std::ops::Range;

use crate::{Edit, splice};

/// Replacements within one JSON text.
pub struct Replacements<'a> {
    source: &'a [u8],
    /// In any order; they do not overlap.
    changes: Vec<(Range<usize>, Vec<u8>)>,
}

impl<'a> Replacements<'a> {
    /// Begins with none.
    pub const fn within(source: &'a [u8]) -> Self {
        Self { source, changes: Vec::new() }
    }

    /// Replaces `value`, which is the JSON text of one value and lies within the source, by the string `text`. Each
    /// value is replaced once at most.
    ///
    /// # Panics
    /// When `value` is a text from elsewhere.
    pub fn replace(&mut self, value: &'a str, text: &str) {
        let start = (value.as_ptr() as usize).checked_sub(self.source.as_ptr() as usize);
        let at = start.map(|start| start..start + value.len()).filter(|at| at.end <= self.source.len());
        let with = serde_json::to_vec(text).expect("a string is always JSON");
        self.changes.push((at.expect("the value lies within the source"), with));
    }

    /// Returns the text with all replacements; `None` when there are none.
    pub fn written(mut self) -> Option<Vec<u8>> {
        if self.changes.is_empty() {
            return None;
        }
        self.changes.sort_by_key(|(at, _)| at.start);
        let edits: Vec<Edit<'_>> =
            self.changes.iter().map(|(at, with)| Edit { at: at.clone(), with }).collect();
        let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
        let mut out = Vec::with_capacity(self.source.len() + added);
        splice(&mut out, self.source, &edits);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Object;

    #[test]
    fn strings_are_replaced_wherever_they_stand() {
        let source = br#" { "b" : {"c":"\u0031" , "d":1.0e2}, "a":"x" }"#;
        let outer = Object::parse(source, &[]).unwrap();
        let inner = Object::parse(outer.get("b").unwrap().as_bytes(), &[]).unwrap();
        let mut replacements = Replacements::within(source);
        replacements.replace(outer.get("a").unwrap(), "\"é");
        replacements.replace(inner.get("c").unwrap(), "");
        let expected = " { \"b\" : {\"c\":\"\" , \"d\":1.0e2}, \"a\":\"\\\"é\" }";
        assert_eq!(String::from_utf8(replacements.written().unwrap()).unwrap(), expected);
        assert_eq!(Replacements::within(source).written(), None);
    }

    #[test]
    #[should_panic(expected = "within the source")]
    fn a_text_from_elsewhere_is_refused() {
        Replacements::within(b"{}").replace("\"a text of its own\"", "x");
    }
}

//! Turns bytes that a child wrote into text that may stand in a log: secrets out, control characters escaped,
//! length bounded. It knows only the values that were declared for this child; patterns are the guardrails' work.

use std::{fmt::Write as _, ops::Range};

use domain::Secret;
use memchr::memmem;

/// What is kept of a line, in bytes, before escaping and after.
pub(super) const LINE_KEEP_BYTES: usize = 4096;
/// Shorter values (`1`, `true`, `8080`) are no secrets, and replacing them would make every text unreadable.
const MIN_SECRET_BYTES: usize = 6;
/// Longer values are looked for by their beginning, so that little more than a line need be kept.
const MAX_NEEDLE_BYTES: usize = 1024;
/// What stands in place of a secret.
const MASK: &str = "[secret]";

/// Knows the secrets of one child.
pub(super) struct Redactor {
    needles: Vec<Vec<u8>>,
    longest: usize,
}

impl Redactor {
    /// Learns `secrets`: each line of each value, as it is and as it looks inside a JSON string.
    pub(super) fn new<'a>(secrets: impl Iterator<Item = &'a Secret<String>>) -> Self {
        let mut needles: Vec<Vec<u8>> = secrets
            .flat_map(|secret| secret.expose().lines())
            .flat_map(|line| [line.trim().to_owned(), quoted(line.trim())])
            .filter(|needle| needle.len() >= MIN_SECRET_BYTES)
            .map(|needle| needle.into_bytes())
            .collect();
        needles.sort();
        needles.dedup();
        let longest = needles.iter().map(Vec::len).max().unwrap_or(0);
        Self { needles, longest }
    }

    /// Returns how much of a line must be at hand, so that a secret across its cut is seen whole.
    pub(super) fn wanted_bytes(&self) -> usize {
        LINE_KEEP_BYTES + self.longest.min(MAX_NEEDLE_BYTES)
    }

    /// Makes one line fit to be shown; says how much was cut off.
    pub(super) fn printable(&self, raw: &[u8]) -> String {
        self.printable_of(raw, raw.len())
    }

    /// As [`Redactor::printable`], for a line of `length` bytes of which `raw` is the beginning.
    pub(super) fn printable_of(&self, raw: &[u8], length: usize) -> String {
        let kept = raw.len().min(LINE_KEEP_BYTES);
        let mut text = BoundedText::default();
        let mut shown = 0;
        for masked in self.masked(raw) {
            if masked.start >= kept {
                break;
            }
            text.push_raw(&raw[shown..masked.start]);
            text.push(MASK);
            shown = masked.end;
        }
        text.push_raw(&raw[shown.min(kept)..kept]);
        text.finish(length - kept)
    }

    /// Returns the ranges that secrets take up, in order, overlapping ones joined.
    fn masked(&self, raw: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for needle in &self.needles {
            let beginning = memmem::Finder::new(&needle[..needle.len().min(MAX_NEEDLE_BYTES)]);
            let mut from = 0;
            while let Some(at) = beginning.find(&raw[from..]) {
                let start = from + at;
                found.push(start..(start + needle.len()).min(raw.len()));
                from = start + 1;
            }
        }
        found.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for range in found {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                Some(_) | None => joined.push(range),
            }
        }
        joined
    }
}

/// Shows how many secrets it knows and none of them.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("needles", &self.needles.len()).finish()
    }
}

/// Text that grows up to [`LINE_KEEP_BYTES`] and counts what it did not take.
#[derive(Default)]
struct BoundedText {
    text: String,
    full: bool,
}

impl BoundedText {
    fn push_raw(&mut self, raw: &[u8]) {
        for chunk in raw.utf8_chunks() {
            for sign in chunk.valid().chars() {
                self.push_sign(sign);
            }
            for byte in chunk.invalid() {
                self.push(&format!("\\x{byte:02x}"));
            }
        }
    }

    fn push_sign(&mut self, sign: char) {
        if is_plain(sign) {
            self.push(sign.encode_utf8(&mut [0; 4]));
        } else {
            self.push(&sign.escape_default().to_string());
        }
    }

    fn push(&mut self, piece: &str) {
        self.full = self.full || self.text.len() + piece.len() > LINE_KEEP_BYTES;
        if !self.full {
            self.text.push_str(piece);
        }
    }

    fn finish(mut self, cut: usize) -> String {
        if cut > 0 {
            let _ = write!(self.text, " [{cut} bytes cut]"); // a String takes everything
        } else if self.full {
            self.text.push_str(" [cut]");
        }
        self.text
    }
}

/// Tells whether a terminal shows `sign` as itself and moves on by it: no control characters, no line separators,
/// none of the invisible signs that reorder or hide text.
fn is_plain(sign: char) -> bool {
    let hidden = matches!(sign,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    !sign.is_control() && !hidden
}

/// Writes `line` as it stands inside a JSON string.
fn quoted(line: &str) -> String {
    line.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect();
        Redactor::new(secrets.iter())
    }

    #[test]
    fn secrets_are_masked_in_each_of_their_forms() {
        let check = |secrets: &[&str], raw: &str, expected: &str| {
            assert_eq!(redactor(secrets).printable(raw.as_bytes()), expected, "{secrets:?} in {raw:?}");
        };
        check(&["hunter2"], "password hunter2, again hunter2", "password [secret], again [secret]");
        check(&["hunter2"], "hunter", "hunter");
        check(&["hunter2", "hunter2345"], "hunter2345", "[secret]");
        check(&["abcabcabc"], "abcabcabcabc", "[secret]");
        check(&["-----KEY\nMIIEpAIB\n"], "loaded MIIEpAIB", "loaded [secret]");
        check(&["pa\"ss\\word"], r#"{"p":"pa\"ss\\word"}"#, r#"{"p":"[secret]"}"#);
        check(&["1", "true", ""], "1 is true", "1 is true");
        check(&["geheimnis"], "gehe\u{1b}[0mimnis", r"gehe\u{1b}[0mimnis");
    }

    #[test]
    fn control_characters_and_hidden_signs_are_escaped() {
        let check = |raw: &[u8], expected: &str| assert_eq!(redactor(&[]).printable(raw), expected);
        check(b"\x1b[31mred\x1b[0m\r\t\0", r"\u{1b}[31mred\u{1b}[0m\r\t\u{0}");
        check("\u{202e}txt\u{200b}\u{2028}\u{9b}".as_bytes(), r"\u{202e}txt\u{200b}\u{2028}\u{9b}");
        check(b"caf\xc3\xa9 \xff\xfe", "café \\xff\\xfe");
    }

    #[test]
    fn a_secret_across_the_cut_is_not_shown_in_part() {
        for before in LINE_KEEP_BYTES - 12..LINE_KEEP_BYTES + 2 {
            let raw = format!("{}topsecretvalue{}", "x".repeat(before), "y".repeat(100));
            let shown = redactor(&["topsecretvalue"]).printable(raw.as_bytes());
            assert!(!shown.contains("top"), "{before}: {}", &shown[LINE_KEEP_BYTES - 20..]);
            assert!(shown.ends_with("bytes cut]"));
        }
    }

    #[test]
    fn escaping_does_not_outgrow_the_bound() {
        let shown = redactor(&[]).printable(&vec![0x1b; 1 << 20]);
        assert!(shown.len() < LINE_KEEP_BYTES + 40, "{}", shown.len());
    }
}

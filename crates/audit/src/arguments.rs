//! What is kept of a call's arguments: a hash, a masked excerpt, or all of them within a bound. The JSON is walked
//! once as text and never built as a tree; numbers and the order of members stay as they were sent.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde_json::value::RawValue;

use crate::{
    ArgumentsKept, chain,
    escape::{push_beginning, push_cut_mark, push_text},
};

/// Most bytes kept under `full`; a whole line stays within [`crate::MAX_LINE_BYTES`].
const FULL_BYTES: usize = 64 * 1024;
/// Most bytes kept under `redacted`: an excerpt to recognise a call by.
const REDACTED_BYTES: usize = 16 * 1024;
/// Most bytes of one text under `redacted`.
const REDACTED_TEXT_BYTES: usize = 256;
/// Most bytes of a member's name.
const KEY_BYTES: usize = 256;
/// Most bytes of a number; longer ones are kept as cut text.
const NUMBER_BYTES: usize = 64;
/// Deepest nesting kept; the walk recurses once per level.
const MAX_DEPTH: usize = 64;
/// Stands in place of a masked value.
const MASKED: &[u8] = br#""[redacted]""#;
/// A member is masked when its name, in lower case and without signs, contains one of these.
const SECRET_WORDS: [&str; 18] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authorization",
    "credential",
    "cookie",
    "bearer",
    "jwt",
    "sessionid",
];

/// Appends `,"arguments_sha256":…` or `,"arguments":…`.
pub(crate) fn push_arguments(out: &mut Vec<u8>, arguments: &RawValue, kept: ArgumentsKept) {
    match kept {
        ArgumentsKept::Hash => {
            let hash = digest::digest(&digest::SHA256, arguments.get().as_bytes());
            out.extend_from_slice(br#","arguments_sha256":""#);
            out.extend_from_slice(&chain::hex(hash.as_ref()));
            out.push(b'"');
        }
        ArgumentsKept::Redacted => push_copy(out, arguments, Bounds::REDACTED),
        ArgumentsKept::Full => push_copy(out, arguments, Bounds::FULL),
    }
}

fn push_copy(out: &mut Vec<u8>, arguments: &RawValue, bounds: Bounds) {
    out.extend_from_slice(br#","arguments":"#);
    let end = out.len() + bounds.whole;
    Walk { rest: arguments.get(), out, end, bounds, is_cut: false }.value(0);
}

/// What a copy of arguments may hold.
#[derive(Clone, Copy)]
struct Bounds {
    whole: usize,
    text: usize,
    secrets: Secrets,
}

#[derive(Clone, Copy, PartialEq)]
enum Secrets {
    Shown,
    Masked,
}

/// Copies one JSON value. Invariant: whatever is in `rest`, the copy is one well-formed value.
struct Walk<'a> {
    rest: &'a str,
    out: &'a mut Vec<u8>,
    /// Length of `out` from which on no value is started.
    end: usize,
    bounds: Bounds,
    /// Set when the copy stopped early: whoever has a bracket open closes it and returns.
    is_cut: bool,
}

// === impl Bounds ===

impl Bounds {
    const FULL: Self = Self { whole: FULL_BYTES, text: FULL_BYTES, secrets: Secrets::Shown };
    const REDACTED: Self =
        Self { whole: REDACTED_BYTES, text: REDACTED_TEXT_BYTES, secrets: Secrets::Masked };
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn value(&mut self, depth: usize) {
        let room = self.end.saturating_sub(self.out.len());
        match self.peek() {
            None => self.cut(),
            Some(_) if room == 0 => self.cut(),
            Some(b'{' | b'[') if depth == MAX_DEPTH => {
                let skipped = self.skip_value();
                self.out.push(b'"');
                push_cut_mark(self.out, skipped);
                self.out.push(b'"');
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => {
                let text = self.text();
                push_token(self.out, text, room.min(self.bounds.text));
            }
            Some(_) => self.scalar(),
        }
    }

    fn object(&mut self, depth: usize) {
        self.open(b'{');
        let mut separator = None;
        while let Some(b'"') = self.peek_member() {
            let key = self.text();
            self.take(b':');
            self.out.extend(separator.replace(b','));
            push_token(self.out, key, KEY_BYTES);
            self.out.push(b':');
            if self.bounds.secrets == Secrets::Masked && looks_secret(key) {
                self.skip_value();
                self.out.extend_from_slice(MASKED);
            } else {
                self.value(depth + 1);
            }
        }
        self.close(b'}');
    }

    fn array(&mut self, depth: usize) {
        self.open(b'[');
        let mut separator = None;
        while self.peek_member().is_some_and(|byte| byte != b']') {
            self.out.extend(separator.replace(b','));
            self.value(depth + 1);
        }
        self.close(b']');
    }

    /// Copies a number, `true`, `false` or `null`.
    fn scalar(&mut self) {
        let length = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
        let (scalar, rest) = self.rest.split_at(length);
        self.rest = rest;
        if length > NUMBER_BYTES {
            push_text(self.out, scalar, NUMBER_BYTES);
        } else {
            self.out.extend_from_slice(scalar.as_bytes());
        }
    }

    /// Takes a string token and returns what stands between its quotes.
    fn text(&mut self) -> &'a str {
        let body = self.rest.get(1..).unwrap_or_default();
        let length = closing_quote(body.as_bytes());
        let (text, rest) = body.split_at(length);
        self.rest = rest.get(1..).unwrap_or_default();
        text
    }

    /// Takes a value without copying it and returns its length in bytes.
    fn skip_value(&mut self) -> usize {
        self.peek();
        let before = self.rest.len();
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.text();
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.rest = &self.rest[1..];
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.rest = &self.rest[1..];
                }
                b',' | b':' => self.rest = &self.rest[1..],
                _ => self.rest = self.rest.trim_start_matches(|sign| !",]}[{:\" \t\n\r".contains(sign)),
            }
            if depth == 0 {
                break;
            }
        }
        before - self.rest.len()
    }

    fn cut(&mut self) {
        self.is_cut = true;
        self.out.push(b'"');
        push_cut_mark(self.out, self.rest.len());
        self.out.push(b'"');
    }

    fn open(&mut self, bracket: u8) {
        self.take(bracket);
        self.out.push(bracket);
    }

    fn close(&mut self, bracket: u8) {
        if !self.is_cut {
            self.take(bracket);
        }
        self.out.push(bracket);
    }

    /// Returns the first byte of the next token.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.bytes().next()
    }

    /// Steps over a comma and returns the first byte of the next member; None once the copy is cut.
    fn peek_member(&mut self) -> Option<u8> {
        if self.is_cut {
            return None;
        }
        self.take(b',');
        self.peek()
    }

    fn take(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.rest = &self.rest[1..];
        }
    }
}

/// Returns the index of the quote that ends a string token's content.
fn closing_quote(body: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    body.len()
}

/// Appends the string token between whose quotes `text` stands.
fn push_token(out: &mut Vec<u8>, text: &str, max_bytes: usize) {
    let (beginning, behind) = beginning_of(text, max_bytes);
    push_beginning(out, &unescape(beginning), behind.len(), max_bytes);
}

/// Splits off so much of a token's text that more than `max_bytes` come of it, so that a text of megabytes costs no
/// more than its bound.
fn beginning_of(text: &str, max_bytes: usize) -> (&str, &str) {
    /// `\ud83d\ude00` is one character.
    const LONGEST_ESCAPE: usize = 12;
    // Two more characters than wanted: the last escape may be cut in two, and is cut off.
    text.split_at(text.floor_char_boundary((max_bytes + 3) * LONGEST_ESCAPE))
}

/// Undoes JSON's escapes, so that a name written with them is recognised. A lone surrogate becomes U+FFFD.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split('\\');
    plain.extend(pieces.next());
    let mut utf16 = Vec::new();
    while let Some(piece) = pieces.next() {
        // Runs of `\uXXXX` are collected, because two of them may be one character.
        if let Some((unit, tail)) = utf16_unit(piece) {
            utf16.push(unit);
            if tail.is_empty() {
                continue;
            }
            push_utf16(&mut plain, &mut utf16);
            plain.push_str(tail);
        } else if piece.is_empty() {
            push_utf16(&mut plain, &mut utf16);
            plain.push('\\'); // `\\`: the next piece stands behind the second backslash
            plain.extend(pieces.next());
        } else {
            push_utf16(&mut plain, &mut utf16);
            plain.push(short_escape(piece.as_bytes()[0]));
            plain.push_str(piece.get(1..).unwrap_or_default());
        }
    }
    push_utf16(&mut plain, &mut utf16);
    Cow::Owned(plain)
}

fn utf16_unit(piece: &str) -> Option<(u16, &str)> {
    let (digits, tail) = piece.strip_prefix('u')?.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, tail))
}

fn push_utf16(plain: &mut String, units: &mut Vec<u16>) {
    plain.extend(char::decode_utf16(units.drain(..)).map(|sign| sign.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

const fn short_escape(letter: u8) -> char {
    match letter {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        other => other as char,
    }
}

/// Tells whether the name in a string token is one of a secret. One too long to be searched is.
fn looks_secret(token: &str) -> bool {
    let (key, behind) = beginning_of(token, KEY_BYTES);
    let squeezed: String = unescape(key)
        .chars()
        .filter(|sign| sign.is_alphanumeric())
        .map(|sign| sign.to_ascii_lowercase())
        .collect();
    !behind.is_empty() || SECRET_WORDS.iter().any(|word| squeezed.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(arguments: &str, kept: ArgumentsKept) -> String {
        let raw = RawValue::from_string(arguments.to_owned()).unwrap();
        let mut out = Vec::new();
        push_arguments(&mut out, &raw, kept);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_hash_is_of_the_bytes_as_sent() {
        let line = kept("{}", ArgumentsKept::Hash);
        let sha256_of_braces = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(line, format!(r#","arguments_sha256":"{sha256_of_braces}""#));
    }

    #[test]
    fn full_keeps_numbers_and_order_and_drops_only_white_space() {
        let sent = "{ \"z\" : 1.50e+400,\n\t\"a\": [ true , null, -0, {} , [] ], \"z\": \"é\\u0041\\n\" }";
        let copy = r#","arguments":{"z":1.50e+400,"a":[true,null,-0,{},[]],"z":"éA\n"}"#;
        assert_eq!(kept(sent, ArgumentsKept::Full), copy);
    }

    #[test]
    fn redacted_masks_what_looks_secret_however_it_is_spelt() {
        let sent = r#"{"API-Key": [1, {"a": "}"}], "pass\u0077ord": 7, "x": {"Authorization": null, "y": "ok"}, "q": "\\\""}"#;
        let copy = r#","arguments":{"API-Key":"[redacted]","password":"[redacted]","x":{"Authorization":"[redacted]","y":"ok"},"q":"\\\""}"#;
        assert_eq!(kept(sent, ArgumentsKept::Redacted), copy);
    }

    #[test]
    fn long_and_deep_arguments_stay_within_their_bound_and_well_formed() {
        let long_text = format!(r#"{{"a":"{}","b":1}}"#, "x".repeat(1 << 20));
        let many = format!("[{}0]", "[\"abc\",{\"k\":1}],".repeat(50_000));
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        let digits = "1".repeat(1 << 20);
        for sent in [long_text, many, deep, digits] {
            for mode in [ArgumentsKept::Redacted, ArgumentsKept::Full] {
                let line = kept(&sent, mode);
                let copy = line.strip_prefix(r#","arguments":"#).unwrap();
                serde_json::from_str::<serde_json::Value>(copy).unwrap();
                assert!(line.len() < FULL_BYTES + 1024, "{}", line.len());
                assert!(line.contains("…[+"));
            }
        }
    }

    #[test]
    fn a_long_name_is_masked_and_a_long_text_counted() {
        let sent = format!(r#"{{"{}password": 1}}"#, "x".repeat(10_000));
        assert!(kept(&sent, ArgumentsKept::Redacted).ends_with(r#"…[+9752 bytes]":"[redacted]"}"#));
        let escaped = format!(r#"["{}"]"#, r"\ud83d\ude00\n".repeat(10_000));
        let line = kept(&escaped, ArgumentsKept::Redacted);
        assert!(line.starts_with(r#","arguments":["😀\n😀\n"#) && line.ends_with(r#" bytes]"]"#), "{line}");
    }

    proptest! {
        #[test]
        fn a_full_copy_means_what_was_sent(text in any::<String>(), numbers in prop::collection::vec(any::<i64>(), 0..5)) {
            let sent = serde_json::json!({ &text: numbers, "b": [&text, { "c": &text }] });
            let line = kept(&serde_json::to_string_pretty(&sent).unwrap(), ArgumentsKept::Full);
            let copy: serde_json::Value = serde_json::from_str(line.strip_prefix(r#","arguments":"#).unwrap()).unwrap();
            prop_assume!(text.len() <= KEY_BYTES / 6);
            prop_assert_eq!(copy, sent);
        }
    }
}

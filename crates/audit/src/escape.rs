//! Text from outside as a JSON string: one line whatever is put in, harmless on a terminal, and bounded.
//! Numbers and structure are written elsewhere ([`crate::line`], [`crate::arguments`]).

use std::io::Write as _;

/// Appends `text` as a JSON string of at most `max_bytes` bytes of content. Longer text is cut at a character and
/// ends in `…[+N bytes]`, where N counts the bytes of `text` left out.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str, max_bytes: usize) {
    push_beginning(out, text, 0, max_bytes);
}

/// As [`push_text`] for a text of which only a beginning of more than `max_bytes` is at hand, or all of it when
/// `bytes_behind` is 0.
pub(crate) fn push_beginning(out: &mut Vec<u8>, text: &str, bytes_behind: usize, max_bytes: usize) {
    out.push(b'"');
    if text.len() <= max_bytes && text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_escaped(out, text, bytes_behind, max_bytes);
    }
    out.push(b'"');
}

/// Appends the mark of a cut, without quotes.
pub(crate) fn push_cut_mark(out: &mut Vec<u8>, bytes_left_out: usize) {
    write!(out, "…[+{bytes_left_out} bytes]").expect("writing to a vector cannot fail");
}

fn push_escaped(out: &mut Vec<u8>, text: &str, bytes_behind: usize, max_bytes: usize) {
    let start = out.len();
    for (at, sign) in text.char_indices() {
        let before = out.len();
        push_sign(out, sign);
        if out.len() - start > max_bytes {
            out.truncate(before);
            push_cut_mark(out, text.len() - at + bytes_behind);
            return;
        }
    }
}

fn push_sign(out: &mut Vec<u8>, sign: char) {
    match sign {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        _ if needs_escape(sign) => {
            write!(out, "\\u{:04x}", u32::from(sign)).expect("writing to a vector cannot fail");
        }
        _ => out.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Tells whether a byte may stand in a JSON string as it is, without a look at its neighbours.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Tells whether a sign could end a line somewhere, steer a terminal, or turn the direction of what follows.
const fn needs_escape(sign: char) -> bool {
    sign.is_ascii_control()
        || matches!(sign,
            '\u{80}'..='\u{9f}' // C1 controls
            | '\u{2028}' | '\u{2029}' // line and paragraph separator
            | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // direction
            | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, max_bytes: usize) -> String {
        let mut out = Vec::new();
        push_text(&mut out, text, max_bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_could_break_a_line_or_a_terminal_is_escaped() {
        let text = "a\n\r\t\0\u{1b}[31m\u{7f}\u{85}\u{2028}\u{2029}\u{202e}\"\\é";
        let line = escaped(text, 999);
        assert_eq!(line, r#""a\n\r\t\u0000\u001b[31m\u007f\u0085\u2028\u2029\u202e\"\\é""#,);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(escaped("abcdef", 6), r#""abcdef""#);
        assert_eq!(escaped("abcdefg", 6), r#""abcdef…[+1 bytes]""#);
        assert_eq!(escaped("ééé", 5), r#""éé…[+2 bytes]""#);
        assert_eq!(escaped("\0\0", 11), r#""\u0000…[+1 bytes]""#);
    }
}

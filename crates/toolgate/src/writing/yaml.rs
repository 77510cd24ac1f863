//! Keys and texts as YAML. Whatever is not plainly a word is quoted, in the way of JSON, which YAML reads as well.

use serde_json::Value;

/// Words that YAML or one of its older readers takes for something else than text.
const RESERVED: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// Writes a text so that it is read as this very text.
pub(super) fn text(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Writes texts as a list on one line, each in quotes.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", texts.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// Writes a text that came from elsewhere as part of a comment: it stays on its line.
pub(super) fn comment(text: &str) -> String {
    text.chars().flat_map(|c| if is_printable(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    // JSON escapes control characters below the space; YAML wants some more of them escaped.
    let escape = |c: char| if is_printable(c) { c.to_string() } else { format!("\\u{:04X}", u32::from(c)) };
    json.chars().map(escape).collect()
}

/// All of these lie in the range of four hexadecimal digits.
fn is_printable(c: char) -> bool {
    let is_odd = matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    !c.is_control() && !is_odd
}

fn is_plain(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@' | ':');
    // A colon ends a key where a blank or nothing follows; blanks are quoted anyway.
    let is_key = text.ends_with(':');
    let is_reserved = RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word));
    starts_well && text.chars().all(is_word) && !is_key && !is_reserved
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(yaml: &str) -> Value {
        serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
    }

    #[test]
    fn words_stay_plain_and_the_rest_is_quoted() {
        let cases = [
            ("npx", "npx"),
            ("/usr/bin/node", "/usr/bin/node"),
            ("https://h:1/mcp", "https://h:1/mcp"),
            ("yes", "\"yes\""),
            ("1.5", "\"1.5\""),
            ("-y", "\"-y\""),
            ("a b", "\"a b\""),
            ("a:", "\"a:\""),
            ("", "\"\""),
            ("${A}", "\"${A}\""),
            ("ü", "\"ü\""),
            ("a\nb\u{7f}\u{85}", "\"a\\nb\\u007F\\u0085\""),
        ];
        for (given, expected) in cases {
            assert_eq!(text(given), expected);
        }
    }

    #[test]
    fn comments_stay_on_their_line() {
        assert_eq!(comment("a\nb\u{2028}#"), "a\\u{a}b\\u{2028}#");
    }

    proptest! {
        #[test]
        fn every_text_survives(given in any::<String>()) {
            let yaml = format!("{}: {}\nb: {}\n", text(&format!("k{given}")), text(&given), list([given.as_str()]));
            let value = read(&yaml);
            prop_assert_eq!(value[format!("k{given}")].as_str(), Some(given.as_str()));
            prop_assert_eq!(value["b"][0].as_str(), Some(given.as_str()));
        }
    }
}

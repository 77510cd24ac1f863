//! Values of `Mcp-Name` and `Mcp-Param-*` (SEP-2243): plain where HTTP can carry them, base64 otherwise.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// A header value that is neither plain nor well-formed base64 of UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed header value")]
pub struct MalformedValue;

/// Encodes `text` so that a header can carry it unchanged.
pub fn encode(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    let trimmed = text.trim_matches([' ', '\t']).len() == text.len();
    let looks_encoded = text.starts_with(OPEN) && text.ends_with(CLOSE);
    if plain && trimmed && !looks_encoded && !text.is_empty() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{OPEN}{}{CLOSE}", STANDARD.encode(text)))
}

/// Decodes a header value; surrounding white space does not count.
///
/// # Errors
/// [`MalformedValue`] when it holds bytes that a plain value cannot, or its base64 is broken.
pub fn decode(value: &[u8]) -> Result<Cow<'_, str>, MalformedValue> {
    let text = std::str::from_utf8(value).map_err(|_| MalformedValue)?.trim_matches([' ', '\t']);
    if !text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Err(MalformedValue);
    }
    let Some(inner) = text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Ok(Cow::Borrowed(text));
    };
    let bytes = STANDARD.decode(inner).map_err(|_| MalformedValue)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| MalformedValue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_header() {
        for text in ["echo", "a b", "", " lead", "trail\t", "naïve", "a\r\nX: y", "=?base64?eA==?=", "日本"]
        {
            let encoded = encode(text);
            assert!(encoded.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{encoded}");
            assert_eq!(decode(encoded.as_bytes()).unwrap(), text);
        }
        assert_eq!(encode("echo"), "echo");
    }

    #[test]
    fn broken_values_are_refused() {
        for value in [&b"=?base64?!!!?="[..], b"=?base64?/w==?=", b"a\x00b", "naïve".as_bytes()] {
            assert_eq!(decode(value), Err(MalformedValue));
        }
        assert_eq!(decode(b"=?BASE64?eA==?=").unwrap(), "=?BASE64?eA==?=", "the markers are case-sensitive");
    }
}

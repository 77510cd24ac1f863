//! Results of the gateway's own tools: the JSON once as structured content and once as text, as agent-mcp-gateway has it,
//! because clients look at either.

use bytes::Bytes;
use protocol::Era;
use serde::Serialize;

use crate::answer;

/// Writes a result whose structured content is `value`, with the same as text.
pub(super) fn object(value: &impl Serialize, era: Era) -> Bytes {
    let json = encoded(value);
    result(&[&json], &json, era)
}

/// Writes a result whose structured content is `value`, with `text` for the model.
pub(super) fn with_text(value: &impl Serialize, text: &str, era: Era) -> Bytes {
    result(&[text], &encoded(value), era)
}

/// Writes a list: structured content has to be an object, so it is wrapped, and an empty one has no text.
pub(super) fn list<T: Serialize>(items: &[T], era: Era) -> Bytes {
    let json = encoded(&items);
    let texts: &[&str] = if items.is_empty() { &[] } else { &[&json] };
    result(texts, &format!(r#"{{"result":{json}}}"#), era)
}

fn result(texts: &[&str], structured: &str, era: Era) -> Bytes {
    let mut out = String::with_capacity(2 * structured.len() + 128);
    out.push('{');
    if era == Era::Modern {
        out.push_str(answer::MODERN_RESULT);
        out.push(',');
    }
    out.push_str(r#""content":["#);
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(r#"{"type":"text","text":"#);
        out.push_str(&encoded(text));
        out.push('}');
    }
    out.push_str(r#"],"structuredContent":"#);
    out.push_str(structured);
    out.push_str(r#","isError":false}"#);
    out.into()
}

fn encoded(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names, numbers and JSON texts are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_wrapped_and_an_empty_one_has_no_text() {
        let written = |items: &[&str]| String::from_utf8(list(items, Era::Legacy).to_vec()).unwrap();
        assert_eq!(
            written(&["a\""]),
            r#"{"content":[{"type":"text","text":"[\"a\\\"\"]"}],"structuredContent":{"result":["a\""]},"isError":false}"#
        );
        assert_eq!(written(&[]), r#"{"content":[],"structuredContent":{"result":[]},"isError":false}"#);
    }

    #[test]
    fn a_modern_result_says_that_it_is_complete() {
        let written = object(&1, Era::Modern);
        assert!(written.starts_with(br#"{"resultType":"complete","content":"#), "{written:?}");
    }
}

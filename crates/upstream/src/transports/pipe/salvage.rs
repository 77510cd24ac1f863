//! What can still be used of a line that is not one message: several messages in a row, or in an array (which
//! 2025-03-26 allows). Such servers exist, and their answers are as good as others.

use bytes::Bytes;
use protocol::Message;
use serde_json::value::RawValue;

/// Most messages that are looked for in one line.
const MAX_MESSAGES: usize = 1_000;

/// Returns the messages that stand in `line` from its beginning; none if the line is no JSON.
pub(super) fn salvage(line: &Bytes) -> Vec<Message> {
    let values: Vec<&RawValue> = if line.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice(line).unwrap_or_default()
    } else {
        serde_json::Deserializer::from_slice(line)
            .into_iter()
            .map_while(Result::ok)
            .take(MAX_MESSAGES)
            .collect()
    };
    let messages = values.into_iter().take(MAX_MESSAGES).map(|value| line.slice_ref(value.get().as_bytes()));
    messages.filter_map(|message| Message::parse(&message).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_at_the_beginning_of_a_line_are_found() {
        let one = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let check = |line: String, expected: usize| {
            assert_eq!(salvage(&Bytes::from(line.clone())).len(), expected, "{line}");
        };
        check(format!("{one}{one}"), 2);
        check(format!("{one} {one} and text"), 2);
        check(format!("[{one},{one},{{}}]"), 2);
        check(format!("{one}{}", &one[..20]), 1);
        check(format!("text {one}"), 0);
        check("\u{0}".to_owned(), 0);
        check("[".repeat(100_000), 0);
    }
}

//! The stub's tools: their listing, built once, and the text of the `bytes` tool.

use std::fmt::Write;

use bytes::Bytes;

/// The longest text of the `bytes` tool; enough for the 1 MB scenario with room, small enough to precompute.
pub(crate) const MAX_TEXT_BYTES: usize = 4 << 20;

/// One period of the text: ordinary prose with an escaped quote and a line break, as tools return.
const PERIOD: &str = r#"The quick brown fox said \"jump\" and the lazy dog did so twice\n"#;

const REAL_TOOLS: &str = concat!(
    r#"{"name":"echo","description":"Returns the text it is given","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}},"#,
    r#"{"name":"bytes","description":"Returns a text of the given size","inputSchema":{"type":"object","properties":{"size":{"type":"integer","minimum":0,"maximum":4194304}},"required":["size"]}},"#,
    r#"{"name":"slow","description":"Answers after the given time","inputSchema":{"type":"object","properties":{"ms":{"type":"integer","minimum":0,"maximum":60000}},"required":["ms"]}}"#,
);

/// Builds the array of tools, with `filler` generated ones after the real ones.
pub(crate) fn listing(filler: usize) -> String {
    let mut tools = format!("[{REAL_TOOLS}");
    for number in 0..filler {
        write!(tools, ",{}", filler_tool(number)).expect("a String takes every write");
    }
    tools.push(']');
    tools
}

/// A tool of the size and shape that servers of trackers and stores publish (about 900 bytes).
fn filler_tool(number: usize) -> String {
    format!(
        concat!(
            r#"{{"name":"search_records_{n}","title":"Search records of collection {n}","#,
            r#""description":"Searches the records of collection {n} by text, state and date. Returns at most `limit` records with their id, title, owner and the time of the last change. Use the cursor to go on.","#,
            r#""inputSchema":{{"type":"object","properties":{{"#,
            r#""query":{{"type":"string","description":"Text to look for in title and body","minLength":1,"maxLength":500}},"#,
            r#""state":{{"type":"string","enum":["open","closed","all"],"default":"open"}},"#,
            r#""labels":{{"type":"array","items":{{"type":"string"}},"maxItems":20}},"#,
            r#""updated_after":{{"type":"string","format":"date-time","description":"Only records changed after this time"}},"#,
            r#""limit":{{"type":"integer","minimum":1,"maximum":100,"default":20}},"#,
            r#""cursor":{{"type":"string"}}}},"required":["query"],"additionalProperties":false}},"#,
            r#""annotations":{{"readOnlyHint":true,"openWorldHint":false}}}}"#
        ),
        n = number
    )
}

/// The precomputed text of the `bytes` tool, already escaped for JSON.
#[derive(Debug, Clone)]
pub(crate) struct Text(Bytes);

impl Text {
    /// Builds the longest text.
    pub(crate) fn new() -> Self {
        let mut text = PERIOD.repeat(MAX_TEXT_BYTES / PERIOD.len() + 1);
        text.truncate(MAX_TEXT_BYTES);
        Self(Bytes::from(text))
    }

    /// Returns `size` escaped bytes, at most [`MAX_TEXT_BYTES`] and one less where an escape would be cut.
    pub(crate) fn of_size(&self, size: usize) -> Bytes {
        let end = size.min(self.0.len());
        let cut_escape = end > 0 && self.0[end - 1] == b'\\';
        self.0.slice(..end - usize::from(cut_escape))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT_BYTES, Text, listing};

    #[test]
    fn every_size_of_text_is_valid_json() {
        let text = Text::new();
        for size in (0..300).chain([10_240, 1 << 20, MAX_TEXT_BYTES, usize::MAX]) {
            let quoted = [b"\"", &text.of_size(size)[..], b"\""].concat();
            serde_json::from_slice::<String>(&quoted).unwrap();
        }
    }

    #[test]
    fn filler_tools_are_listed_after_the_real_ones() {
        let tools: serde_json::Value = serde_json::from_str(&listing(5)).unwrap();
        assert_eq!(tools.as_array().unwrap().len(), 8);
        assert_eq!(tools[0]["name"], "echo");
        assert_eq!(tools[7]["inputSchema"]["required"][0], "query");
    }
}

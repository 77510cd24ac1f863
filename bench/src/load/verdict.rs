//! Whether an answer is right: status 200, the id that was sent, a result, no failure of the tool.

use memchr::memmem;
use serde_json::value::RawValue;

use crate::{envelope::Response, load::connection::Answer};

/// Longer bodies are judged by their ends, so that the generator does not become the bottleneck of the 1 MB scenario.
const MAX_PARSED_BYTES: usize = 64 << 10;
/// How much of each end of a long body is searched; every envelope member but the result fits.
const END_BYTES: usize = 512;

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The connection or the exchange broke.
    #[error("the connection broke")]
    Broken,
    /// Another status than 200.
    #[error("status {0}")]
    Status(u16),
    /// The body is no JSON-RPC answer.
    #[error("the answer is unreadable")]
    Unreadable,
    /// The answer belongs to another request.
    #[error("the answer has the id of another request")]
    WrongId,
    /// The answer is an error.
    #[error("the answer is an error: {0}")]
    Error(String),
    /// The result says that the tool failed.
    #[error("the tool failed")]
    ToolFailed,
}

/// Judges the answer to the request with `id`.
///
/// # Errors
/// Returns the first fault.
pub fn judge(answer: &Answer, id: u64) -> Result<(), Fault> {
    if answer.status.as_u16() != 200 {
        return Err(Fault::Status(answer.status.as_u16()));
    }
    let message = if answer.is_event_stream { last_event(&answer.body) } else { &answer.body };
    if message.len() > MAX_PARSED_BYTES { judge_ends(message, id) } else { judge_whole(message, id) }
}

fn judge_whole(message: &[u8], id: u64) -> Result<(), Fault> {
    let response: Response<'_> = serde_json::from_slice(message).map_err(|_| Fault::Unreadable)?;
    if let Some(error) = response.error {
        return Err(Fault::Error(error.get().chars().take(200).flat_map(char::escape_debug).collect()));
    }
    if response.id.and_then(|raw| raw.get().parse().ok()) != Some(id) {
        return Err(Fault::WrongId);
    }
    let result = response.result.map(RawValue::get).ok_or(Fault::Unreadable)?;
    match memmem::find(result.as_bytes(), br#""isError":true"#) {
        Some(_) => Err(Fault::ToolFailed),
        None => Ok(()),
    }
}

/// The members beside a long result stand before or behind it.
fn judge_ends(message: &[u8], id: u64) -> Result<(), Fault> {
    let ends = [&message[..END_BYTES], &message[message.len() - END_BYTES..]];
    let found = |text: &str| ends.iter().any(|end| memmem::find(end, text.as_bytes()).is_some());
    if found(r#""isError":true"#) {
        return Err(Fault::ToolFailed);
    }
    if found(&format!(r#""id":{id},"#)) || found(&format!(r#""id":{id}}}"#)) {
        return if found(r#""result":"#) { Ok(()) } else { Err(Fault::Unreadable) };
    }
    Err(Fault::WrongId)
}

/// Returns the data of the last event; notifications may come before the answer.
fn last_event(body: &[u8]) -> &[u8] {
    let lines = body.split(|byte| *byte == b'\n');
    let data = lines.filter_map(|line| line.strip_prefix(b"data:")).next_back();
    data.unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::StatusCode;

    use super::{Fault, judge};
    use crate::load::connection::Answer;

    fn verdict(body: &str) -> Result<(), Fault> {
        let is_event_stream = body.starts_with("event");
        let body = Bytes::copy_from_slice(body.as_bytes());
        judge(&Answer { status: StatusCode::OK, is_event_stream, session: None, body }, 12)
    }

    #[test]
    fn only_the_right_answer_counts() {
        assert_eq!(verdict(r#"{"jsonrpc":"2.0","id":12,"result":{"content":[]}}"#), Ok(()));
        assert_eq!(verdict(r#"{"result":{"content":[]},"id":12}"#), Ok(()));
        assert_eq!(verdict(r#"{"id":1,"result":{}}"#), Err(Fault::WrongId));
        assert_eq!(verdict(r#"{"id":"12","result":{}}"#), Err(Fault::WrongId));
        assert_eq!(verdict(r#"{"id":12}"#), Err(Fault::Unreadable));
        assert_eq!(verdict("nonsense"), Err(Fault::Unreadable));
        assert_eq!(verdict(r#"{"id":12,"result":{"isError":true}}"#), Err(Fault::ToolFailed));
        assert!(matches!(verdict(r#"{"id":12,"error":{"code":-1}}"#), Err(Fault::Error(_))));
    }

    #[test]
    fn long_answers_are_judged_by_their_ends() {
        let long =
            |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"text":"{}"}}}}"#, "x".repeat(100_000));
        assert_eq!(verdict(&long(12)), Ok(()));
        assert_eq!(verdict(&long(123)), Err(Fault::WrongId));
        assert_eq!(verdict(&long(1)), Err(Fault::WrongId));
    }

    #[test]
    fn the_last_event_is_the_answer() {
        let stream =
            "event: message\ndata: {\"method\":\"n\"}\n\nevent: message\ndata: {\"id\":12,\"result\":{}}\n\n";
        assert_eq!(verdict(stream), Ok(()));
    }
}

//! From what the gateway or an upstream answers to JSON-RPC text for one client. Only screened events are encoded.

use bytes::Bytes;
use guardrails::Cleared;
use http::StatusCode;
use protocol::{Era, Object, RequestId, code, encode};
use upstream::{Event, Payload, ResultStream};

use crate::{call::Running, error::Failure};

/// What one event becomes for the client.
pub(crate) enum Encoded {
    /// A complete JSON-RPC message that is not the last one: a notification. Empty for nothing to send.
    Message(Bytes),
    /// The last message.
    Final(Bytes),
    /// The last message is the upstream's own error, which has an HTTP status in the client's era.
    Refused(StatusCode, Bytes),
    /// The last message is large and still arriving: its beginning, and where the rest comes from. The message ends
    /// with one closing brace after the stream.
    Streamed(Vec<u8>, ResultStream),
}

/// Encodes a screened event as an answer to `id`.
pub(crate) fn encode_event(event: Cleared<Event>, id: &RequestId, running: &Running) -> Encoded {
    match event.into_inner() {
        Event::Notification { method, params } => {
            Encoded::Message(encode::notification(&method, params.as_deref()).into())
        }
        // The doors put what servers ask to their clients before they come here.
        Event::Request(request) => {
            request.refuse();
            Encoded::Message(Bytes::new())
        }
        Event::Error(error) => {
            let status = error_status(&error, running.client_era());
            Encoded::Refused(status, encode::error_object(id, &error).into())
        }
        Event::Result(Payload::Whole(result)) => {
            let result = match running.renaming() {
                Some(renaming) => renaming.applied_to(result),
                None => result,
            };
            let mut message = encode::result_head(id);
            if strips(running) {
                write_stripped(&mut message, &result);
            } else {
                write_result(&mut message, &result, additions(running));
            }
            message.push(b'}');
            Encoded::Final(message.into())
        }
        Event::Result(Payload::Streamed(stream)) => Encoded::Streamed(encode::result_head(id), stream),
    }
}

/// Returns the HTTP status of an upstream's error (specification 2026-07-28, basic: error codes). In the legacy era an
/// error is an answer like any other.
fn error_status(error: &[u8], era: Era) -> StatusCode {
    if era == Era::Legacy {
        return StatusCode::OK;
    }
    let code = Object::parse(error, &[]).ok().and_then(|error| error.get("code")?.parse::<i64>().ok());
    match code {
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(code) if code::is_modern(code) => StatusCode::BAD_REQUEST,
        Some(_) | None => StatusCode::OK,
    }
}

/// Encodes a failure as an answer to `id`: a tool result where the tool's caller can make something of it, else a
/// JSON-RPC error.
pub(crate) fn encode_failure(failure: &Failure, id: &RequestId, is_tool_call: bool, era: Era) -> Bytes {
    match failure.tool_result(era).filter(|_| is_tool_call) {
        Some(result) => encode::result(id, &result).into(),
        None => failure.response(id, era).1.into(),
    }
}

/// Members that a modern client requires of every result and a legacy server does not send.
pub(crate) const MODERN_RESULT: &str = r#""resultType":"complete""#;
/// The same for results that may be cached; ours may not, because nothing says for how long.
const MODERN_CACHEABLE_RESULT: &str = r#""resultType":"complete","ttlMs":0,"cacheScope":"private""#;

/// Returns the members to add to a running call's result, if its client is modern and its upstream is not.
pub(crate) fn additions(running: &Running) -> Option<&'static str> {
    let bridges = running.client_era() == Era::Modern && running.upstream_era() == Era::Legacy;
    let members = if running.row().cacheable { MODERN_CACHEABLE_RESULT } else { MODERN_RESULT };
    bridges.then_some(members)
}

/// Members that only the modern era has. A legacy client could take them for a vendor's, so they are taken out of
/// whole results; a result that is passed on while it arrives keeps them, as unknown members are legal in any era.
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// Tells whether a modern upstream answers a legacy client.
fn strips(running: &Running) -> bool {
    running.client_era() == Era::Legacy && running.upstream_era() == Era::Modern
}

/// Appends a result without the members of the modern era; its other bytes stay as they are.
fn write_stripped(out: &mut Vec<u8>, result: &[u8]) {
    match Object::parse(result, &[]) {
        Ok(object) => object.write_without(&MODERN_MEMBERS, out),
        Err(_) => out.extend_from_slice(result),
    }
}

/// Appends a result with members added at its start. Its other bytes stay as they are.
fn write_result(out: &mut Vec<u8>, result: &[u8], additions: Option<&str>) {
    let object = additions.and_then(|members| Some((members, Object::parse(result, &[]).ok()?)));
    let Some((members, object)) = object.filter(|(_, object)| object.get("resultType").is_none()) else {
        out.extend_from_slice(result);
        return;
    };
    out.push(b'{');
    out.extend_from_slice(members.as_bytes());
    if !object.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(after_brace(result));
}

/// Opens a streamed result with members added: returns what of the first chunk remains to be sent.
pub(crate) fn open_streamed(out: &mut Vec<u8>, first: &Bytes, additions: Option<&str>) -> Bytes {
    let Some(members) = additions.filter(|_| first.trim_ascii_start().starts_with(b"{")) else {
        return first.clone();
    };
    // A result that is streamed is large, so it has members of its own and the comma is right.
    out.push(b'{');
    out.extend_from_slice(members.as_bytes());
    out.push(b',');
    first.slice_ref(after_brace(first))
}

/// Replaces line ends by spaces. In valid JSON a line end is never inside a string, so the value stays the same.
pub(crate) fn on_one_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    json.iter()
        .map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte })
        .collect::<Vec<u8>>()
        .into()
}

fn after_brace(object: &[u8]) -> &[u8] {
    memchr::memchr(b'{', object).map_or(object, |brace| &object[brace + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(result: &str, additions: Option<&str>) -> String {
        let mut out = Vec::new();
        write_result(&mut out, result.as_bytes(), additions);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn errors_of_upstreams_have_their_status() {
        let status = |code: i64, era| error_status(format!(r#"{{"code":{code}}}"#).as_bytes(), era).as_u16();
        assert_eq!(
            [-32601, -32020, -32021, -32022].map(|code| status(code, Era::Modern)),
            [404, 400, 400, 400]
        );
        assert_eq!([-32602, -32603, -1].map(|code| status(code, Era::Modern)), [200, 200, 200]);
        assert_eq!([-32601, -32021].map(|code| status(code, Era::Legacy)), [200, 200]);
    }

    #[test]
    fn results_keep_their_bytes() {
        let odd = "{ \"b\":1.0e2,\"a\" : [ ] , \"a\":\"\\u0041\"}";
        assert_eq!(written(odd, None), odd);
        assert_eq!(written(r#"{"b":1.0}"#, Some(MODERN_RESULT)), r#"{"resultType":"complete","b":1.0}"#);
        assert_eq!(written("{ }", Some(MODERN_RESULT)), r#"{"resultType":"complete" }"#);
        assert_eq!(written(r#"{"resultType":"task"}"#, Some(MODERN_RESULT)), r#"{"resultType":"task"}"#);
    }

    #[test]
    fn a_legacy_client_sees_no_modern_members() {
        let stripped = |result: &str| {
            let mut out = Vec::new();
            write_stripped(&mut out, result.as_bytes());
            String::from_utf8(out).unwrap()
        };
        assert_eq!(stripped(r#"{"resultType":"complete","x" : 1.10,"ttlMs":0}"#), r#"{"x" : 1.10}"#);
        assert_eq!(stripped(r#"{"resultType":"complete"}"#), "{}");
        assert_eq!(stripped("[1]"), "[1]");
    }

    #[test]
    fn a_streamed_result_is_opened_with_members() {
        let mut out = Vec::new();
        let rest = open_streamed(&mut out, &Bytes::from_static(b" {\"a\":1"), Some(MODERN_RESULT));
        out.extend_from_slice(&rest);
        assert_eq!(out, br#"{"resultType":"complete","a":1"#);
    }
}

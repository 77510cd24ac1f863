//! What the stub says to each request, for every transport. Pure: no IO, no clock.
//! An answer is up to three pieces around a shared text, so that 1 MB is never copied here.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    envelope::{Params, Request},
    era::{Era, LEGACY_VERSION, MODERN_VERSION, Spoken, VERSION_MEMBER},
    stub::tools::{self, Text},
};

const SERVER_INFO: &str = r#"{"name":"bench-stub","version":"0.1.0"}"#;
/// The end of every modern result; lists and discovery put their cache hints before it.
const MODERN_END: &str = r#","resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench-stub","version":"0.1.0"}}}}"#;
const LEGACY_END: &str = "}}";
/// The longest pause of the `slow` tool, in milliseconds.
const MAX_PAUSE_MS: u64 = 60_000;

const PARSE_ERROR: i32 = -32700;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

/// What the stub knows: built once, shared by all connections.
#[derive(Debug, Clone)]
pub struct Stub {
    spoken: Spoken,
    tools: Bytes,
    text: Text,
}

/// What a transport does with a message it received.
#[derive(Debug)]
pub enum Reply {
    /// A notification was taken; nothing is answered.
    Accepted,
    /// The answer.
    Now(Message),
    /// The answer, to be sent after a pause.
    After(Duration, Message),
}

/// A JSON-RPC answer in pieces.
#[derive(Debug)]
pub struct Message {
    /// The HTTP status that goes with it.
    pub status: u16,
    /// Whether this is the answer to `initialize`, which opens a session on HTTP.
    pub opens_session: bool,
    /// The pieces in order; empty ones may occur.
    pub pieces: [Bytes; 3],
}

impl Message {
    fn whole(status: u16, body: String) -> Self {
        Self { status, opens_session: false, pieces: [Bytes::from(body), Bytes::new(), Bytes::new()] }
    }

    fn error(status: u16, id: &str, code: i32, text: &str) -> Self {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}"}}}}"#);
        Self::whole(status, body)
    }

    /// Returns the length of the message in bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Tells whether the message has no bytes, which no answer of the stub is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Stub {
    /// Builds a stub that answers `spoken` and lists `filler` tools beside its own.
    pub fn new(spoken: Spoken, filler: usize) -> Self {
        Self { spoken, tools: Bytes::from(tools::listing(filler)), text: Text::new() }
    }

    /// Answers one message.
    pub fn answer(&self, message: &[u8]) -> Reply {
        let Ok(request) = serde_json::from_slice::<Request<'_>>(message) else {
            return Reply::Now(Message::error(400, "null", PARSE_ERROR, "not a request"));
        };
        let Some(id) = request.id.map(RawValue::get) else { return Reply::Accepted };
        let Some(params) = read_params(request.params) else {
            return Reply::Now(Message::error(400, id, INVALID_PARAMS, "params are not understood"));
        };
        let era = era_of(&request.method, &params);
        if !self.spoken.includes(era) {
            return Reply::Now(unknown_method(other(era), id));
        }
        match (&*request.method, era) {
            ("tools/call", era) => self.call(era, id, &params),
            ("tools/list", era) => Reply::Now(self.list(era, id)),
            ("server/discover", Era::Modern) => Reply::Now(discovery(id)),
            ("initialize", Era::Legacy) => Reply::Now(handshake(id)),
            ("ping", Era::Legacy) => {
                Reply::Now(Message::whole(200, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)))
            }
            (_, era) => Reply::Now(unknown_method(era, id)),
        }
    }

    fn list(&self, era: Era, id: &str) -> Message {
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":"#);
        let tail: Cow<'static, str> = match era {
            Era::Legacy => LEGACY_END.into(),
            Era::Modern => format!(r#","ttlMs":300000,"cacheScope":"public"{MODERN_END}"#).into(),
        };
        let pieces = [Bytes::from(head), self.tools.clone(), Bytes::from(tail.into_owned())];
        Message { status: 200, opens_session: false, pieces }
    }

    fn call(&self, era: Era, id: &str, params: &Params<'_>) -> Reply {
        let arguments: Arguments<'_> =
            params.arguments.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        match params.name.as_deref() {
            Some("echo") => Reply::Now(echo(era, id, arguments.text.map_or("\"\"", RawValue::get))),
            Some("bytes") => Reply::Now(self.text_of_size(era, id, arguments.size)),
            Some("slow") => {
                let pause = Duration::from_millis(arguments.ms.min(MAX_PAUSE_MS));
                Reply::After(pause, echo(era, id, "\"done\""))
            }
            _ => Reply::Now(Message::error(200, id, INVALID_PARAMS, "unknown tool")),
        }
    }

    fn text_of_size(&self, era: Era, id: &str, size: usize) -> Message {
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":""#);
        let tail = match era {
            Era::Legacy => Bytes::from_static(b"\"}],\"isError\":false}}"),
            Era::Modern => Bytes::from(format!(r#""}}],"isError":false{MODERN_END}"#)),
        };
        let pieces = [Bytes::from(head), self.text.of_size(size), tail];
        Message { status: 200, opens_session: false, pieces }
    }
}

/// The arguments of all three tools; each reads its own.
#[derive(Debug, Default, Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(default)]
    size: usize,
    #[serde(default)]
    ms: u64,
}

fn read_params(raw: Option<&RawValue>) -> Option<Params<'_>> {
    raw.map_or_else(|| Some(Params::default()), |raw| serde_json::from_str(raw.get()).ok())
}

/// A request is modern when its metadata names a version; `server/discover` exists only there.
fn era_of(method: &str, params: &Params<'_>) -> Era {
    let named = params
        .meta
        .is_some_and(|meta| memchr::memmem::find(meta.get().as_bytes(), VERSION_MEMBER.as_bytes()).is_some());
    if named || method == "server/discover" { Era::Modern } else { Era::Legacy }
}

/// A stub of one era answers the other era's requests as a server that never heard of it.
const fn other(era: Era) -> Era {
    match era {
        Era::Legacy => Era::Modern,
        Era::Modern => Era::Legacy,
    }
}

fn echo(era: Era, id: &str, quoted: &str) -> Message {
    let end = match era {
        Era::Legacy => LEGACY_END,
        Era::Modern => MODERN_END,
    };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":{quoted}}}],"isError":false{end}"#
    );
    Message::whole(200, body)
}

fn handshake(id: &str) -> Message {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{LEGACY_VERSION}","capabilities":{{"tools":{{}}}},"serverInfo":{SERVER_INFO}}}}}"#
    );
    Message { opens_session: true, ..Message::whole(200, body) }
}

fn discovery(id: &str) -> Message {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"supportedVersions":["{MODERN_VERSION}"],"capabilities":{{"tools":{{}}}},"ttlMs":300000,"cacheScope":"public"{MODERN_END}"#
    );
    Message::whole(200, body)
}

/// The modern era answers an unknown method with 404 (basic/transports/streamable-http), the legacy one with 200.
fn unknown_method(era: Era, id: &str) -> Message {
    let status = match era {
        Era::Legacy => 200,
        Era::Modern => 404,
    };
    Message::error(status, id, METHOD_NOT_FOUND, "method not found")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Message, Reply, Stub};
    use crate::era::{Spoken, VERSION_MEMBER};

    fn ask(spoken: Spoken, request: &Value) -> (u16, Value) {
        match Stub::new(spoken, 0).answer(request.to_string().as_bytes()) {
            Reply::Now(Message { status, pieces, .. }) | Reply::After(_, Message { status, pieces, .. }) => {
                (status, serde_json::from_slice(&pieces.concat()).unwrap())
            }
            Reply::Accepted => (202, Value::Null),
        }
    }

    fn request(method: &str, params: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": "7", "method": method, "params": params})
    }

    fn modern(mut params: Value) -> Value {
        params["_meta"] = json!({VERSION_MEMBER: "2026-07-28"});
        params
    }

    #[test]
    fn echo_returns_its_text_in_both_eras() {
        let params = json!({"name": "echo", "arguments": {"text": "a \"b\"\n"}});
        let (_, legacy) = ask(Spoken::Both, &request("tools/call", &params));
        assert_eq!(legacy["id"], "7");
        assert_eq!(legacy["result"]["content"][0]["text"], "a \"b\"\n");
        assert_eq!(legacy["result"].get("resultType"), None);
        let (_, modern) = ask(Spoken::Both, &request("tools/call", &modern(params)));
        assert_eq!(modern["result"]["content"][0]["text"], "a \"b\"\n");
        assert_eq!(modern["result"]["resultType"], "complete");
    }

    #[test]
    fn bytes_has_the_asked_size() {
        for params in [json!({"name": "bytes", "arguments": {"size": 10_240}})] {
            for params in [params.clone(), modern(params)] {
                let (status, answer) = ask(Spoken::Both, &request("tools/call", &params));
                assert_eq!(status, 200);
                let text = answer["result"]["content"][0]["text"].as_str().unwrap();
                assert!((9_500..=10_240).contains(&text.len()), "{}", text.len());
            }
        }
    }

    #[test]
    fn each_era_is_unknown_to_a_stub_of_the_other() {
        let (status, answer) = ask(Spoken::Legacy, &request("server/discover", &modern(json!({}))));
        assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32601)));
        let (status, answer) = ask(Spoken::Modern, &request("initialize", &json!({})));
        assert_eq!((status, &answer["error"]["code"]), (404, &json!(-32601)));
    }

    #[test]
    fn lists_discovery_and_handshake_are_complete() {
        let (_, list) = ask(Spoken::Both, &request("tools/list", &modern(json!({}))));
        assert_eq!(list["result"]["tools"][0]["name"], "echo");
        assert_eq!(list["result"]["cacheScope"], "public");
        let (_, list) = ask(Spoken::Both, &request("tools/list", &json!({})));
        assert_eq!(list["result"].as_object().unwrap().len(), 1);
        let (_, found) = ask(Spoken::Both, &request("server/discover", &modern(json!({}))));
        assert_eq!(found["result"]["supportedVersions"][0], "2026-07-28");
        let (_, hello) = ask(Spoken::Both, &request("initialize", &json!({})));
        assert_eq!(hello["result"]["serverInfo"]["name"], "bench-stub");
    }

    #[test]
    fn notifications_are_accepted_and_garbage_is_not() {
        let (status, _) =
            ask(Spoken::Both, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        assert_eq!(status, 202);
        let (status, answer) = ask(Spoken::Both, &json!([1]));
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32700)));
    }
}

//! What is checked before a request is a call: numbers at their bounds, tools that the caller does not see, members that
//! are spelled in another way.

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{modern_call, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, within};
use crate::wire::{Request, Wire};

const HEADER_MISMATCH: i64 = -32020;
const INVALID_PARAMS: i64 = -32602;

/// A server with tools that repeat an argument in a header. It lists them and knows none of them, so their calls are
/// answered with an error of its own.
async fn annotated() -> FakeServer {
    let tool = |name: &str, schema: Value| json!({"name": name, "inputSchema": {"type": "object", "properties": {"n": schema}}});
    let mut script = Script::new(Speaks::Modern);
    script.tools.extend([
        tool("count", json!({"type": "integer", "x-mcp-header": "N"})),
        tool("shown", json!({"type": "string", "x-mcp-header": "Region"})),
        tool("hidden", json!({"type": "string", "x-mcp-header": "Region"})),
    ]);
    FakeServer::start(script).await
}

/// Returns what an answer is, but for the name that it repeats.
fn gist(status: u16, answer: &Value, name: &str) -> (u16, String) {
    (status, answer.to_string().replace(name, "NAME"))
}

async fn ask(gateway: &Gateway, request: &Request) -> (u16, Value) {
    let response = Wire::connect(gateway.address).await.ask(request).await;
    (response.head.status, response.message())
}

#[test]
fn r27_no_number_ends_a_connection() {
    within(USUAL, async {
        let upstream = annotated().await;
        let gateway = Place::new(json!({"up": http(&upstream)})).serve().await;
        gateway.ready().await;
        let mut wire = Wire::connect(gateway.address).await;
        let mut legacy = gateway.client(Era::Legacy).await;
        let numbers = [
            ("9007199254740991", true),
            ("-9007199254740991", true),
            ("9007199254740992", false),
            ("-9007199254740992", false),
            ("9223372036854775807", false),
            ("-9223372036854775807", false),
            ("-9223372036854775808", false),
            ("-9223372036854775809", false),
            ("18446744073709551615", false),
            ("18446744073709551616", false),
            ("-0.5", false),
            ("1e308", false),
        ];
        for (number, has_header) in numbers {
            let number: Value = serde_json::from_str(number).expect("a number");
            let with = |request: Request| request.with("Mcp-Param-N", number.to_string());
            let call = modern_call("1", "up__count", json!({"n": number}));
            // All on one connection: each answer says that the one before did not end it.
            for (request, is_accepted) in [(call.clone(), !has_header), (with(call), has_header)] {
                let before = upstream.seen().calls("count");
                let response = wire.ask(&request).await;
                let (status, answer) = (response.head.status, response.message());
                assert_eq!(answer["id"], 1, "{number}: {answer}");
                let is_mismatch = (status, &answer["error"]["code"]) == (400, &json!(HEADER_MISMATCH));
                assert_eq!(is_mismatch, !is_accepted, "{number}: {answer}");
                let calls = upstream.seen().calls("count") - before;
                assert_eq!(calls, usize::from(is_accepted), "{number}: {answer}");
            }
            // On the way to the server the gateway writes the header.
            let before = upstream.seen().calls("count");
            legacy.call("up__count", json!({"n": number})).await;
            assert_eq!(upstream.seen().calls("count"), before + 1, "{number}");
            let sent = upstream.seen().requests().pop().expect("a request").headers;
            assert_eq!(sent.contains_key("mcp-param-n"), has_header, "{number}");
        }
        let (status, said) = gateway.stop().await;
        assert!(status.success() && !said.contains("panicked"), "{said}");
    });
}

#[test]
fn a_tool_that_is_not_seen_does_not_show_itself_through_its_headers() {
    within(USUAL, async {
        let upstream = annotated().await;
        let place = Place::configured(json!({
            "servers": {"up": http(&upstream)},
            "rules": {
                "agents": {
                    "narrow": {"allow": {"servers": ["up"], "tools": {"up": ["shown"]}}},
                    "wide": {"allow": {"servers": ["up"]}},
                },
                "defaults": {"deny_on_missing_agent": true},
            },
        }));
        let gateway = place.serve().await;
        gateway.ready().await;
        let (narrow, _) = place.token(&["--agent", "narrow"]).await;
        let (wide, _) = place.token(&["--agent", "wide"]).await;
        let call = |token: &str, name: &str| modern_call("1", name, json!({"n": "eu"})).bearer(token);
        for (token, name) in [(&narrow, "up__shown"), (&wide, "up__shown"), (&wide, "up__hidden")] {
            let (status, answer) = ask(&gateway, &call(token, name)).await;
            assert_eq!((status, &answer["error"]["code"]), (400, &json!(HEADER_MISMATCH)), "{name}");
        }
        // With the header, without it and with another one: the caller learns nothing.
        let hidden = || call(&narrow, "up__hidden");
        let requests = [
            hidden(),
            hidden().with("Mcp-Param-Region", "eu"),
            hidden().with("Mcp-Param-Region", "us"),
            hidden().with("Mcp-Param-Region", "us").with("Mcp-Param-Region", "eu"),
        ];
        let mut gists = Vec::new();
        for request in &requests {
            let (status, answer) = ask(&gateway, request).await;
            assert_ne!((status, &answer["error"]["code"]), (400, &json!(HEADER_MISMATCH)), "{answer}");
            gists.push(gist(status, &answer, "up__hidden"));
        }
        gists.dedup();
        assert_eq!(gists.len(), 1, "{gists:?}");
        // A tool whose schema asks for no header is refused in the same words.
        let (status, answer) = ask(&gateway, &call(&narrow, "up__write")).await;
        assert_eq!(gists, [gist(status, &answer, "up__write")]);
        assert_eq!(upstream.seen().calls("hidden"), 0);
    });
}

#[test]
fn where_no_upstream_tool_is_shown_none_shows_itself_through_its_headers() {
    within(USUAL, async {
        let upstream = annotated().await;
        for exposure in ["discovery", "search"] {
            let place = Place::configured(json!({
                "servers": {"up": http(&upstream)},
                "exposure": {"http": exposure, "servers": {"up": exposure}},
            }));
            let gateway = place.serve().await;
            gateway.ready().await;
            for (target, prefix) in [("/mcp", "up__"), ("/mcp/up", "")] {
                let mut gists = Vec::new();
                for name in ["shown", "hidden", "nosuch"] {
                    let name = format!("{prefix}{name}");
                    let request = modern_call("1", &name, json!({"n": "eu"})).at(target);
                    let (status, answer) = ask(&gateway, &request).await;
                    assert_eq!(answer["error"]["code"], INVALID_PARAMS, "{exposure} {target}: {answer}");
                    gists.push(gist(status, &answer, &name));
                }
                gists.dedup();
                assert_eq!(gists.len(), 1, "{exposure} {target}: {gists:?}");
            }
        }
    });
}

#[test]
fn a_task_is_asked_for_in_one_spelling() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Legacy).await;
        for member in ["Task", "TASK", "ta\u{17f}k", "tas\u{212a}", "t\\u0041sk"] {
            let sound = client.request("7", "tools/call", json!({"name": "one__write", "PLACE": {}}));
            let body = String::from_utf8(sound.body.clone()).expect("JSON").replace("PLACE", member);
            let answer = client.send(&Request { body: body.into(), ..sound }).await.message();
            assert_eq!(
                (&answer["error"]["code"], &answer["id"]),
                (&json!(INVALID_PARAMS), &json!(7)),
                "{member}"
            );
        }
        // What only looks like it is the server's own business.
        let params = json!({"name": "one__echo", "arguments": {"text": "x"}, "tasks": {}});
        assert_eq!(text(&client.ask("tools/call", params).await), "x");
    });
}

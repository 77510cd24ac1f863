//! The headers of a modern request and what the body says: they agree, or nothing is dispatched.

use protocol::{Era, Version};
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{legacy, modern, modern_call};
use crate::gateway::{Gateway, Place, http};
use crate::limit::{USUAL, within};
use crate::wire::{Request, Wire};

const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;

async fn modern_upstream(script: Script) -> (FakeServer, Gateway) {
    let upstream = FakeServer::start(script).await;
    let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
    gateway.ready().await;
    (upstream, gateway)
}

async fn answer(gateway: &Gateway, request: &Request) -> (u16, Value) {
    let response = Wire::connect(gateway.address).await.ask(request).await;
    (response.head.status, response.message())
}

/// Encodes a header value as its sentinel form.
fn sentinel(base64: &str) -> String {
    format!("=?base64?{base64}?=")
}

#[test]
fn s06_a_header_that_differs_from_the_body_is_refused() {
    within(USUAL, async {
        let (upstream, gateway) = modern_upstream(Script::new(Speaks::Modern)).await;
        let call = || modern_call("\"a\"", "one__write", json!({"mark": "header"}));
        let (method, name, version) = ("Mcp-Method", "Mcp-Name", "MCP-Protocol-Version");
        // one__echo and one__write in base64.
        let (echo, write) = ("b25lX19lY2hv", "b25lX193cml0ZQ==");
        let refused = [
            call().set(method, "tools/list"),
            call().set(method, "TOOLS/CALL"),
            call().set(method, "tools/call ".repeat(2)),
            call().set(method, "tools/call,tools/call"),
            call().set(method, ""),
            call().set(method, sentinel("dG9vbHMvY2FsbA==")),
            call().without(method),
            call().with(method, "tools/call"),
            call().with(method, "tools/list"),
            call().set(method, "ping"),
            call().set(name, "one__echo"),
            call().set(name, "ONE__WRITE"),
            call().set(name, "one__write2"),
            call().set(name, "one__writ"),
            call().set(name, "one__write, one__write"),
            call().set(name, ""),
            call().without(name),
            call().with(name, "one__write"),
            call().with(name, "one__echo"),
            call().set(name, sentinel(echo)),
            call().set(name, sentinel("!!!")),
            call().set(name, sentinel("b25lX193cml0ZQ")),
            call().set(name, sentinel("/w==")),
            call().set(name, sentinel("")),
            call().set(name, format!("=?BASE64?{write}?=")),
            call().set(name, format!("=?base64?{write}")),
            call().set(name, format!("x{}", sentinel(write))),
            call().set(name, b"one__write\xff".to_vec()),
            call().set(version, "2025-11-25"),
            call().without(version),
            call().with(version, "2026-07-28"),
            call().with(version, "2025-11-25"),
        ];
        for (number, request) in refused.iter().enumerate() {
            let (status, message) = answer(&gateway, request).await;
            assert_eq!(
                (status, &message["error"]["code"]),
                (400, &json!(HEADER_MISMATCH)),
                "{number}: {message}"
            );
            assert_eq!(message["id"], "a", "{number}");
        }
        assert_eq!(upstream.seen().calls("write"), 0);

        let accepted = [
            call(),
            call().set(name, sentinel(write)),
            call().set(name, "\t one__write \t"),
            call().set(method, " tools/call "),
        ];
        for (number, request) in accepted.iter().enumerate() {
            let (status, message) = answer(&gateway, request).await;
            assert_eq!((status, message.get("error")), (200, None), "{number}");
        }
        assert_eq!(upstream.seen().marks().len(), accepted.len());
        for request in upstream.seen().requests().iter().filter(|request| request.calls("write")) {
            assert_eq!(request.headers["mcp-name"], "write", "the upstream's own name");
            assert_eq!(request.headers["mcp-method"], "tools/call");
            assert_eq!(request.headers["mcp-protocol-version"], "2026-07-28");
        }
    });
}

#[test]
fn s07_revisions_that_disagree_or_are_unknown_have_their_own_codes() {
    within(USUAL, async {
        let (upstream, gateway) = modern_upstream(Script::new(Speaks::Modern)).await;
        let with_version = |version: &str| {
            let mut body = modern_call("7", "one__write", json!({}));
            let text = String::from_utf8(body.body.clone()).expect("JSON");
            body.body = text.replace("2026-07-28", version).into();
            body
        };
        let code = |message: &Value| message["error"]["code"].as_i64().unwrap_or_default();
        // Header and body name different revisions.
        for (header, body) in
            [("2026-07-28", "2025-11-25"), ("2026-07-28", "2027-01-01"), ("2027-01-01", "2026-07-28")]
        {
            let (status, message) =
                answer(&gateway, &with_version(body).set("MCP-Protocol-Version", header)).await;
            assert_eq!((status, code(&message)), (400, HEADER_MISMATCH), "{header} and {body}: {message}");
        }
        // Both name one that we do not speak.
        for version in ["2027-01-01", "9999-12-31", "draft", "2026-07-28x", "1"] {
            let (status, message) =
                answer(&gateway, &with_version(version).set("MCP-Protocol-Version", version)).await;
            assert_eq!((status, code(&message)), (400, UNSUPPORTED_VERSION), "{version}: {message}");
            let data = &message["error"]["data"];
            assert_eq!(data["supported"], json!(Version::ALL.map(Version::as_str)), "{version}");
            assert_eq!((&data["requested"], &message["id"]), (&json!(version), &json!(7)));
        }
        // The members that every modern request carries.
        for missing in
            ["io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"]
        {
            let mut request = modern_call("7", "one__write", json!({}));
            request.body =
                String::from_utf8(request.body).expect("JSON").replace(missing, "vendor/other").into();
            let (status, message) = answer(&gateway, &request).await;
            assert_eq!((status, code(&message)), (400, -32602), "without {missing}: {message}");
        }
        // A legacy request that names an unknown revision; and one that names none, which is 2025-03-26.
        let mut client = gateway.client(Era::Legacy).await;
        let ping = client.request("8", "ping", json!({}));
        let (status, message) =
            answer(&gateway, &ping.clone().set("MCP-Protocol-Version", "2025-01-01")).await;
        assert_eq!((status, code(&message)), (400, UNSUPPORTED_VERSION), "{message}");
        let response = client.send(&ping.without("MCP-Protocol-Version")).await;
        assert_eq!((response.head.status, response.message()["result"].clone()), (200, json!({})));
        assert_eq!(upstream.seen().calls("write"), 0);
    });
}

#[test]
fn s07_streams_and_ends_of_sessions_hold_to_the_revision_too() {
    within(USUAL, async {
        let (_upstream, gateway) = modern_upstream(Script::new(Speaks::Modern)).await;
        let mut client = gateway.client(Era::Legacy).await;
        let session = client.session.clone().expect("a session");
        let of_session = |verb, version: &str| {
            let request = Request::plain(verb, "/mcp").with("Accept", "text/event-stream");
            request.with("Mcp-Session-Id", session.as_str()).with("MCP-Protocol-Version", version)
        };
        for verb in ["GET", "DELETE"] {
            for version in ["1999-01-01", "2027-01-01", "draft", ""] {
                let (status, message) = answer(&gateway, &of_session(verb, version)).await;
                let code = &message["error"]["code"];
                assert_eq!((status, code), (400, &json!(UNSUPPORTED_VERSION)), "{verb} {version}: {message}");
            }
            // The modern era has POST alone.
            let (status, message) = answer(&gateway, &of_session(verb, "2026-07-28")).await;
            assert_eq!(status, 405, "{verb}: {message}");
        }
        // Nothing of this has ended the session.
        assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
        let spoken = Version::LATEST_LEGACY.as_str();
        drop(Wire::connect(gateway.address).await.listen(&of_session("GET", spoken)).await);
        assert_eq!(answer(&gateway, &of_session("DELETE", spoken)).await.0, 204);
    });
}

#[test]
fn s07_initialize_is_answered_with_a_revision_that_both_speak() {
    within(USUAL, async {
        let (_upstream, gateway) = modern_upstream(Script::new(Speaks::Modern)).await;
        let cases = [
            ("2024-11-05", "2024-11-05"),
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("1999-01-01", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
        ];
        for (asked, answered) in cases {
            let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
            let request = legacy("1", "initialize", &params).without("MCP-Protocol-Version");
            let (status, message) = answer(&gateway, &request).await;
            assert_eq!(
                (status, &message["result"]["protocolVersion"]),
                (200, &json!(answered)),
                "{asked}: {message}"
            );
        }
        // Methods that the modern era does not have.
        for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such"] {
            let (status, message) = answer(&gateway, &modern("3", method, json!({}))).await;
            assert_eq!((status, &message["error"]["code"]), (404, &json!(-32601)), "{method}: {message}");
        }
    });
}

/// A tool whose parameter `p` has this schema.
fn annotated(name: &str, schema: &Value) -> Value {
    json!({"name": name, "inputSchema": {"type": "object", "properties": {"p": schema}}})
}

#[test]
fn s09_only_tools_with_sound_parameter_headers_are_offered() {
    within(USUAL, async {
        let header = |name: &str| json!({"type": "string", "x-mcp-header": name});
        let invalid = [
            annotated("bad_empty", &header("")),
            annotated("bad_crlf", &header("A\r\nX-Evil: 1")),
            annotated("bad_space", &header("a b")),
            annotated("bad_colon", &header("a:b")),
            annotated("bad_number", &json!({"type": "number", "x-mcp-header": "N"})),
            annotated("bad_object", &json!({"type": "object", "x-mcp-header": "O"})),
            annotated("bad_value", &json!({"type": "string", "x-mcp-header": 7})),
            annotated("bad_items", &json!({"type": "array", "items": header("I")})),
            annotated("bad_one_of", &json!({"oneOf": [header("I")]})),
            json!({"name": "bad_doubled", "inputSchema": {"type": "object", "properties": {
                "a": header("Same"), "b": header("sAME")}}}),
        ];
        let valid = [
            annotated("good_plain", &json!({"type": "string"})),
            annotated("good_text", &header("Text")),
            json!({"name": "good_deep", "inputSchema": {"type": "object", "properties": {
                "outer": {"type": "object", "properties": {"inner": {"type": "integer", "x-mcp-header": "Inner"}}}}}}),
        ];
        let mut script = Script::new(Speaks::Modern);
        script.tools = [&invalid[..], &valid[..]].concat();
        let (upstream, gateway) = modern_upstream(script).await;

        let tools = gateway.client(Era::Modern).await.tools().await;
        let offered: Vec<&str> = tools.iter().filter_map(|tool| tool.strip_prefix("one__")).collect();
        for tool in &invalid {
            assert!(!offered.contains(&tool["name"].as_str().expect("a name")), "{tool}");
        }
        for tool in &valid {
            assert!(offered.contains(&tool["name"].as_str().expect("a name")), "{tool}");
        }
        let findings = gateway.server("one").await["findings"].to_string();
        for tool in &invalid {
            let name = tool["name"].as_str().expect("a name");
            if !findings.contains(name) {
                gateway.until_said(name).await;
            }
        }
        // An invalid tool cannot be called either.
        let (_, message) = answer(&gateway, &modern_call("1", "one__bad_crlf", json!({"p": "x"}))).await;
        assert_eq!(message["error"]["code"], -32602, "{message}");

        // Values that no header can carry as they are.
        for (value, encoded) in
            [("a\r\nX-Evil: 1", "=?base64?YQ0KWC1FdmlsOiAx?="), ("plain", "plain"), (" x", "=?base64?IHg=?=")]
        {
            let call =
                modern_call("1", "one__good_text", json!({"p": value})).with("Mcp-Param-Text", encoded);
            assert_eq!(answer(&gateway, &call).await.0, 200, "{value:?}");
            let last = upstream.seen().requests().pop().expect("a request");
            assert_eq!(last.headers["mcp-param-text"], encoded);
            assert!(!last.headers.contains_key("x-evil"));
        }
        // The gateway holds a client to the same rule, with the plan from the listing.
        let calls = upstream.seen().requests().len();
        for request in [
            modern_call("1", "one__good_text", json!({"p": "a"})),
            modern_call("1", "one__good_text", json!({"p": "a"})).with("Mcp-Param-Text", "b"),
            modern_call("1", "one__good_text", json!({"p": "a"}))
                .with("Mcp-Param-Text", "a")
                .with("Mcp-Param-Text", "a"),
            modern_call("1", "one__good_text", json!({})).with("Mcp-Param-Text", "a"),
            modern_call("1", "one__good_deep", json!({"outer": {"inner": 5}})).with("Mcp-Param-Inner", "6"),
        ] {
            let (status, message) = answer(&gateway, &request).await;
            assert_eq!((status, &message["error"]["code"]), (400, &json!(HEADER_MISMATCH)), "{message}");
        }
        assert_eq!(upstream.seen().requests().len(), calls);
    });
}

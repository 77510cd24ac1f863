//! HTTP+SSE, the transport of 2024-11-05: a stream that somebody opened is of use to nobody else, what is posted is
//! checked like any other message, and neither a lost stream nor a stop loses a call that runs.

use std::time::Duration;

use protocol::meta;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{initialize, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, within};
use crate::wire::{Event, Events, Request, Response, Wire};

/// The revision that has this transport.
const REVISION: &str = "2024-11-05";
/// The revision with batches; its clients may still use this transport.
const WITH_BATCHES: &str = "2025-03-26";

/// An open stream and where its messages are posted.
struct Stream {
    events: Events,
    endpoint: String,
    token: Option<String>,
    address: std::net::SocketAddr,
}

impl Stream {
    /// Opens the stream at `path`.
    async fn open(gateway: &Gateway, path: &str, token: Option<&str>) -> Self {
        let mut request = Request::plain("GET", path).with("Accept", "text/event-stream");
        if let Some(token) = token {
            request = request.bearer(token);
        }
        let mut events = Wire::connect(gateway.address).await.listen(&request).await;
        let Some(Event::Data(endpoint)) = events.next_block().await.expect("sound") else {
            panic!("the first event says where to post");
        };
        Self { events, endpoint, token: token.map(str::to_owned), address: gateway.address }
    }

    /// Opens the stream with all servers, and its session.
    async fn with_session(gateway: &Gateway, revision: &str) -> Self {
        let mut stream = Self::open(gateway, "/sse", None).await;
        let answer = stream.initialize(revision).await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        stream
    }

    async fn initialize(&mut self, revision: &str) -> Value {
        let mut params = initialize();
        params["protocolVersion"] = json!(revision);
        self.post(&request(0, "initialize", params)).await;
        self.answer().await
    }

    fn request(&self, body: &Value) -> Request {
        let request = Request::post(body.to_string()).at(&self.endpoint);
        match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        }
    }

    /// Waits for the next message that is no notification: the listing may have come meanwhile.
    async fn answer(&mut self) -> Value {
        loop {
            let message = self.events.next().await.expect("an answer");
            if message.get("method").is_none() {
                return message;
            }
        }
    }

    /// Posts a message that is taken.
    async fn post(&self, body: &Value) {
        let response = self.ask(&self.request(body)).await;
        assert_eq!((response.head.status, response.body.len()), (202, 0), "{response:?}");
    }

    async fn ask(&self, request: &Request) -> Response {
        Wire::connect(self.address).await.ask(request).await
    }
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn echo(id: u64, arguments: Value) -> Value {
    request(id, "tools/call", json!({"name": "one__echo", "arguments": arguments}))
}

#[test]
fn a_stream_carries_progress_and_answers_and_is_on_record() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let mut stream = Stream::with_session(&gateway, REVISION).await;
        stream.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        let arguments = json!({"count": 3, "pause_ms": 1});
        let params =
            json!({"name": "one__progress", "arguments": arguments, "_meta": {"progressToken": "p"}});
        stream.post(&request(1, "tools/call", params)).await;
        let mut progress = 0;
        let answer = loop {
            let message = stream.events.next().await.expect("an answer");
            if message.get("id").is_some() {
                break message;
            }
            if message["method"] == "notifications/progress" {
                assert_eq!(message["params"]["progressToken"], "p", "{message}");
                progress += 1;
            }
        };
        assert_eq!((progress, &answer["id"]), (3, &json!(1)), "{answer}");

        // A server alone has its own names and its own address.
        let mut alone = Stream::open(&gateway, "/mcp/one/sse", None).await;
        assert!(alone.endpoint.starts_with("/mcp/one/messages?sessionId="), "{}", alone.endpoint);
        alone.initialize(REVISION).await;
        alone.post(&request(1, "tools/call", json!({"name": "echo", "arguments": {"text": "x"}}))).await;
        assert_eq!(text(&alone.answer().await), "x");
        let trail = gateway.trail.clone();
        gateway.stop().await;
        let begun: Vec<Value> = trail.calls().into_values().filter_map(|call| call.begin).collect();
        assert_eq!(begun.len(), 2);
        assert!(
            begun.iter().all(|begin| begin["transport"] == "sse" && begin["session"].is_string()),
            "{begun:?}"
        );
    });
}

#[test]
fn the_status_names_the_transport_that_is_spoken_with_a_server() {
    within(USUAL, async {
        // A gateway is a server that speaks this transport at an address of its own.
        let older = Place::new(json!({"one": child(&[])})).serve().await;
        older.ready().await;
        let url = format!("http://{}/mcp/one/sse", older.address);
        let servers =
            json!({"told": {"url": url, "type": "sse"}, "found": {"url": url}, "child": child(&[])});
        let place = Place::new(servers);
        let gateway = place.serve().await;
        gateway.ready().await;
        for (server, transport) in [("told", "sse"), ("found", "sse"), ("child", "stdio")] {
            assert_eq!(gateway.server(server).await["transport"], transport, "{server}");
        }
        let mut client = gateway.client(protocol::Era::Modern).await;
        assert_eq!(text(&client.call("found__echo", json!({"text": "x"})).await), "x");
        let operations = gateway.operations.to_string();
        let shown = place.command(&["status", "--ops-listen", &operations]).output().await.expect("it runs");
        let shown = String::from_utf8(shown.stdout).expect("a table");
        let row = |server: &str| shown.lines().find(|line| line.starts_with(server)).map(str::to_owned);
        for server in ["told", "found"] {
            assert!(row(server).is_some_and(|row| row.contains(" sse ")), "{shown}");
        }
    });
}

#[test]
fn s28_a_stream_is_of_use_only_to_the_principal_that_opened_it() {
    within(USUAL, async {
        let place = Place::new(json!({"one": child(&[])}));
        let (ada, _) = place.token(&["--agent", "ada"]).await;
        let (bob, _) = place.token(&["--agent", "bob"]).await;
        let gateway = place.serve().await;
        let mut stream = Stream::open(&gateway, "/sse", Some(&ada)).await;
        stream.initialize(REVISION).await;
        let id = stream.endpoint.strip_prefix("/messages?sessionId=").expect("an address").to_owned();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "256 bits: {id}");

        let call = || stream.request(&echo(1, json!({"text": "x"})));
        let at = |query: &str| call().at(&format!("/messages{query}"));
        let strange = [
            (call().bearer(&bob), 404),
            (call().without("Authorization"), 401),
            (call().at(&format!("/mcp/one/messages?sessionId={id}")), 404),
            (at(&format!("?sessionId={}", "0".repeat(64))), 404),
            (at(&format!("?sessionId={}", id.to_uppercase())), 404),
            (at(&format!("?sessionId={}", &id[..63])), 404),
            (at(&format!("?sessionId={id}&sessionId={id}")), 404),
            (at("?sessionId="), 404),
            (at(&format!("?session_id={id}")), 400),
            (at(""), 400),
            (call().at("/mcp").with("Mcp-Session-Id", id.as_str()), 404),
            (call().with("Origin", "https://evil.example"), 403),
            (call().set("Host", "evil.example"), 403),
            (call().set("Content-Type", "text/plain"), 415),
            (Request::plain("GET", &stream.endpoint).bearer(&ada), 405),
            (call().at("/sse"), 405),
            (Request::plain("GET", "/sse").bearer(&ada).with("Accept", "application/json"), 406),
            (Request::plain("GET", "/mcp").bearer(&ada).with("Accept", "text/event-stream"), 405),
        ];
        for (number, (request, status)) in strange.into_iter().enumerate() {
            let response = stream.ask(&request).await;
            assert_eq!(response.head.status, status, "{number}: {response:?}");
        }
        let unfit = Request::plain("GET", "/sse").bearer(&ada).with("Accept", "application/json");
        let refused = stream.ask(&unfit).await;
        let said = String::from_utf8_lossy(&refused.body);
        assert!(said.contains("the client must accept text/event-stream"), "{said}");
        stream.post(&echo(2, json!({"text": "mine"}))).await;
        let answer = stream.answer().await;
        assert_eq!((&answer["id"], text(&answer)), (&json!(2), "mine"), "nothing came of the others");
    });
}

#[test]
fn what_is_posted_is_checked_like_any_message() {
    within(USUAL, async {
        let config = json!({"servers": {"one": child(&[])}, "limits": {"request_bytes": 20_000}});
        let gateway = Place::configured(config).serve().await;
        let mut stream = Stream::with_session(&gateway, REVISION).await;
        for (body, status, code) in [
            ("nonsense".to_owned(), 400, -32700),
            ("7".to_owned(), 400, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_owned(), 400, -32600),
            (" ".repeat(20_001), 413, -32600),
            ("[]".to_owned(), 400, -32600),
            (format!("[{}]", vec!["1"; 101].join(",")), 400, -32600),
        ] {
            let mut request = stream.request(&json!(null));
            request.body = body.into_bytes();
            let response = stream.ask(&request).await;
            let message = response.message();
            assert_eq!(
                (response.head.status, &message["error"]["code"]),
                (status, &json!(code)),
                "{message}"
            );
        }
        // The modern era has no such transport.
        let members = json!({meta::PROTOCOL_VERSION: "2026-07-28", meta::CLIENT_CAPABILITIES: {}});
        stream.post(&request(3, "server/discover", json!({"_meta": members}))).await;
        let answer = stream.answer().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(3), &json!(-32022)), "{answer}");
        assert!(!answer["error"]["data"]["supported"].to_string().contains("2026"), "{answer}");
        // No batches in a later revision.
        let mut later = Stream::with_session(&gateway, "2025-06-18").await;
        let refused = later.ask(&later.request(&json!([echo(1, json!({}))]))).await;
        assert_eq!((refused.head.status, &refused.message()["error"]["code"]), (400, &json!(-32600)));
        later.post(&echo(2, json!({"text": "x"}))).await;
        assert_eq!(text(&later.answer().await), "x");
    });
}

/// A batch with something of everything, and the ids of its answers in their order.
fn mixed() -> (Value, Value) {
    let batch = json!([
        echo(1, json!({"text": "slow", "delay_ms": 200})),
        {"jsonrpc": "2.0", "method": "notifications/no_such"},
        7,
        request(2, "initialize", initialize()),
        echo(3, json!({"text": "fast"})),
        [],
    ]);
    (batch, json!([1, null, 2, 3, null]))
}

#[track_caller]
fn check_mixed(answer: &Value) {
    let answers = answer.as_array().unwrap_or_else(|| panic!("one array: {answer}"));
    let ids: Value = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, mixed().1, "{answer}");
    assert_eq!((text(&answers[0]), text(&answers[3])), ("slow", "fast"));
    for refused in [1, 2, 4].map(|at| &answers[at]) {
        assert_eq!(refused["error"]["code"], -32600, "{refused}");
    }
}

#[test]
fn s12_a_batch_on_a_stream_is_answered_by_one_array() {
    within(USUAL, async {
        let place = Place::new(json!({"one": child(&[])}));
        let gateway = place.serve().await;
        gateway.ready().await;
        for revision in [REVISION, WITH_BATCHES] {
            let mut stream = Stream::with_session(&gateway, revision).await;
            stream.post(&mixed().0).await;
            check_mixed(&stream.answer().await);
            stream.post(&json!([{"jsonrpc": "2.0", "method": "notifications/no_such"}])).await;
            stream.post(&request(9, "ping", json!({}))).await;
            assert_eq!(stream.answer().await["id"], 9, "notes alone have no answer");
        }
        gateway.stop().await;

        let mut pipe = place.launch();
        let refused = r#"[{"jsonrpc":"2.0","id":1,"method":"initialize"}]"#;
        pipe.send(refused.as_bytes()).await;
        let answer = pipe.message().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(null), &json!(-32600)), "{answer}");
        let mut params = initialize();
        params["protocolVersion"] = json!(WITH_BATCHES);
        pipe.send(request(0, "initialize", params).to_string().as_bytes()).await;
        assert_eq!(pipe.message().await["result"]["protocolVersion"], WITH_BATCHES);
        pipe.send(mixed().0.to_string().as_bytes()).await;
        loop {
            let message = pipe.message().await;
            if message.is_array() {
                break check_mixed(&message);
            }
            assert!(message.get("id").is_none(), "the listing may have come meanwhile: {message}");
        }
    });
}

#[test]
fn r18_a_lost_stream_ends_its_session_and_no_call() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let stream = Stream::with_session(&gateway, REVISION).await;
        stream.post(&echo(1, json!({"text": "x", "delay_ms": 600}))).await;
        eventually(|| async { (!gateway.trail.calls().is_empty()).then_some(()) }).await;
        let again = stream.request(&request(2, "ping", json!({})));
        assert_eq!(gateway.status().await["sessions"], 1);
        drop(stream);
        eventually(|| async {
            let response = Wire::connect(gateway.address).await.ask(&again).await;
            (response.head.status == 404).then_some(())
        })
        .await;
        assert_eq!(gateway.status().await["sessions"], 0);
        let end = eventually(|| async { gateway.trail.ends().pop() }).await;
        assert_eq!(end["outcome"], "ok", "a lost connection is no cancellation: {end}");
    });
}

#[test]
fn r21_a_stream_ends_after_its_last_answer() {
    within(USUAL, async {
        let servers = json!({"one": child(&[])});
        let place = Place::configured(json!({"servers": servers, "shutdown_grace_ms": 30_000}));
        let mut gateway = place.serve().await;
        gateway.ready().await;
        let mut idle = Stream::with_session(&gateway, REVISION).await;
        let mut busy = Stream::with_session(&gateway, REVISION).await;
        busy.post(&echo(1, json!({"text": "x", "delay_ms": 1_000}))).await;
        eventually(|| async { (!gateway.trail.calls().is_empty()).then_some(()) }).await;
        let began = std::time::Instant::now();
        gateway.signal(Signal::TERM);
        while let Some(message) = idle.events.next().await {
            assert!(message.get("id").is_none(), "nothing more is to come: {message}");
        }
        assert_eq!(text(&busy.answer().await), "x");
        assert_eq!(busy.events.next().await, None);
        assert!(gateway.ended().await.success());
        assert!(began.elapsed() < Duration::from_secs(15), "no grace is spent on streams that wait");
    });
}

#[test]
fn a_stream_ends_with_its_callers_right_to_it() {
    within(USUAL, async {
        let config = json!({"servers": {"one": child(&[])}, "limits": {"sse_keep_alive_ms": 100}});
        let place = Place::configured(config);
        let (ada, id) = place.token(&["--agent", "ada"]).await;
        let (bob, _) = place.token(&["--agent", "bob"]).await;
        let gateway = place.serve().await;
        let mut revoked = Stream::open(&gateway, "/sse", Some(&ada)).await;
        let mut other = Stream::open(&gateway, "/sse", Some(&bob)).await;
        other.initialize(REVISION).await;
        assert_eq!(revoked.events.next_block().await.expect("sound"), Some(Event::Comment));
        let output = place.command(&["token", "revoke", &id]).output().await.expect("the program starts");
        assert!(output.status.success(), "{output:?}");
        while let Some(block) = revoked.events.next_block().await.expect("sound") {
            assert_eq!(block, Event::Comment);
        }
        other.post(&request(1, "ping", json!({}))).await;
        assert_eq!(other.answer().await["id"], 1);
    });
}

//! Batches: several messages in one array. Only revision 2025-03-26 has them; there each element counts for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{failure, initialize, modern, text};
use crate::gateway::{Gateway, Place, http};
use crate::limit::{LOOK_AGAIN, USUAL, within};
use crate::process;
use crate::wire::{Event, Events, Request, Response, Wire};

/// JSON-RPC's code for what is no message.
const INVALID_REQUEST: i64 = -32600;
/// And for what is not JSON.
const PARSE_ERROR: i64 = -32700;
/// The revision with batches.
const WITH_BATCHES: &str = "2025-03-26";
/// Calls in a batch.
const CALLS: usize = 20;
/// The one among them that the caller may not make.
const DENIED: usize = 7;
/// Large results that a client asks for at the same time, their bytes, and when they come: when all are asked for.
const LARGE_CALLS: usize = 40;
const LARGE: usize = 5_000_000;
const LARGE_AFTER_MS: u64 = 300;
/// The most that they may add to the gateway's memory while nothing is read, much less than all of them: what is
/// collected side by side, the one that goes on alone, one that waits and one that is being written; and what a debug
/// build's buffers take beside it. At the peak it is that and what the allocator has not given back; all of them would be more.
const UNREAD_KIB: u64 = 120 * 1024;
const PEAK_KIB: u64 = 144 * 1024;
/// The limit of a test in which they go through sockets that hold little, on a busy machine.
const MANY_LARGE: Duration = Duration::from_secs(170);
/// As long as this, memory must not have changed by more than `STEADY_KIB` to be taken as what it comes to.
const STEADY: Duration = Duration::from_secs(1);
const STEADY_KIB: u64 = 512;

/// Opens a session of a revision; returns its handle.
async fn session(gateway: &Gateway, revision: &str) -> String {
    let mut params = initialize();
    params["protocolVersion"] = json!(revision);
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let response = Wire::connect(gateway.address).await.ask(&Request::post(body.to_string())).await;
    assert_eq!(response.message()["result"]["protocolVersion"], revision, "{response:?}");
    response.head.header("mcp-session-id").expect("a session").to_owned()
}

fn posting(session: &str, revision: &str, body: &str) -> Request {
    Request::post(body).with("Mcp-Session-Id", session).with("MCP-Protocol-Version", revision)
}

/// Posts a body in a session.
async fn post(gateway: &Gateway, session: &str, revision: &str, body: &str) -> Response {
    Wire::connect(gateway.address).await.ask(&posting(session, revision, body)).await
}

fn call(id: &Value, tool: &str, arguments: &Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

/// Returns the elements of an answer, whether they came as an array or as events.
fn elements(response: &Response) -> Vec<Value> {
    let messages = response.messages().into_iter();
    messages.flat_map(|message| message.as_array().cloned().unwrap_or_else(|| vec![message])).collect()
}

/// Returns the elements of an answer by their ids.
fn by_id(response: &Response) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for element in elements(response) {
        let id = element["id"].to_string();
        assert!(answers.insert(id, element).is_none(), "a second answer: {response:?}");
    }
    answers
}

/// An upstream, and a gateway whose callers may use everything of it but `fail`.
async fn guarded() -> (FakeServer, Gateway) {
    let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
    let may = json!({"allow": {"servers": ["one"]}, "deny": {"tools": {"one": ["fail"]}}});
    let rules = json!({"agents": {"default": may}, "defaults": {"deny_on_missing_agent": false}});
    let config = json!({"servers": {"one": http(&upstream)}, "rules": rules});
    let gateway = Place::configured(config).serve().await;
    gateway.ready().await;
    (upstream, gateway)
}

#[test]
fn s12_a_batch_is_no_message_where_the_revision_has_none() {
    within(USUAL, async {
        let (upstream, gateway) = guarded().await;
        let echo = |id: i64| call(&json!(id), "one__echo", &json!({"text": "x"}));
        let bodies = [json!([echo(1)]), json!([echo(1), echo(2)]), json!([]), json!([1, null, []])];
        for body in &bodies {
            for revision in ["2025-06-18", "2025-11-25"] {
                let session = session(&gateway, revision).await;
                let response = post(&gateway, &session, revision, &body.to_string()).await;
                refused_whole(&response);
                let still = post(&gateway, &session, revision, &echo(3).to_string()).await;
                assert_eq!(text(&still.message()), "x", "the session lives");
            }
            let mut request = modern("1", "tools/call", json!({"name": "one__echo"}));
            request.body = body.to_string().into_bytes();
            refused_whole(&Wire::connect(gateway.address).await.ask(&request).await);
        }
        assert_eq!(upstream.seen().calls("echo"), 2 * bodies.len(), "no element was dispatched");
    });
}

/// One error answers all of it, and names no id.
fn refused_whole(response: &Response) {
    let message = response.message();
    assert_eq!(
        (response.head.status, &message["error"]["code"]),
        (400, &json!(INVALID_REQUEST)),
        "{message}"
    );
    assert!(message.get("id").is_none_or(Value::is_null), "{message}");
}

/// A batch of calls and a note; one of the calls is denied. Numbers and the texts that look like them are different ids.
fn mixed() -> Value {
    let mut elements: Vec<Value> = (0..CALLS)
        .map(|number| {
            let tool = if number == DENIED { "one__fail" } else { "one__echo" };
            let id = serde_json::from_str(&id_of(number)).expect("an id");
            call(&id, tool, &json!({"text": number.to_string()}))
        })
        .collect();
    elements.insert(3, json!({"jsonrpc": "2.0", "method": "notifications/no_such"}));
    elements.into()
}

fn id_of(number: usize) -> String {
    if number.is_multiple_of(2) { (number / 2).to_string() } else { format!("\"{}\"", number / 2) }
}

#[test]
fn s12_each_element_of_a_batch_is_judged_recorded_and_answered_by_itself() {
    within(USUAL, async {
        let (upstream, gateway) = guarded().await;
        let session = session(&gateway, WITH_BATCHES).await;
        for accepts in ["application/json", "text/event-stream", "application/json, text/event-stream"] {
            let request = posting(&session, WITH_BATCHES, &mixed().to_string()).set("Accept", accepts);
            let response = Wire::connect(gateway.address).await.ask(&request).await;
            let answers = by_id(&response);
            assert_eq!(
                (response.head.status, answers.len()),
                (200, CALLS),
                "one for each request: {response:?}"
            );
            for number in 0..CALLS {
                let answer = &answers[&id_of(number)];
                if number == DENIED {
                    assert!(answer.get("error").is_some() || !failure(answer).is_empty(), "{answer}");
                } else {
                    assert_eq!(text(answer), number.to_string());
                }
            }
        }
        assert_eq!((upstream.seen().calls("echo"), upstream.seen().calls("fail")), (3 * (CALLS - 1), 0));
        let trail = gateway.trail.clone();
        gateway.stop().await;
        let ends = trail.ends();
        let allowed = ends.iter().filter(|end| end["outcome"] == "ok").count();
        assert_eq!((ends.len(), allowed), (3 * CALLS, 3 * (CALLS - 1)), "each on record: {ends:?}");
    });
}

#[test]
fn s12_an_unsound_element_spoils_no_other() {
    within(USUAL, async {
        let (upstream, gateway) = guarded().await;
        let session = session(&gateway, WITH_BATCHES).await;
        let ask = async |body: &str| post(&gateway, &session, WITH_BATCHES, body).await;
        // `initialize` must not be part of a batch, and a batch is no element of one.
        let opening = json!([{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize()}]);
        let response = ask(&opening.to_string()).await;
        assert!(response.head.header("mcp-session-id").is_none(), "{response:?}");
        assert!(elements(&response).iter().all(|element| element.get("error").is_some()), "{response:?}");
        let sound = call(&json!(1), "one__echo", &json!({"text": "x"}));
        let doubled = r#"{"jsonrpc":"2.0","id":2,"id":3,"method":"ping"}"#;
        let elements = elements(&ask(&format!("[7,{sound},[],{doubled}]")).await);
        let errors = elements.iter().filter(|element| element["error"]["code"] == INVALID_REQUEST).count();
        assert_eq!((elements.len(), errors), (4, 3), "{elements:?}");
        assert_eq!(upstream.seen().calls("echo"), 1);
        // Notes alone have no answer.
        let notes = json!([{"jsonrpc": "2.0", "method": "notifications/no_such"}]);
        let response = ask(&notes.to_string()).await;
        assert_eq!((response.head.status, response.body.len()), (202, 0), "{response:?}");
    });
}

#[test]
fn s12_what_is_no_whole_batch_is_one_error_and_runs_in_no_part() {
    within(USUAL, async {
        let (upstream, gateway) = guarded().await;
        let session = session(&gateway, WITH_BATCHES).await;
        let sound = call(&json!(1), "one__echo", &json!({"text": "x"})).to_string();
        let too_many = format!("[{}]", vec![sound.as_str(); 1_000].join(","));
        for (body, code) in [
            ("[]".to_owned(), INVALID_REQUEST),
            (" [ ] ".to_owned(), INVALID_REQUEST),
            (too_many, INVALID_REQUEST),
            ("[".to_owned(), PARSE_ERROR),
            (format!("[{sound}"), PARSE_ERROR),
            (format!("[{sound},]"), PARSE_ERROR),
            (format!("[{sound}]]"), PARSE_ERROR),
            (format!("[{sound},{{\"a\"}}]"), PARSE_ERROR),
        ] {
            let response = post(&gateway, &session, WITH_BATCHES, &body).await;
            let message = response.message();
            assert_eq!((response.head.status, &message["error"]["code"]), (400, &json!(code)), "{message}");
        }
        assert_eq!(upstream.seen().calls("echo"), 0);
    });
}

/// Asks for many large results at the same time.
fn large_calls() -> Vec<Value> {
    let arguments = json!({"size": LARGE, "delay_ms": LARGE_AFTER_MS});
    (0..LARGE_CALLS).map(|id| call(&json!(id), "one__bytes", &arguments)).collect()
}

/// Waits until a process's memory has come to what it stays at.
async fn steady(pid: u32) {
    let (mut last, mut since) = (0, tokio::time::Instant::now());
    while since.elapsed() < STEADY {
        let now = process::memory_kib(pid, "VmRSS");
        if now.abs_diff(last) > STEADY_KIB {
            (last, since) = (now, tokio::time::Instant::now());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Lets a client be that reads nothing while `asked` for large results, then has it read them all: each is there, and at
/// no time did the gateway hold them all.
async fn large_results_come_by_and_by(
    upstream: &FakeServer,
    gateway: &Gateway,
    asked: impl AsyncFnOnce() -> Events,
) {
    // What a first call brings in is not what is measured.
    let small = modern("1", "tools/call", json!({"name": "one__bytes", "arguments": {"size": 1_000}}));
    let small = Wire::connect(gateway.address).await.ask(&small).await.message();
    assert_eq!(failure(&small), "", "{small}");
    let called = upstream.seen().calls("bytes");
    process::reset_peak(gateway.pid());
    let before = process::memory_kib(gateway.pid(), "VmRSS");
    let mut events = asked().await;
    upstream.seen().until(|seen| seen.calls("bytes") > called).await;
    steady(gateway.pid()).await;
    let unread = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
    let mut missing: BTreeSet<u64> = (0..LARGE_CALLS as u64).collect();
    while !missing.is_empty() {
        let message = events.next().await.expect("the stream goes on");
        // The listing may have come meanwhile.
        if message.get("method").is_none() {
            assert!(missing.remove(&message["id"].as_u64().expect("an id")), "a second answer");
            assert!(text(&message).len() >= LARGE * 9 / 10, "{}", failure(&message));
        }
    }
    let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
    println!("{unread} KiB more while nothing was read, {grown} KiB at the peak");
    assert!(unread < UNREAD_KIB && grown < PEAK_KIB, "{unread} KiB, {grown} KiB");
}

#[test]
fn a_client_that_reads_nothing_makes_no_batch_of_large_results_wait_here() {
    within(MANY_LARGE, async {
        let (upstream, gateway) = guarded().await;
        let session = session(&gateway, WITH_BATCHES).await;
        let request = posting(&session, WITH_BATCHES, &Value::from(large_calls()).to_string());
        large_results_come_by_and_by(&upstream, &gateway, async || {
            Wire::connect_narrow(gateway.address).await.listen(&request).await
        })
        .await;
    });
}

#[test]
fn a_client_that_reads_nothing_makes_no_large_results_wait_for_its_stream() {
    within(MANY_LARGE, async {
        let (upstream, gateway) = guarded().await;
        let opening = Request::plain("GET", "/sse").with("Accept", "text/event-stream");
        let mut events = Wire::connect_narrow(gateway.address).await.listen(&opening).await;
        let Some(Event::Data(endpoint)) = events.next_block().await.expect("sound") else {
            panic!("the first event says where to post");
        };
        let mut wire = Wire::connect(gateway.address).await;
        let mut post = async move |body: &Value| {
            let response = wire.ask(&Request::post(body.to_string()).at(&endpoint)).await;
            assert_eq!(response.head.status, 202, "{response:?}");
        };
        let mut params = initialize();
        params["protocolVersion"] = json!("2024-11-05");
        post(&json!({"jsonrpc": "2.0", "id": "open", "method": "initialize", "params": params})).await;
        assert_eq!(events.next().await.expect("an answer")["id"], "open");
        large_results_come_by_and_by(&upstream, &gateway, async || {
            // At the side: what is posted while an answer waits for room is taken when the client has read.
            tokio::spawn(async move {
                for call in large_calls() {
                    post(&call).await;
                }
            });
            events
        })
        .await;
    });
}

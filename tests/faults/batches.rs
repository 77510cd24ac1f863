//! Batches: several messages in one array. Only revision 2025-03-26 has them; there each element counts for itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{failure, initialize, modern, text};
use crate::gateway::{Gateway, Place, http};
use crate::limit::{USUAL, within};
use crate::wire::{Request, Response, Wire};

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

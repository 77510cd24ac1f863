//! What only older revisions have: HTTP+SSE of 2024-11-05 and batches of 2025-03-26. The SDKs of the first generation
//! still speak the one, and their transports still take the other.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::driver::{Driver, Era, Target};
use crate::environment;
use crate::fixture;
use crate::foreign::{self, Fastmcp, Listening};
use crate::gateway::Place;
use crate::plan::Plan;
use crate::process::run;

/// The longest that one client may take for its batches.
const LIMIT: Duration = Duration::from_secs(60);
/// The revision with batches.
const WITH_BATCHES: &str = "2025-03-26";

/// Lets the client do over HTTP+SSE what it does elsewhere.
#[track_caller]
fn over_event_stream(driver: Driver) {
    let place = Place::with_servers(&json!({ "fixture": foreign::fixture(Fastmcp::V3) }));
    let gateway = place.serve();
    for (target, prefix) in [(gateway.stream(), "fixture__"), (gateway.stream_of("fixture"), "")] {
        let folder = tempfile::TempDir::new().expect("a temp folder can be made");
        let plan = fixture::plan(prefix).and(fixture::following(folder.path(), prefix));
        let seen = driver.run(Era::Legacy, &target, folder.path(), &plan);
        fixture::check(&seen, prefix);
        fixture::check_following(&seen);
    }
}

#[test]
fn python_sdk_1_over_an_event_stream() {
    over_event_stream(Driver::PythonSdk1);
}

#[test]
fn typescript_sdk_1_over_an_event_stream() {
    over_event_stream(Driver::TypescriptSdk1);
}

/// Sends batches with the TypeScript SDK; returns for each what came until all of it was answered.
#[track_caller]
fn send_batches(target: &Target, batches: &Value) -> Vec<Value> {
    let Target::Url(url) = target else { panic!("batches are sent over HTTP") };
    let mut command = Command::new(environment::node());
    command.arg(environment::own_file("clients/sdk1_batch.mjs"));
    command.args(["--url", url, "--version", WITH_BATCHES, "--batches", &batches.to_string()]);
    command.env("TOOLGATE_TEST_ENV", environment::home());
    let ended = run(&mut command, LIMIT);
    let seen = serde_json::from_str(&ended.stdout).ok().filter(|_| ended.status.success());
    seen.unwrap_or_else(|| panic!("the batches failed: {ended}"))
}

fn call(id: &Value, tool: &str, arguments: &Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

/// Returns where the answer with this id stands among the messages.
#[track_caller]
fn place_of(seen: &Value, id: &Value) -> usize {
    let messages = seen["messages"].as_array().expect("messages");
    let place = messages.iter().position(|message| message["id"] == *id && message.get("method").is_none());
    place.unwrap_or_else(|| panic!("no answer to {id}: {seen:#}"))
}

#[test]
fn typescript_sdk_1_sends_batches() {
    let place = Place::unconfigured();
    let gateway = place.serve();
    let batches = json!([
        [
            call(&json!(1), "demo__countdown", &json!({ "from": 3, "interval_ms": 100 })),
            { "jsonrpc": "2.0", "method": "notifications/roots/list_changed" },
            call(&json!("1"), "demo__echo", &json!({ "text": "grüße" })),
            call(&json!(2), "demo__no_such_tool", &json!({})),
        ],
        [{ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" }],
        [{ "jsonrpc": "2.0", "id": 3, "method": "ping" }],
        [{ "jsonrpc": "2.0", "id": 4, "method": "initialize", "params": {} }, call(&json!(5), "demo__add", &json!({ "a": 2, "b": 3 }))],
    ]);
    let seen = send_batches(&gateway.all(), &batches);
    let (slow, fast, unknown) =
        (place_of(&seen[0], &json!(1)), place_of(&seen[0], &json!("1")), place_of(&seen[0], &json!(2)));
    let message = |batch: usize, place: usize| &seen[batch]["messages"][place];
    assert_eq!(message(0, fast)["result"]["content"][0]["text"], "grüße");
    assert!(fast < slow, "each answer comes when it is there: {:#}", seen[0]);
    assert_eq!(message(0, unknown)["error"]["code"], -32602);
    let messages = seen[0]["messages"].as_array().expect("messages");
    let progress = messages[..slow].iter().filter(|message| message["params"]["progressToken"] == 1).count();
    assert!(progress > 0, "no progress came before the result: {:#}", seen[0]);
    assert_eq!(seen[1]["messages"], json!([]));
    assert_eq!(message(2, place_of(&seen[2], &json!(3)))["result"], json!({}));
    assert_eq!(message(3, place_of(&seen[3], &json!(4)))["error"]["code"], -32600);
    assert_eq!(message(3, place_of(&seen[3], &json!(5)))["result"]["content"][0]["text"], "5");
}

/// What the tools of `asking.py` return when their client answered them.
const ASKED: [(&str, &str); 3] = [("sample", "sampled"), ("elicit", "elicited"), ("roots", "rooted")];

#[track_caller]
fn asked_over_event_stream(driver: Driver) {
    let server = Listening::asking();
    let place = Place::with_servers(&json!({ "asking": server.entry() }));
    let gateway = place.serve();
    let plan = ASKED.iter().fold(Plan::new(), |plan, (tool, _)| plan.call(tool, tool, json!({})));
    let seen = driver.run(Era::Legacy, &gateway.stream_of("asking"), place.folder(), &plan);
    for (tool, answer) in ASKED {
        assert_eq!(seen.step(tool).succeeded().text(), answer);
    }
}

#[test]
fn python_sdk_1_is_asked_over_an_event_stream() {
    asked_over_event_stream(Driver::PythonSdk1);
}

#[test]
fn typescript_sdk_1_is_asked_over_an_event_stream() {
    asked_over_event_stream(Driver::TypescriptSdk1);
}

#[test]
fn typescript_sdk_1_is_asked_within_a_batch() {
    let server = Listening::asking();
    let place = Place::with_servers(&json!({ "asking": server.entry() }));
    let gateway = place.serve();
    let calls: Vec<Value> =
        ASKED.iter().map(|(tool, _)| json!([call(&json!(tool), tool, &json!({}))])).collect();
    let seen = send_batches(&gateway.only("asking"), &calls.into());
    for (batch, (tool, answer)) in ASKED.iter().enumerate() {
        let place = place_of(&seen[batch], &json!(tool));
        assert_eq!(
            seen[batch]["messages"][place]["result"]["content"][0]["text"], *answer,
            "{:#}",
            seen[batch]
        );
        assert_eq!(seen[batch]["asked"].as_array().map(Vec::len), Some(1), "{:#}", seen[batch]);
    }
}

/// Lets a client use a server over HTTP+SSE as it uses others.
#[track_caller]
fn behind_event_stream(entry: &Value, era: Era) {
    let place = Place::with_servers(&json!({ "fixture": entry }));
    let gateway = place.serve();
    let folder = tempfile::TempDir::new().expect("a temp folder can be made");
    let plan = fixture::plan("fixture__").and(fixture::following(folder.path(), "fixture__"));
    let seen = Driver::TypescriptSdk2.run(era, &gateway.all(), folder.path(), &plan);
    fixture::check(&seen, "fixture__");
    fixture::check_following(&seen);
}

#[test]
fn a_server_that_says_it_speaks_over_an_event_stream() {
    let server = Listening::older_fixture();
    behind_event_stream(&server.older_entry(), Era::Legacy);
}

#[test]
fn a_server_that_turns_out_to_speak_over_an_event_stream() {
    let server = Listening::older_fixture();
    behind_event_stream(&server.entry(), Era::Auto);
}

/// Lets the tools of a server with one connection for all ask their client.
#[track_caller]
fn asked_by(entry: &Value, driver: Driver) {
    let place = Place::with_servers(&json!({ "asking": entry }));
    let gateway = place.serve();
    let plan = ASKED.iter().fold(Plan::new(), |plan, (tool, _)| plan.call(tool, tool, json!({})));
    let seen = driver.run(Era::Legacy, &gateway.only("asking"), place.folder(), &plan);
    for (tool, answer) in ASKED {
        assert_eq!(seen.step(tool).succeeded().text(), answer);
    }
}

#[test]
fn a_server_asks_over_an_event_stream() {
    let server = Listening::older_asking();
    for driver in [Driver::PythonSdk1, Driver::TypescriptSdk1] {
        asked_by(&server.older_entry(), driver);
    }
}

#[test]
fn a_child_asks() {
    for driver in [Driver::PythonSdk1, Driver::TypescriptSdk1] {
        asked_by(&foreign::asking(), driver);
    }
}

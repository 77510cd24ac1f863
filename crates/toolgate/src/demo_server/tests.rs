//! What the demo server promises, tool by tool.

use std::{future::Future, pin::pin, task};

use protocol::{ListKind, param_headers};
use serde_json::{Value, json};
use upstream::{BuiltinRequest, BuiltinServer};

use super::DemoServer;

/// Calls a method and returns its result, or the code of its error. Nothing that is called here waits for time.
fn ask(server: &DemoServer, method: &str, params: &Value) -> Result<Value, i64> {
    let mut call = pin!(server.call(BuiltinRequest::detached(method, params.to_string())));
    let mut context = task::Context::from_waker(task::Waker::noop());
    match call.as_mut().poll(&mut context) {
        task::Poll::Ready(answer) => {
            answer.map(|result| serde_json::from_slice(&result).unwrap()).map_err(|error| error.code)
        }
        task::Poll::Pending => panic!("{method} waits"),
    }
}

fn tool(server: &DemoServer, name: &str, arguments: Value) -> Value {
    ask(server, "tools/call", &json!({"name": name, "arguments": arguments})).unwrap()
}

fn words(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[test]
fn every_listed_item_is_whole() {
    let listing = DemoServer::default().listing();
    let counts = ListKind::ALL.map(|kind| listing.items(kind).len());
    assert_eq!(counts, [7, 1, 1, 1]);
    for item in &listing.tools {
        let item: Value = serde_json::from_slice(item).unwrap();
        assert!(
            item["description"].is_string() && item["annotations"]["readOnlyHint"].is_boolean(),
            "{item}"
        );
        let properties = item["inputSchema"]["properties"].as_object().unwrap();
        let required = item["inputSchema"]["required"].as_array().unwrap();
        assert!(required.iter().all(|name| properties.contains_key(name.as_str().unwrap())));
        assert_eq!(param_headers::plan(&item["inputSchema"].to_string()), Ok(vec![]));
    }
}

#[test]
fn echo_and_add_answer_in_words_and_structure() {
    let server = DemoServer::default();
    assert_eq!(words(&tool(&server, "echo", json!({"text": "hä\n"}))), "hä\n");
    let check = |a: Value, b: Value, sum: Value| {
        let result = tool(&server, "add", json!({"a": a, "b": b}));
        assert_eq!((&result["structuredContent"]["sum"], words(&result)), (&sum, &*sum.to_string()));
    };
    check(json!(2), json!(3), json!(5));
    check(json!(9_007_199_254_740_993_i64), json!(1), json!(9_007_199_254_740_994_i64));
    check(json!(0.5), json!(1), json!(1.5));
    assert_eq!(tool(&server, "add", json!({"a": 1e308, "b": 1e308}))["isError"], true);
}

#[test]
fn notes_are_kept_and_read_back_as_tool_and_resource() {
    let server = DemoServer::default();
    assert_eq!(tool(&server, "note_read", json!({"name": "a"}))["isError"], true);
    assert!(tool(&server, "note_write", json!({"name": "a", "text": "b"})).get("isError").is_none());
    assert_eq!(words(&tool(&server, "note_read", json!({"name": "a"}))), "b");
    let read = |uri: &str| ask(&server, "resources/read", &json!({"uri": uri}));
    assert_eq!(read("note://a").unwrap()["contents"][0]["text"], "b");
    assert!(read("note://welcome").is_ok());
    assert_eq!(read("note://other"), Err(-32002));
    assert_eq!(read("file:///etc/passwd"), Err(-32002));
    let long = "x".repeat(100_000);
    assert_eq!(tool(&server, "note_write", json!({"name": "a", "text": long}))["isError"], true);
}

#[test]
fn failures_are_answers_and_unknown_names_are_errors() {
    let server = DemoServer::default();
    assert_eq!(tool(&server, "fail", json!({}))["isError"], true);
    for (name, arguments) in [
        ("echo", json!({})),
        ("add", json!({"a": "1", "b": 2})),
        ("slow", json!({"ms": 1e9})),
        ("countdown", json!({"from": -1})),
    ] {
        assert_eq!(tool(&server, name, arguments)["isError"], true, "{name}");
    }
    assert_eq!(words(&tool(&server, "countdown", json!({"from": 0}))), "Lift-off.");
    assert_eq!(ask(&server, "tools/call", &json!({"name": "nosuch"})), Err(-32602));
    assert_eq!(ask(&server, "tools/list", &json!({})), Err(-32601));
}

#[test]
fn the_prompt_greets_by_name() {
    let server = DemoServer::default();
    let greeting =
        ask(&server, "prompts/get", &json!({"name": "greet", "arguments": {"name": "Ada"}})).unwrap();
    assert!(greeting["messages"][0]["content"]["text"].as_str().unwrap().contains("Ada"));
    assert_eq!(ask(&server, "prompts/get", &json!({"name": "greet"})), Err(-32602));
    assert_eq!(ask(&server, "prompts/get", &json!({"name": "other"})), Err(-32602));
}

#[test]
fn what_does_not_fit_is_said_in_plain_words() {
    let server = DemoServer::default();
    let check = |name: &str, arguments: Value, expected: &str| {
        let result = tool(&server, name, arguments);
        assert_eq!((words(&result), &result["isError"]), (expected, &json!(true)));
    };
    check(
        "slow",
        json!({"ms": "long"}),
        "The arguments do not fit: invalid type: string \"long\", expected a whole number, 0 or more.",
    );
    check("echo", json!({}), "The arguments do not fit: missing field `text`.");
}

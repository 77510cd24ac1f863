//! What a server and the clients tell each other outside calls.

use protocol::Version;
use serde_json::{Value, json};

use super::stage::{CAN_ALL, Stage, somebody};
use crate::{Event, News};

fn log(text: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}})
}

fn levels(said: &[Value]) -> Vec<&Value> {
    assert!(said.iter().all(|message| message["method"] == "logging/setLevel"), "{said:?}");
    said.iter().map(|message| &message["params"]["level"]).collect()
}

#[test]
fn the_most_talkative_level_is_told_once() {
    let (stage, one, other) = (Stage::new(), somebody("{}"), somebody("{}"));
    one.client.set_level("warning");
    stage.pipe.tell_news(&one.session, News::LogLevel);
    assert_eq!(levels(&stage.said()), ["warning"]);
    other.client.set_level("debug");
    stage.answers(&stage.call(&other));
    assert_eq!(levels(&stage.said()), ["debug"]);
    one.client.set_level("error");
    stage.pipe.tell_news(&one.session, News::LogLevel);
    assert!(stage.said().is_empty());
    drop(other);
    stage.pipe.tell_news(&one.session, News::LogLevel);
    let said = stage.said();
    assert_eq!(levels(&said), ["error"]);
    stage.hears(&json!({"jsonrpc": "2.0", "id": said[0]["id"], "result": {}}));
    assert_eq!(stage.counters.values().stray_answers, 0);
}

#[test]
fn changed_roots_are_told_when_it_is_clear_whose() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    stage.pipe.tell_news(&one.session, News::Roots);
    assert_eq!(stage.said()[0]["method"], "notifications/roots/list_changed");
    stage.pipe.tell_news(&other.session, News::Roots);
    assert!(stage.said().is_empty());
}

#[test]
fn modern_servers_are_told_with_each_request() {
    let (stage, one) = (Stage::new(), somebody(CAN_ALL));
    stage.pipe.speak(Version::V2026_07_28);
    one.client.set_level("debug");
    stage.pipe.tell_news(&one.session, News::LogLevel);
    stage.pipe.tell_news(&one.session, News::Roots);
    assert!(stage.said().is_empty());
}

#[test]
fn messages_outside_calls_are_for_the_one_client_there_is() {
    let (stage, mut one) = (Stage::new(), somebody("{}"));
    let mut call = stage.call(&one);
    stage.hears(&log("within"));
    assert!(matches!(call.event(), Some(Event::Notification { .. })));
    stage.answers(&call);
    stage.hears(&log("outside"));
    for method in ["notifications/elicitation/complete", "notifications/tasks/status"] {
        stage.hears(&json!({"jsonrpc": "2.0", "method": method, "params": {}}));
    }
    let heard: Vec<_> = std::iter::from_fn(|| one.ears.notification_now()).collect();
    assert_eq!(
        heard,
        ["notifications/message", "notifications/elicitation/complete", "notifications/tasks/status"]
    );
    let (_first, _second) = (stage.call(&one), stage.call(&one));
    stage.hears(&log("of one of its calls"));
    assert!(one.ears.notification_now().is_some());
    let _stranger = stage.silent_call();
    stage.hears(&log("of anybody"));
    assert_eq!(one.ears.notification_now(), None);
}

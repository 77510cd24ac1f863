//! What a server and the clients tell each other outside calls.

use bytes::Bytes;
use protocol::Version;
use serde_json::{Value, json};

use super::stage::{CAN_ALL, SAMPLE, Stage, somebody};
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
    assert!(stage.said().is_empty(), "it has not called");
    stage.answers(&stage.call(&one));
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
fn a_server_that_declares_no_logging_is_told_no_level() {
    let check = |capabilities: Value, expected: usize| {
        let (stage, one) = (Stage::new(), somebody("{}"));
        stage.introduces_itself(&json!({"capabilities": capabilities}));
        one.client.set_level("debug");
        stage.answers(&stage.call(&one));
        assert_eq!(stage.said().len(), expected, "{capabilities}");
    };
    check(json!({"tools": {}}), 0);
    check(json!({"logging": null}), 0);
    check(json!({"logging": {}}), 1);
}

#[test]
fn what_waits_keeps_no_more_than_its_own_text() {
    let (stage, one) = (Stage::new(), somebody("{}"));
    let mut call = stage.call(&one);
    let line = Bytes::from(log("a short one").to_string());
    stage.pipe.take(&line).expect("a message");
    let Some(Event::Notification { params: Some(params), .. }) = call.event() else { panic!("a message") };
    assert!(line.is_unique() && !params.is_empty());
}

#[test]
fn changed_roots_are_told_when_it_is_clear_whose() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    stage.answers(&stage.call(&one));
    stage.pipe.tell_news(&one.session, News::Roots);
    assert_eq!(stage.said()[0]["method"], "notifications/roots/list_changed");
    stage.answers(&stage.call(&other));
    stage.pipe.tell_news(&other.session, News::Roots);
    assert!(stage.said().is_empty());
    assert_eq!(stage.counters.values().dropped_notifications, 1);
}

#[test]
fn a_stranger_with_news_stays_a_stranger() {
    let (stage, mut stranger) = (Stage::new(), somebody(CAN_ALL));
    stranger.client.set_level("debug");
    for news in [News::Roots, News::LogLevel] {
        stage.pipe.tell_news(&stranger.session, news);
    }
    assert!(stage.said().is_empty());
    stage.is_asked(1, SAMPLE);
    assert!(stage.answered(1).is_some_and(|code| code != 0), "nobody uses the connection");
    stage.hears(&log("of whoever called before"));
    assert!(stranger.ears.is_idle());
    assert_eq!(stage.counters.values().dropped_notifications, 1);

    // Nor does it keep the client from what is its own.
    let mut client = somebody(CAN_ALL);
    stage.answers(&stage.call(&client));
    stage.pipe.tell_news(&stranger.session, News::Roots);
    stage.hears(&log("outside"));
    assert!(client.ears.notification_now().is_some() && stranger.ears.is_idle());
}

#[test]
fn nobody_hears_what_may_be_of_somebody_else() {
    let (stage, mut one, other) = (Stage::new(), somebody("{}"), somebody("{}"));
    stage.answers(&stage.call(&one));
    stage.answers(&stage.call_as("b", &other));
    stage.hears(&log("of either"));
    drop(other);
    stage.hears(&log("of what the other principal left"));
    assert!(one.ears.is_idle());

    let (stage, mut one) = (Stage::new(), somebody("{}"));
    stage.answers(&stage.silent_call());
    stage.answers(&stage.call(&one));
    stage.hears(&log("of somebody without a session"));
    assert!(one.ears.is_idle());
    assert_eq!(stage.counters.values().dropped_notifications, 1);
}

#[test]
fn what_an_abandoned_call_says_is_not_of_the_next_one() {
    let (stage, mut one, other) = (Stage::new(), somebody("{}"), somebody("{}"));
    let late = stage.abandon(stage.call(&other));
    let mut call = stage.call(&one);
    stage.hears(&log("of either"));
    assert!(call.event().is_none() && one.ears.is_idle());
    stage.answers_late(late);
    stage.hears(&log("of the one that is left"));
    assert!(matches!(call.event(), Some(Event::Notification { .. })));
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

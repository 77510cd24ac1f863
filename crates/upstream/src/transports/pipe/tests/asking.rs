//! Whom a server means with what it asks.

use protocol::code;
use serde_json::json;

use super::stage::{CAN_ALL, SAMPLE, Stage, somebody, yes};
use crate::{CallError, Event};

const REFUSED: i64 = code::METHOD_NOT_FOUND;

#[test]
fn the_one_call_whose_client_can_be_asked() {
    let (stage, caller) = (Stage::new(), somebody(CAN_ALL));
    let mut call = stage.call(&caller);
    stage.is_asked(7, SAMPLE);
    let question = call.question();
    assert_eq!(question.method(), SAMPLE);
    yes(question);
    assert_eq!(stage.said(), [json!({"jsonrpc": "2.0", "id": 7, "result": {"yes": 1}})]);
    stage.answers(&call);
    assert!(matches!(call.event(), Some(Event::Result(_))));
}

#[test]
fn nobody_is_asked_while_a_call_of_somebody_else_may_be_meant() {
    let (stage, caller, mute) = (Stage::new(), somebody(CAN_ALL), somebody("{}"));
    let mut call = stage.call(&caller);
    let silent = stage.silent_call();
    stage.is_asked(1, SAMPLE);
    assert_eq!(stage.answered(1), Some(REFUSED), "it may be for somebody without a session");
    stage.answers(&silent);
    let other = stage.call(&mute);
    stage.is_asked(2, SAMPLE);
    assert_eq!(stage.answered(2), Some(REFUSED), "it may be for a client that cannot be asked");
    assert!(call.event().is_none());
    stage.answers(&other);
    stage.is_asked(3, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(3), Some(0));
    assert!(!stage.pipe.turns.are_one_at_a_time(), "that would not help");
}

#[test]
fn only_what_the_client_declared() {
    let (stage, caller) = (Stage::new(), somebody(r#"{"roots":{}}"#));
    let mut call = stage.call(&caller);
    stage.is_asked(1, SAMPLE);
    assert_eq!(stage.answered(1), Some(REFUSED));
    stage.is_asked(2, "ping");
    assert_eq!(stage.answered(2), Some(0));
    stage.is_asked(3, "roots/list");
    call.question().refuse();
    assert_eq!(stage.answered(3), Some(REFUSED));
}

#[test]
fn nobody_is_asked_during_calls_without_sessions() {
    let (stage, mut caller) = (Stage::new(), somebody(CAN_ALL));
    drop(stage.call(&caller));
    stage.said();
    let _silent = stage.silent_call();
    stage.is_asked(1, "roots/list");
    assert_eq!(stage.answered(1), Some(REFUSED));
    assert!(caller.ears.is_idle());
}

#[tokio::test]
async fn after_an_ambiguous_question_one_call_at_a_time() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let mut calls = [stage.call(&one), stage.call(&other)];
    stage.is_asked(1, SAMPLE);
    assert_eq!(stage.answered(1), Some(REFUSED));
    assert!(calls.iter_mut().all(|call| call.event().is_none()));
    assert!(stage.try_call(&one).is_none(), "two are in flight");
    let [first, second] = calls;
    stage.answers(&first);
    assert!(stage.try_call(&one).is_none(), "one is in flight");
    stage.answers(&second);
    let mut alone = stage.call(&one);
    assert!(stage.try_call(&other).is_none());
    stage.said();
    stage.is_asked(2, SAMPLE);
    yes(alone.question());
    assert_eq!(stage.answered(2), Some(0));
    let mute = somebody("{}");
    let (_silent, _mute) = (stage.silent_call(), stage.call(&mute));
    stage.answers(&alone);
    stage.call(&other);
}

#[tokio::test]
async fn who_waits_for_a_turn_is_told_that_the_connection_has_ended() {
    let (stage, caller) = (Stage::new(), somebody(CAN_ALL));
    let _calls = [stage.call(&caller), stage.call(&caller)];
    stage.is_asked(1, SAMPLE);
    stage.pipe.end("it is gone");
    let refused = stage.try_call(&caller).expect("no waiting");
    assert!(matches!(refused, Err(CallError::Unavailable { reason, .. }) if reason == "it is gone"));
}

#[test]
fn outside_calls_the_one_client_there_is() {
    let (stage, mut caller) = (Stage::new(), somebody(CAN_ALL));
    stage.is_asked(1, "roots/list");
    assert_eq!(stage.said(), [json!({"jsonrpc": "2.0", "id": 1, "result": {"roots": []}})]);
    stage.is_asked(2, SAMPLE);
    assert_eq!(stage.answered(2), Some(REFUSED));
    stage.answers(&stage.call(&caller));
    stage.is_asked(3, SAMPLE);
    yes(caller.ears.request_now());
    assert_eq!(stage.answered(3), Some(0));
    let other = somebody(CAN_ALL);
    stage.answers(&stage.call(&other));
    stage.is_asked(4, SAMPLE);
    assert_eq!(stage.answered(4), Some(REFUSED), "it could be for either");
    drop(other);
    stage.is_asked(5, SAMPLE);
    yes(caller.ears.request_now());
    assert_eq!(stage.answered(5), Some(0));
}

#[test]
fn outside_calls_nobody_is_asked_for_another_principal() {
    let (stage, mut caller, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    stage.answers(&stage.call(&caller));
    stage.answers(&stage.call_as("b", &other));
    drop(other);
    stage.is_asked(1, SAMPLE);
    assert_eq!(stage.answered(1), Some(REFUSED), "it may be for what the other has left");
    assert!(caller.ears.is_idle());
}

#[test]
fn outside_calls_nobody_is_asked_beside_somebody_without_a_session() {
    let (stage, mut caller) = (Stage::new(), somebody(CAN_ALL));
    stage.answers(&stage.call(&caller));
    stage.is_asked(1, SAMPLE);
    yes(caller.ears.request_now());
    assert_eq!(stage.answered(1), Some(0));
    stage.answers(&stage.silent_call());
    stage.is_asked(2, SAMPLE);
    assert_eq!(stage.answered(2), Some(REFUSED));
    assert!(caller.ears.is_idle());
}

#[test]
fn questions_end_with_their_call_or_when_they_are_taken_back() {
    let (stage, caller) = (Stage::new(), somebody(CAN_ALL));
    let mut call = stage.call(&caller);
    stage.is_asked(1, SAMPLE);
    let taken_back = call.question();
    let cancelled = "notifications/cancelled";
    stage.hears(&json!({"jsonrpc": "2.0", "method": cancelled, "params": {"requestId": 1}}));
    assert!(taken_back.withdrawn().is_cancelled());
    yes(taken_back);
    assert_eq!(stage.answered(1), None, "the server does not wait");

    stage.is_asked(2, SAMPLE);
    let outlived = call.question();
    stage.answers(&call);
    assert!(outlived.withdrawn().is_cancelled());
    yes(outlived);
    assert_eq!(stage.answered(2), None, "the call is over");

    let mut call = stage.call(&caller);
    stage.is_asked(3, SAMPLE);
    let given_up = call.question();
    drop(call);
    assert!(given_up.withdrawn().is_cancelled());
    assert_eq!(stage.said()[0]["method"], cancelled);
    drop(given_up);
    assert_eq!(stage.answered(3), Some(code::INTERNAL_ERROR), "the server may wait");
}

#[test]
fn a_question_that_nobody_takes_is_refused() {
    let (stage, caller) = (Stage::new(), somebody(CAN_ALL));
    let call = stage.call(&caller);
    stage.is_asked(1, SAMPLE);
    stage.is_asked(1, SAMPLE);
    drop(call);
    let said = stage.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().any(|message| message["id"] == 1 && message["error"].is_object()));
}

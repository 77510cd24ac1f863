//! Calls that nobody waits for any more, and what the server asks for their sake.

use protocol::code;
use tokio::time::Instant;

use super::stage::{CAN_ALL, SAMPLE, Stage, somebody, yes};
use crate::{CallError, transports::pipe::abandoned::ABANDONED_TIME};

const REFUSED: i64 = code::METHOD_NOT_FOUND;

#[test]
fn its_question_is_not_for_the_next_caller() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let late = stage.abandon(stage.call(&other));
    let mut call = stage.call(&one);
    stage.is_asked(1, SAMPLE);
    assert_eq!(stage.answered(1), Some(REFUSED));
    assert!(call.event().is_none());
    stage.answers_late(late);
    assert_eq!(stage.counters.values().stray_answers, 1);
    stage.is_asked(2, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(2), Some(0));
}

#[test]
fn its_question_may_be_for_its_own_client() {
    let (stage, mut caller) = (Stage::new(), somebody(CAN_ALL));
    stage.abandon(stage.call(&caller));
    stage.is_asked(1, SAMPLE);
    yes(caller.ears.request_now());
    assert_eq!(stage.answered(1), Some(0));
    let mut call = stage.call(&caller);
    stage.is_asked(2, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(2), Some(0));
}

#[test]
fn of_somebody_without_a_session() {
    let (stage, mut caller) = (Stage::new(), somebody(CAN_ALL));
    stage.abandon(stage.silent_call());
    let call = stage.call(&caller);
    stage.is_asked(1, SAMPLE);
    assert_eq!(stage.answered(1), Some(REFUSED));
    stage.answers(&call);
    stage.is_asked(2, SAMPLE);
    assert_eq!(stage.answered(2), Some(REFUSED));
    assert!(caller.ears.is_idle());
}

#[test]
fn it_does_not_count_for_ever() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let long_ago = Instant::now().checked_sub(ABANDONED_TIME).expect("the clock has run that long");
    let abandoned = stage.call(&other);
    assert!(stage.pipe.pending.abandon(abandoned.0.id(), long_ago).is_some());
    let mut call = stage.call(&one);
    stage.is_asked(1, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(1), Some(0));
}

#[test]
fn a_call_that_may_have_arrived_counts_and_one_that_was_not_sent_does_not() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let mut call = stage.call(&one);
    let [arrived, not_sent, refused, mut forgotten] = [(); 4].map(|()| stage.call(&other));
    forgotten.0.forget_on_drop();
    drop(forgotten);
    let pipe = &stage.pipe;
    pipe.fail(not_sent.0.id(), pipe.unavailable("nothing listens"));
    pipe.fail(refused.0.id(), CallError::Status { server: pipe.server().clone(), status: 403 });
    pipe.fail(arrived.0.id(), pipe.lost("it broke"));
    stage.is_asked(1, SAMPLE);
    assert_eq!(stage.answered(1), Some(REFUSED));
    stage.answers_late(arrived.0.id());
    stage.is_asked(2, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(2), Some(0));
}

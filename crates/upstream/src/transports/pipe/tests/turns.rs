//! Waiting for a turn where calls of clients that can be asked go one by one.

use std::{io, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    super::{
        super::http::tests::{
            clients::call_of,
            stage::{ECHO, PATIENCE, principal},
        },
        slot::Slot,
        turns::Turn,
        waiting::TURN_WAIT,
    },
    stage::{CAN_ALL, Call, SAMPLE, Somebody, Stage, somebody, yes},
};
use crate::{CallError, config::DEFAULT_TIMEOUT_MS};

/// Waits for a turn of `caller`.
async fn turn(stage: &Stage, caller: &Somebody, patience: Duration) -> Result<Turn, CallError> {
    let principal = principal("a");
    let slot = Slot::new(&call_of(&ECHO, &principal, &caller.session));
    stage.pipe.turn(&slot, patience).await.map(|turn| turn.expect("an interactive call has one"))
}

/// Has two calls in flight when the server asks something.
fn ambiguous(stage: &Stage, one: &Somebody, other: &Somebody) -> [Call; 2] {
    let calls = [stage.call(one), stage.call(other)];
    stage.is_asked(1, SAMPLE);
    assert!(stage.answered(1).is_some_and(|code| code != 0));
    calls
}

#[tokio::test]
async fn nobody_waits_for_ever_and_who_waited_in_vain_knows_that_nothing_was_sent() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let [first, second] = ambiguous(&stage, &one, &other);
    let refused = turn(&stage, &one, Duration::from_millis(5)).await;
    let Err(CallError::Unavailable { reason, .. }) = refused else { panic!("it waits in vain: {refused:?}") };
    assert!(reason.ends_with("did not come within 5ms; nothing was sent"), "{reason}");
    assert!(TURN_WAIT < Duration::from_millis(DEFAULT_TIMEOUT_MS), "otherwise the call's time is over first");
    stage.answers(&first);
    stage.answers(&second);
    drop(turn(&stage, &one, PATIENCE).await.expect("who gave up is not in the way"));
    assert!(stage.said().is_empty(), "nothing was sent");
}

#[test]
fn nobody_waits_for_an_abandoned_call_nor_is_taken_for_its_client() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let [first, second] = ambiguous(&stage, &one, &other);
    stage.answers(&first);
    let late = stage.abandon(second);
    let mut call = stage.call(&one);
    stage.is_asked(2, SAMPLE);
    assert!(stage.answered(2).is_some_and(|code| code != 0), "it may be for the other's sake");
    assert!(call.event().is_none());
    stage.answers_late(late);
    stage.is_asked(3, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(3), Some(0));
}

#[tokio::test]
async fn who_waits_begins_when_the_call_before_is_given_up() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let [first, second] = ambiguous(&stage, &one, &other);
    stage.answers(&first);
    let mut waiting = Box::pin(turn(&stage, &one, PATIENCE));
    assert!(futures_util::poll!(&mut waiting).is_pending(), "one at a time");
    stage.abandon(second);
    drop(waiting.await.expect("its turn has come"));
}

#[test]
fn the_first_time_is_logged_with_what_to_do() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, || {
        let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
        let _calls = ambiguous(&stage, &one, &other);
        stage.is_asked(2, SAMPLE);
    });
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(log.contains("upstream=s") && log.contains("configure the server once for each client"), "{log}");
}

/// A log that is kept.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

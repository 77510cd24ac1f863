//! What a server says and asks for the sake of a task, when the call that started it has its answer.

use protocol::code;
use serde_json::{Value, json};

use super::stage::{CAN_ALL, Call, SAMPLE, Stage, somebody, yes};
use crate::Event;

const REFUSED: i64 = code::METHOD_NOT_FOUND;
const LOG: &str = "notifications/message";

/// Parameters that name this task.
fn related(task: &Value) -> Value {
    json!({"level": "info", "data": 1, "_meta": {"io.modelcontextprotocol/related-task": {"taskId": task}}})
}

impl Stage {
    fn answers_with_task(&self, call: &Call) {
        let result = json!({"task": {"taskId": "T", "status": "working", "ttl": null}});
        self.hears(&json!({"jsonrpc": "2.0", "id": call.0.id(), "result": result}));
    }

    fn is_asked_for(&self, id: u64, task: &Value) {
        self.hears(&json!({"jsonrpc": "2.0", "id": id, "method": SAMPLE, "params": related(task)}));
    }

    fn hears_of(&self, task: &Value) {
        self.hears(&json!({"jsonrpc": "2.0", "method": LOG, "params": related(task)}));
    }

    fn logs(&self) {
        self.hears(&json!({"jsonrpc": "2.0", "method": LOG, "params": {"level": "info", "data": 1}}));
    }
}

#[test]
fn during_calls_nobody_is_asked_for_the_task_of_another() {
    let (stage, mut caller, mut other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let mut started = stage.call_as("b", &other);
    stage.answers_with_task(&started);
    assert!(matches!(started.event(), Some(Event::Result(_))));
    let mut call = stage.call(&caller);
    for (id, task) in [(1, json!("T")), (2, json!("another")), (3, json!(7))] {
        stage.is_asked_for(id, &task);
        assert_eq!(stage.answered(id), Some(REFUSED), "{task}");
        stage.hears_of(&task);
    }
    assert_eq!(stage.counters.values().dropped_notifications, 3);
    stage.is_asked(4, SAMPLE);
    assert_eq!(stage.answered(4), Some(REFUSED), "the task may be why");
    stage.logs();
    assert!(call.event().is_none() && caller.ears.is_idle() && other.ears.is_idle());
    assert!(!stage.pipe.turns.are_one_at_a_time(), "that would not help");
}

#[test]
fn what_is_asked_for_a_task_is_for_the_one_who_waits_for_it() {
    let (stage, caller, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    stage.answers_with_task(&stage.call(&caller));
    let mut call = stage.call_as("b", &other);
    let mut waiting = stage.asks_for_task("tasks/result", &caller);
    stage.is_asked_for(1, &json!("T"));
    yes(waiting.question());
    assert_eq!(stage.answered(1), Some(0));
    stage.hears_of(&json!("T"));
    assert!(matches!(waiting.event(), Some(Event::Notification { .. })));
    assert!(call.event().is_none());
    stage.is_asked_for(2, &json!("another"));
    assert_eq!(stage.answered(2), Some(REFUSED));

    stage.answers(&waiting);
    stage.is_asked(3, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(3), Some(0), "the task is over");
}

#[test]
fn a_brief_look_at_a_task_hears_of_it_and_is_asked_nothing() {
    let (stage, caller) = (Stage::new(), somebody(CAN_ALL));
    let mut look = stage.asks_for_task("tasks/get", &caller);
    stage.is_asked_for(1, &json!("T"));
    assert_eq!(stage.answered(1), Some(REFUSED), "its end would take the question back");
    stage.hears_of(&json!("T"));
    assert!(matches!(look.event(), Some(Event::Notification { .. })));
    let mut waiting = stage.asks_for_task("tasks/result", &caller);
    stage.is_asked_for(2, &json!("T"));
    yes(waiting.question());
    assert_eq!(stage.answered(2), Some(0));
}

#[test]
fn nobody_is_asked_for_a_task_that_several_clients_wait_for() {
    let (stage, one, other) = (Stage::new(), somebody(CAN_ALL), somebody(CAN_ALL));
    let mut waiting = stage.asks_for_task("tasks/result", &one);
    let mut look = stage.asks_for_task("tasks/get", &other);
    stage.is_asked_for(1, &json!("T"));
    assert_eq!(stage.answered(1), Some(REFUSED));
    stage.hears_of(&json!("T"));
    assert!(waiting.event().is_none() && look.event().is_none());
}

#[test]
fn a_task_is_not_in_the_way_of_its_own_client() {
    let (stage, mut caller) = (Stage::new(), somebody(CAN_ALL));
    stage.answers_with_task(&stage.call(&caller));
    stage.is_asked(1, SAMPLE);
    yes(caller.ears.request_now());
    assert_eq!(stage.answered(1), Some(0));
    let mut call = stage.call(&caller);
    stage.is_asked(2, SAMPLE);
    yes(call.question());
    assert_eq!(stage.answered(2), Some(0));
}

//! The parts of the tests: a pipe whose other end the test holds.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use protocol::{ResponseBody, Version};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::super::{
    super::http::tests::{
        clients::{Client, Ears, call_of, client, shared},
        stage::{ECHO, Text, call, principal, server_id},
    },
    Pipe, PipeReply, Way,
};
use crate::{
    CallError, Event, ServerRequest, SharedSession,
    inbox::{Mail, inbox},
    instances::Instances,
    metrics::Counters,
    transports::{Exchange, Opening},
    watching::Watching,
};

/// What a server asks for in these tests.
pub(super) const SAMPLE: &str = "sampling/createMessage";
/// What most clients here declare.
pub(super) const CAN_ALL: &str = r#"{"sampling":{},"elicitation":{},"roots":{}}"#;

/// The parameters of a request about a task.
const TASK: Text<'static> = Text { text: r#"{"taskId":"T"}"#, token: None };

/// A pipe and its other end.
pub(super) struct Stage {
    pub(super) pipe: Arc<Pipe>,
    pub(super) counters: Arc<Counters>,
    said: Arc<Said>,
    _mail: Mail,
}

#[derive(Default)]
struct Said(Mutex<Vec<Value>>);

impl Way for Said {
    fn say(&self, message: Vec<u8>) {
        self.0.lock().push(serde_json::from_slice(&message).expect("JSON"));
    }
}

/// A client with what it hears, as upstreams know it.
pub(super) struct Somebody {
    pub(super) client: Arc<Client>,
    pub(super) session: SharedSession,
    pub(super) ears: Ears,
}

pub(super) fn somebody(declared: &str) -> Somebody {
    let (client, ears) = client(declared);
    Somebody { session: shared(&client), client, ears }
}

/// A call in flight, and its id.
pub(super) struct Call(pub(super) PipeReply);

impl Stage {
    /// Makes a pipe to a legacy server.
    pub(super) fn new() -> Self {
        let (opening, mail) = opening();
        let said = Arc::new(Said::default());
        let pipe = Pipe::new(&opening, Arc::clone(&said) as Arc<dyn Way>);
        pipe.speak(Version::V2025_11_25);
        Self { pipe, counters: opening.counters, said, _mail: mail }
    }

    /// Begins a call of `caller`; `None` if it must wait, which takes a runtime.
    pub(super) fn try_call(&self, caller: &Somebody) -> Option<Result<Call, CallError>> {
        self.try_call_as("a", caller)
    }

    fn try_call_as(&self, agent: &str, caller: &Somebody) -> Option<Result<Call, CallError>> {
        let principal = principal(agent);
        let begun = self.pipe.begin(&call_of(&ECHO, &principal, &caller.session)).now_or_never()?;
        Some(begun.map(|(reply, _)| Call(reply)))
    }

    /// Begins a call of `caller`, which need not wait.
    pub(super) fn call(&self, caller: &Somebody) -> Call {
        self.try_call(caller).expect("no waiting").expect("a connection")
    }

    /// Begins a call of `caller`, who is another principal.
    pub(super) fn call_as(&self, agent: &str, caller: &Somebody) -> Call {
        self.try_call_as(agent, caller).expect("no waiting").expect("a connection")
    }

    /// Begins a request about the task `T` of `caller`, which need not wait.
    pub(super) fn asks_for_task(&self, method: &'static str, caller: &Somebody) -> Call {
        let principal = principal("a");
        let exchange = Exchange { method, ..call_of(&TASK, &principal, &caller.session) };
        let begun = self.pipe.begin(&exchange).now_or_never();
        Call(begun.expect("no waiting").expect("a connection").0)
    }

    /// Begins a call of somebody without a session.
    pub(super) fn silent_call(&self) -> Call {
        let principal = principal("a");
        let begun = self.pipe.begin(&call(&ECHO, Some(&principal))).now_or_never();
        Call(begun.expect("no waiting").expect("a connection").0)
    }

    /// Has the server introduce itself so.
    pub(super) fn introduces_itself(&self, result: &Value) {
        let begun = self.pipe.begin(&Exchange { method: "initialize", ..call(&ECHO, None) }).now_or_never();
        let (reply, _) = begun.expect("no waiting").expect("a connection");
        self.hears(&json!({"jsonrpc": "2.0", "id": reply.id(), "result": result}));
    }

    /// Has the server say something.
    pub(super) fn hears(&self, message: &Value) {
        self.pipe.take(&Bytes::from(message.to_string())).expect("a message");
    }

    /// Has the server ask something under this id.
    pub(super) fn is_asked(&self, id: u64, method: &str) {
        self.hears(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}}));
    }

    /// Has the server answer a call.
    pub(super) fn answers(&self, call: &Call) {
        self.hears(&json!({"jsonrpc": "2.0", "id": call.0.id(), "result": {}}));
    }

    /// Gives a call up, of which the server is told; returns its id.
    pub(super) fn abandon(&self, call: Call) -> u64 {
        let id = call.0.id();
        drop(call);
        assert_eq!(self.said().last().expect("something is said")["method"], "notifications/cancelled");
        id
    }

    /// Has the server answer the call that had this id.
    pub(super) fn answers_late(&self, id: u64) {
        self.hears(&json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }

    /// Takes what the server was told since the last time.
    pub(super) fn said(&self) -> Vec<Value> {
        std::mem::take(&mut self.said.0.lock())
    }

    /// Takes the answer to question `id`: the code of an error, or 0.
    pub(super) fn answered(&self, id: u64) -> Option<i64> {
        let said = self.said();
        let [answer] = &said[..] else { return None };
        assert_eq!(answer["id"], id);
        Some(answer["error"]["code"].as_i64().unwrap_or(0))
    }
}

impl Call {
    /// Takes the next event if it is there.
    pub(super) fn event(&mut self) -> Option<Event> {
        self.0.next().now_or_never().map(|event| event.expect("the connection lives"))
    }

    /// Takes the question that is there.
    pub(super) fn question(&mut self) -> ServerRequest {
        match self.event() {
            Some(Event::Request(question)) => question,
            other => panic!("a question, and not {other:?}"),
        }
    }
}

pub(super) fn yes(question: ServerRequest) {
    question.answer(ResponseBody::Result(Bytes::from_static(b"{\"yes\":1}")));
}

/// What a connection is opened with, and the receiving end of its inbox.
pub(in crate::transports) fn opening() -> (Opening, Mail) {
    let counters = Arc::new(Counters::default());
    let (inbox, mail) = inbox(Arc::clone(&counters), Watching::default().of(&server_id()));
    let opening = Opening {
        server: server_id(),
        inbox,
        counters,
        tasks: TaskTracker::new(),
        initialize: Bytes::new(),
        result_bytes: 1 << 20,
        line_bytes: 1 << 16,
        depth: 3,
        instances: Instances::new(),
    };
    (opening, mail)
}

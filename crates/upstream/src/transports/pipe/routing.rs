//! Brings each message of a server to where it belongs: answers to their calls, what is said about one call to that
//! call, the rest to the one client there is or to the gateway.

use std::sync::Arc;

use bytes::Bytes;
use guardrails::Untrusted;
use protocol::{Edit, Message, Notification, Object, RequestId, Response, ResponseBody, splice};
use tokio::time::Instant;

use super::{
    Pipe,
    related::{self, About},
    salvage::salvage,
    slot::Slot,
};
use crate::{CallError, Event, Payload, Said, transports::Incoming};

/// Notifications that are for a client and for nobody else.
const FOR_CLIENTS: [&str; 3] = ["notifications/message", "notifications/elicitation/complete", TASK_STATUS];
/// What a server says of the state of a task (specification 2025-11-25, tasks).
const TASK_STATUS: &str = "notifications/tasks/status";

/// What arrived is not one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transports) struct Garbage;

impl Pipe {
    /// Brings the message in `text` to where it belongs.
    ///
    /// # Errors
    /// [`Garbage`] when it is not one message. What could be used of it was used.
    pub(in crate::transports) fn take(self: &Arc<Self>, text: &Bytes) -> Result<(), Garbage> {
        if let Ok(message) = Message::parse(text) {
            self.route(message);
            return Ok(());
        }
        self.counters.garbage.add_one();
        salvage(text).into_iter().for_each(|message| self.route(message));
        Err(Garbage)
    }

    fn route(self: &Arc<Self>, message: Message) {
        match message {
            Message::Response(response) => self.answer(response),
            Message::Notification(notification) => self.notification(notification),
            Message::Request(request) => self.asked(request),
        }
    }

    /// Ends the call that the response is for. What the server asked during it needs no answer any more.
    fn answer(&self, response: Response) {
        let id = response.id.as_ref().and_then(number);
        let Some((id, slot)) = id.and_then(|id| Some((id, self.answered(id, &response.body)?))) else {
            id.into_iter().for_each(|id| self.pending.answered_late(id));
            return self.counters.stray_answers.add_one();
        };
        self.questions.settle_call(id);
        slot.finish(Ok(match response.body {
            ResponseBody::Result(result) => Event::Result(Payload::Whole(result)),
            ResponseBody::Error(error) => Event::Error(error),
        }));
    }

    /// Takes out the call that has its answer. The server may go on with one that is answered by a task.
    fn answered(&self, id: u64, body: &ResponseBody) -> Option<Arc<Slot>> {
        let ResponseBody::Result(result) = body else { return self.pending.remove(id) };
        if let Some(task) = related::started_by(result) {
            return self.pending.became_task(id, task, Instant::now());
        }
        let slot = self.pending.remove(id)?;
        if slot.is_introduction() {
            self.introduced(result);
        }
        if let Some(task) = slot.task().filter(|_| slot.ends_task()) {
            self.pending.task_over(task);
        }
        Some(slot)
    }

    fn notification(&self, Notification { method, params }: Notification) {
        match (&*method, params) {
            ("notifications/progress", Some(params)) => self.progress(method, &params),
            ("notifications/cancelled", params) => self.cancelled(params.as_ref()),
            (name, params) => {
                let is_for_clients = FOR_CLIENTS.contains(&name);
                // What waits must not keep its line, which may be a great deal longer.
                let params = params.as_deref().map(Bytes::copy_from_slice);
                if is_for_clients {
                    self.for_clients(method, params);
                } else {
                    self.inbox.deliver(Incoming { method, params });
                }
            }
        }
    }

    /// Hands a notification for a client to the call that it is about, or else to the one client there is. What is said
    /// for the sake of a task is for nobody but the one who asks for that task.
    fn for_clients(&self, method: Box<str>, params: Option<Bytes>) {
        let call = match (&*method, related::about(params.as_ref())) {
            // Its own parameters name the task, and whoever watches that one hears it.
            (TASK_STATUS, _) => None,
            (_, About::Task(task)) => match self.pending.about_task(&task) {
                Some((_, slot)) => Some(slot),
                None => return self.counters.dropped_notifications.add_one(),
            },
            (_, About::Unclear) => return self.counters.dropped_notifications.add_one(),
            ("notifications/message", About::Anything) => self.pending.only_call(),
            (_, About::Anything) => None,
        };
        match call {
            Some(slot) => {
                let dropped = slot.notify(Event::Notification { method, params });
                self.counters.dropped_notifications.add(dropped);
            }
            None => self.tell_client(method, params),
        }
    }

    /// Hands a notification to the one client there is, if nobody else can be meant. Otherwise no client hears it, only
    /// the gateway itself.
    fn tell_client(&self, method: Box<str>, params: Option<Bytes>) {
        match self.the_client() {
            Some(client) => {
                let bytes = method.len() + params.as_ref().map_or(0, Bytes::len);
                let said = Untrusted::new(Said::Notification { method, params });
                client.hear(&self.server, said, bytes);
            }
            None => {
                self.counters.dropped_notifications.add_one();
                self.inbox.deliver(Incoming { method, params });
            }
        }
    }

    /// Hands progress to its call, under the client's own token.
    fn progress(&self, method: Box<str>, params: &Bytes) {
        let delivered = Object::parse(params, &["progressToken"]).ok().and_then(|object| {
            let at = object.span("progressToken")?;
            let slot = self.pending.find(object.get("progressToken")?.parse().ok()?)?;
            let mut renamed = Vec::with_capacity(params.len() + 32);
            splice(&mut renamed, params, &[Edit { at, with: slot.client_token()?.as_bytes() }]);
            Some(slot.notify(Event::Notification { method, params: Some(renamed.into()) }))
        });
        self.counters.dropped_notifications.add(delivered.unwrap_or(1));
    }

    /// Takes back what the server asked. Otherwise ends a request of our own that it gives up: how some end a
    /// subscription. Calls cannot be ended so.
    fn cancelled(&self, params: Option<&Bytes>) {
        let Some(id) = params.and_then(|params| protocol::cancelled_id(params)) else {
            return self.counters.dropped_notifications.add_one();
        };
        if self.questions.take_back(&id) {
            return;
        }
        let own = number(&id).filter(|id| self.pending.find(*id).is_some_and(|slot| !slot.is_callers()));
        match own.and_then(|id| self.pending.remove(id)) {
            Some(slot) => slot.finish(Err(CallError::Lost {
                server: self.server.clone(),
                reason: "it cancelled the request".to_owned(),
            })),
            None => self.counters.dropped_notifications.add_one(),
        }
    }
}

/// Returns the number that one of our ids is.
fn number(id: &RequestId) -> Option<u64> {
    std::str::from_utf8(id.as_json()).ok()?.parse().ok()
}

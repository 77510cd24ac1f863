//! What a legacy server asks (specification 2025-11-25, client features). Nothing in a request of a server says for
//! whom it is: with one call in flight whose client can be asked it is that call's if the others in flight are of the same
//! client, with none it is for the one client there is. Otherwise nobody is asked. Where several could have been, calls
//! of clients that can be asked go one by one from then on. Calls that were given up, or became tasks, count as long as
//! they may go on. What a request asks for the sake of a task (tasks) is only for the one who waits for that task.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use guardrails::Untrusted;
use protocol::{Era, Request, RequestId, ResponseBody, code, encode};

use super::{
    super::http::{Entered, Question},
    Pipe,
    pending::Askable,
    related::{self, About},
    slot::Slot,
};
use crate::{Event, Said, ServerRequest};

impl Pipe {
    /// Takes a request of the server to the one who can answer it, or answers it here.
    pub(super) fn asked(self: &Arc<Self>, request: Request) {
        if &*request.method == "ping" {
            return self.say(encode::result(&request.id, b"{}"));
        }
        if self.version().era() == Era::Modern {
            // Servers of that era ask by their results.
            return self.refuse(&request);
        }
        // What waits must not keep its line, which may be a great deal longer.
        let request = Request { params: request.params.as_deref().map(Bytes::copy_from_slice), ..request };
        match related::about(request.params.as_ref()) {
            About::Anything => self.asked_of_anybody(request),
            About::Task(task) => {
                // During a brief look at the task nothing is asked: its end would take the question back.
                match self.pending.about_task(&task).filter(|(_, slot)| slot.is_interactive()) {
                    Some((id, slot)) => self.asked_during(id, &slot, request),
                    None => self.refuse(&request),
                }
            }
            About::Unclear => self.refuse(&request),
        }
    }

    fn asked_of_anybody(self: &Arc<Self>, request: Request) {
        match self.pending.askable() {
            Askable::Call(id, slot) => self.asked_during(id, &slot, request),
            Askable::Anybody => {
                self.go_one_by_one();
                self.refuse(&request);
            }
            Askable::Nobody => self.refuse(&request),
            Askable::Idle => self.asked_outside_calls(request),
        }
    }

    fn asked_during(self: &Arc<Self>, id: u64, slot: &Slot, request: Request) {
        match slot.client() {
            Some(client) if client.capabilities().allow(&request.method) => {
                if let Some(question) = self.question(request, Some(id)) {
                    self.counters.dropped_notifications.add(slot.notify(Event::Request(question)));
                }
            }
            Some(_) | None => self.refuse(&request),
        }
    }

    fn asked_outside_calls(self: &Arc<Self>, request: Request) {
        let client = self.the_client();
        match client.filter(|client| client.capabilities().allow(&request.method)) {
            Some(client) => {
                let bytes = request.method.len() + request.params.as_ref().map_or(0, Bytes::len);
                if let Some(question) = self.question(request, None) {
                    client.hear(&self.server, Untrusted::new(Said::Request(question)), bytes);
                }
            }
            // We declared roots before anybody was there to have some, and nobody is.
            None if &*request.method == "roots/list" => {
                self.say(encode::result(&request.id, br#"{"roots":[]}"#));
            }
            None => self.refuse(&request),
        }
    }

    /// Makes what a client is asked out of a server's request, which came during the request `call` of ours or outside
    /// any. `None` when too much is asked already, which is answered here, or the same is.
    fn question(self: &Arc<Self>, request: Request, call: Option<u64>) -> Option<ServerRequest> {
        let Request { id, method, params } = request;
        let credential = call.and_then(|call| self.pending.find(call)?.credential().cloned());
        let is_settled = Arc::new(AtomicBool::new(false));
        let asked = ServerRequest::new(method, params, {
            // A question may outlive the connection, which it must not keep.
            let (pipe, id) = (Arc::downgrade(self), id.clone());
            let is_settled = Arc::clone(&is_settled);
            move |body| {
                if let (false, Some(pipe)) = (is_settled.swap(true, Ordering::AcqRel), pipe.upgrade()) {
                    pipe.say_for(answer(&id, &body), credential.as_ref());
                }
            }
        });
        let (withdrawn, dropped) = (asked.withdrawn().clone(), Arc::clone(&is_settled));
        match self.questions.enter(Question { id, call, withdrawn, is_settled }) {
            Entered::Open => return Some(asked),
            // The first of the two is answered.
            Entered::Again => dropped.store(true, Ordering::Release),
            Entered::Full => self.counters.refused_requests.add_one(),
        }
        None
    }

    fn refuse(&self, request: &Request) {
        self.counters.refused_requests.add_one();
        let message = "the client does not support this";
        self.say(encode::error(Some(&request.id), code::METHOD_NOT_FOUND, message, None));
    }
}

fn answer(id: &RequestId, body: &ResponseBody) -> Vec<u8> {
    match body {
        ResponseBody::Result(result) => encode::result(id, result),
        ResponseBody::Error(error) => encode::error_object(id, error),
    }
}

//! What servers say and ask outside calls, on its way to one client: a bounded queue that its standing stream reads.
//! It is judged and screened when it is read, by the rules and guardrails in force then: a client that may not reach the
//! server any more, or that nobody vouches for, hears nothing of it. Who may reach what is decided in `admission.rs`.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::{ServerId, Subject, Target};
use guardrails::Untrusted;
use identity::Identity;
use parking_lot::Mutex;
use protocol::encode;
use tokio::sync::Notify;
use upstream::{Said, ServerRequest};

use super::{
    EventStreams, Session,
    events::Room,
    questions::{Question, Questions},
};
use crate::{Configured, Proxy, admission::Viewpoint, logs::Wish};

/// Messages that wait for the client to listen. When it does not, the oldest go; a request that goes is refused.
const MAX_WAITING: usize = 256;
/// Bytes of messages that wait, and so of the longest: a small part of what a session may keep, because they are for
/// somebody who reads.
const MAX_BYTES: usize = 64 * 1024;
/// What a message costs beside its text.
const MESSAGE_COST: usize = size_of::<Waiting>();
/// Notifications that clients are told. The rest means nothing outside a call.
const TOLD: [&str; 3] =
    ["notifications/message", "notifications/elicitation/complete", "notifications/tasks/status"];

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    queue: Mutex<Queue>,
    filled: Notify,
    /// What was asked outside calls, or inside one whose own answer cannot carry a question.
    questions: Questions,
    /// From where the client looked last, with its last request or stream. Before that it hears nothing.
    viewpoint: Mutex<Option<Viewpoint>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
enum Waiting {
    /// Something that a server said, neither judged nor screened yet.
    Said { server: ServerId, said: Untrusted<Said>, bytes: usize, _room: Option<Room> },
    /// A question of a call that was judged, screened and entered already.
    Asked(Question),
}

impl Outside {
    /// Adds what `server` said. It takes its room from what the session may keep; where there is none the oldest go for
    /// it. Returns the questions among these.
    fn push(
        &self,
        events: &EventStreams,
        server: ServerId,
        said: Untrusted<Said>,
        bytes: usize,
    ) -> Vec<Question> {
        let mut gone = Vec::new();
        if bytes > MAX_BYTES {
            return gone;
        }
        let room = loop {
            if let Ok(room) = events.room(bytes + MESSAGE_COST) {
                break room;
            }
            let Some(oldest) = self.pop() else { return gone };
            gone.extend(oldest.into_question());
        };
        gone.extend(self.add(Waiting::Said { server, said, bytes, _room: room }));
        gone
    }

    /// Adds a message. Returns the questions that go for it, or the one that it is if it is too long.
    fn add(&self, message: Waiting) -> Vec<Question> {
        if message.bytes() > MAX_BYTES {
            return message.into_question().into_iter().collect();
        }
        let mut queue = self.queue.lock();
        queue.bytes += message.bytes();
        queue.waiting.push_back(message);
        let mut gone = Vec::new();
        while queue.waiting.len() > MAX_WAITING || queue.bytes > MAX_BYTES {
            gone.extend(queue.pop());
        }
        drop(queue);
        self.filled.notify_one();
        // Outside the lock: a request that is dropped here answers its server.
        gone.into_iter().filter_map(Waiting::into_question).collect()
    }

    fn pop(&self) -> Option<Waiting> {
        self.queue.lock().pop()
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Waiting> {
        let oldest = self.waiting.pop_front()?;
        self.bytes -= oldest.bytes();
        if self.waiting.is_empty() {
            // An idle session keeps nothing of a busy hour.
            self.waiting = VecDeque::new();
        }
        Some(oldest)
    }
}

impl Waiting {
    const fn bytes(&self) -> usize {
        match self {
            Self::Said { bytes, .. } => *bytes,
            Self::Asked(question) => question.message.len(),
        }
    }

    fn into_question(self) -> Option<Question> {
        match self {
            Self::Said { .. } => None,
            Self::Asked(question) => Some(question),
        }
    }
}

impl Session {
    /// Waits for the next message from outside calls and takes it, as JSON-RPC text: each goes to one stream of the
    /// client. Cancel safe.
    pub(crate) async fn next_outside(&self, proxy: &Proxy) -> Bytes {
        loop {
            match self.outside.pop() {
                None => tokio::select! {
                    () = self.outside.filled.notified() => {}
                    message = self.outside.questions.withdrawn(&self.asked) => return message,
                },
                Some(waiting) => {
                    let world = proxy.snapshots.current();
                    let message = self.message(&proxy.identity, &world.configured, waiting);
                    if let Some(message) = message {
                        return message;
                    }
                }
            }
        }
    }

    /// Notes from where the client looks now: what servers say is judged by it.
    pub(crate) fn looks_from(&self, viewpoint: &Viewpoint) {
        *self.outside.viewpoint.lock() = Some(viewpoint.clone());
    }

    /// Takes what a server said outside any call.
    pub(super) fn take_said(&self, server: ServerId, said: Untrusted<Said>, bytes: usize) {
        self.refuse(self.outside.push(&self.events, server, said, bytes));
    }

    /// Puts a screened request of a call on the client's standing stream, because the call's own answer cannot carry it;
    /// without such a stream it is refused. Its message is not in `questions`, which only know what belongs to the call.
    pub(crate) fn ask_outside(&self, server: &ServerId, request: ServerRequest, questions: &Questions) {
        if !self.listeners.has_any() {
            return request.refuse();
        }
        if let Some(question) = self.asked.ask(server, request) {
            questions.add(question.clone(), &self.asked);
            self.refuse(self.outside.add(Waiting::Asked(question)));
        }
    }

    /// Refuses questions that nobody will read.
    fn refuse(&self, gone: Vec<Question>) {
        for question in gone {
            self.asked.forget(question.id);
        }
    }

    /// Returns the text of a message that the client may have. A request that it may not be asked is refused.
    fn message(&self, identity: &Identity, configured: &Configured, waiting: Waiting) -> Option<Bytes> {
        let (server, said) = match waiting {
            Waiting::Asked(question) => {
                // Its call may be over.
                let is_waiting = self.asked.is_waiting(question.id);
                return is_waiting.then(|| self.outside.questions.add(question, &self.asked));
            }
            Waiting::Said { server, said, .. } => (server, said),
        };
        if !self.may_hear(identity, configured, &server) {
            return None;
        }
        let subject = Subject { server, target: Target::Server };
        match configured.guardrails.screen_result(&subject, said).ok()?.into_inner() {
            Said::Notification { method, params } => {
                let is_told = TOLD.contains(&&*method) && self.wants(&method, params.as_deref());
                is_told.then(|| encode::notification(&method, params.as_deref()).into())
            }
            Said::Request(request) if self.capabilities.allow_request(request.method(), request.params()) => {
                let question = self.asked.ask(&subject.server, request)?;
                Some(self.outside.questions.add(question, &self.asked))
            }
            Said::Request(request) => {
                request.refuse();
                None
            }
        }
    }

    fn may_hear(&self, identity: &Identity, configured: &Configured, server: &ServerId) -> bool {
        let viewpoint = self.outside.viewpoint.lock().clone();
        viewpoint.is_some_and(|viewpoint| viewpoint.followed(identity).may_hear(identity, configured, server))
    }

    fn wants(&self, method: &str, params: Option<&[u8]>) -> bool {
        method != "notifications/message" || Wish::of_session(self).takes(params)
    }
}

#[cfg(test)]
mod tests;

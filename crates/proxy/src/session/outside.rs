//! What servers say and ask outside calls, on its way to one client: a bounded queue that its standing stream reads.
//! It is screened when it is read, by the guardrails in force then.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use domain::{ServerId, Subject, Target};
use guardrails::Untrusted;
use parking_lot::Mutex;
use protocol::encode;
use tokio::sync::Notify;
use upstream::{Said, ServerRequest};

use super::{
    Session,
    events::{Budget, Room},
    questions::{Question, Questions},
};
use crate::{Proxy, logs::Wish};

/// Messages that wait for the client to listen. When it does not, the oldest go; a request that goes is refused.
const MAX_WAITING: usize = 256;
/// Bytes of messages that wait.
const MAX_BYTES: usize = 256 * 1024;
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
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
enum Waiting {
    /// Something that a server said, not screened yet.
    Said { server: ServerId, said: Untrusted<Said>, bytes: usize, _room: Option<Room> },
    /// A question that was screened and entered already.
    Asked(Question),
}

impl Outside {
    /// Adds what `server` said; the oldest go when there is no room. `all` is what the messages and events of all
    /// sessions may take: when that is used up, what comes is dropped.
    pub(super) fn push(
        &self,
        all: Option<&Arc<Budget>>,
        server: ServerId,
        said: Untrusted<Said>,
        bytes: usize,
    ) {
        let room = all.map(|all| all.take(bytes + MESSAGE_COST));
        if bytes <= MAX_BYTES && !matches!(room, Some(None)) {
            self.add(Waiting::Said { server, said, bytes, _room: room.flatten() });
        }
    }

    fn add(&self, message: Waiting) {
        let mut queue = self.queue.lock();
        queue.bytes += message.bytes();
        queue.waiting.push_back(message);
        let mut gone = Vec::new();
        while queue.waiting.len() > MAX_WAITING || queue.bytes > MAX_BYTES {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.bytes -= oldest.bytes();
            gone.push(oldest);
        }
        drop(queue);
        // Outside the lock: a request that is dropped here answers its server.
        drop(gone);
        self.filled.notify_one();
    }

    fn pop(&self) -> Option<Waiting> {
        let mut queue = self.queue.lock();
        let oldest = queue.waiting.pop_front()?;
        queue.bytes -= oldest.bytes();
        if queue.waiting.is_empty() {
            // An idle session keeps nothing of a busy hour.
            queue.waiting = VecDeque::new();
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
                    if let Some(message) = self.message(proxy, waiting) {
                        return message;
                    }
                }
            }
        }
    }

    /// Puts a screened request of a call on the client's standing stream, because the call's own answer cannot carry it;
    /// without such a stream it is refused. Its message is not in `questions`, which only know what belongs to the call.
    pub(crate) fn ask_outside(&self, request: ServerRequest, questions: &Questions) {
        if !self.listeners.has_any() {
            return request.refuse();
        }
        if let Some(question) = self.asked.ask(request) {
            questions.add(question.clone(), &self.asked);
            self.outside.add(Waiting::Asked(question));
        }
    }

    fn message(&self, proxy: &Proxy, waiting: Waiting) -> Option<Bytes> {
        let (server, said) = match waiting {
            Waiting::Asked(question) => {
                // Its call may be over.
                let is_waiting = self.asked.is_waiting(question.id);
                return is_waiting.then(|| self.outside.questions.add(question, &self.asked));
            }
            Waiting::Said { server, said, .. } => (server, said),
        };
        let world = proxy.snapshots.current();
        let subject = Subject { server, target: Target::Server };
        match world.configured.guardrails.screen_result(&subject, said).ok()?.into_inner() {
            Said::Notification { method, params } => {
                let is_told = TOLD.contains(&&*method) && self.wants(&method, params.as_deref());
                is_told.then(|| encode::notification(&method, params.as_deref()).into())
            }
            Said::Request(request) if self.capabilities.allow(request.method()) => {
                let question = self.asked.ask(request)?;
                Some(self.outside.questions.add(question, &self.asked))
            }
            Said::Request(request) => {
                request.refuse();
                None
            }
        }
    }

    fn wants(&self, method: &str, params: Option<&[u8]>) -> bool {
        method != "notifications/message" || Wish::of_session(self).takes(params)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use catalog::View;
    use domain::{AgentId, AgentSource, Principal, ServerScope};
    use protocol::{ClientCapabilities, Version};

    use super::{super::Opening, *};

    fn session() -> Session {
        let principal = Principal {
            agent: AgentId::new("a").expect("a name"),
            agent_source: AgentSource::Launch,
            user: None,
            roles: Vec::new(),
            token: None,
            servers: ServerScope::All,
        };
        let opening = Opening {
            owner: principal.key(),
            view: View::All,
            version: Version::LATEST_LEGACY,
            client_info: None,
            capabilities: ClientCapabilities::NONE,
        };
        Session::open(opening).expect("there is randomness")
    }

    fn server() -> ServerId {
        ServerId::new("one").expect("a name")
    }

    fn note() -> Untrusted<Said> {
        Untrusted::new(Said::Notification { method: "notifications/message".into(), params: None })
    }

    #[test]
    fn what_waits_is_bounded_and_within_what_all_may_take() {
        let outside = Outside::default();
        for _ in 0..MAX_WAITING + 1 {
            outside.push(None, server(), note(), 10);
        }
        assert_eq!(outside.queue.lock().waiting.len(), MAX_WAITING);
        outside.push(None, server(), note(), MAX_BYTES);
        assert_eq!(outside.queue.lock().waiting.len(), 1, "all others went for it");
        outside.push(None, server(), note(), MAX_BYTES + 1);
        assert_eq!(outside.queue.lock().waiting.len(), 1);
        let all = Budget::new(1_000);
        let outside = Outside::default();
        for _ in 0..10 {
            outside.push(Some(&all), server(), note(), 300);
        }
        let waiting = outside.queue.lock().waiting.len();
        assert!((1..=3).contains(&waiting), "{waiting}");
        while outside.pop().is_some() {}
        assert!(all.take(1_000).is_some(), "everything was given back");
    }

    #[test]
    fn a_question_of_a_call_needs_somebody_who_listens() {
        let (session, questions) = (session(), Questions::default());
        let asking = || {
            let was_answered = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&was_answered);
            let request =
                ServerRequest::new("roots/list".into(), None, move |_| told.store(true, Ordering::Relaxed));
            session.ask_outside(request, &questions);
            was_answered
        };
        assert!(asking().load(Ordering::Relaxed), "refused, because nobody listens");
        session.listeners.enter();
        let was_answered = asking();
        assert!(!was_answered.load(Ordering::Relaxed));
        let Some(Waiting::Asked(question)) = session.outside.pop() else { panic!("it waits for the stream") };
        assert!(session.asked.is_waiting(question.id));
        questions.forget(&session.asked);
        assert!(was_answered.load(Ordering::Relaxed) && !session.asked.is_waiting(question.id));
    }
}

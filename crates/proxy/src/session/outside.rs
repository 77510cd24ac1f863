//! What servers say and ask outside calls, on its way to one client: a bounded queue that its standing stream reads.
//! It is screened when it is read, by the guardrails in force then.

use std::collections::VecDeque;

use bytes::Bytes;
use domain::{ServerId, Subject, Target};
use guardrails::Untrusted;
use parking_lot::Mutex;
use protocol::encode;
use tokio::sync::Notify;
use upstream::Said;

use super::Session;
use crate::{Proxy, logs::Wish};

/// Messages that wait for the client to listen. When it does not, the oldest go; a request that goes is refused.
const MAX_WAITING: usize = 256;
/// Bytes of messages that wait.
const MAX_BYTES: usize = 256 * 1024;
/// Notifications that clients are told. The rest means nothing outside a call.
const TOLD: [&str; 3] =
    ["notifications/message", "notifications/elicitation/complete", "notifications/tasks/status"];

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    server: ServerId,
    said: Untrusted<Said>,
    bytes: usize,
}

impl Outside {
    /// Adds what `server` said; the oldest go when there is no room.
    pub(super) fn push(&self, server: ServerId, said: Untrusted<Said>, bytes: usize) {
        if bytes > MAX_BYTES {
            return;
        }
        let mut queue = self.queue.lock();
        queue.bytes += bytes;
        queue.waiting.push_back(Waiting { server, said, bytes });
        let mut gone = Vec::new();
        while queue.waiting.len() > MAX_WAITING || queue.bytes > MAX_BYTES {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.bytes -= oldest.bytes;
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
        queue.bytes -= oldest.bytes;
        Some(oldest)
    }
}

impl Session {
    /// Waits for the next message from outside calls and takes it, as JSON-RPC text: each goes to one stream of the
    /// client. Cancel safe.
    pub(crate) async fn next_outside(&self, proxy: &Proxy) -> Bytes {
        loop {
            match self.outside.pop() {
                None => self.outside.filled.notified().await,
                Some(waiting) => {
                    if let Some(message) = self.message(proxy, waiting) {
                        return message;
                    }
                }
            }
        }
    }

    fn message(&self, proxy: &Proxy, Waiting { server, said, .. }: Waiting) -> Option<Bytes> {
        let world = proxy.snapshots.current();
        let subject = Subject { server, target: Target::Server };
        match world.configured.guardrails.screen_result(&subject, said).ok()?.into_inner() {
            Said::Notification { method, params } => {
                let is_told = TOLD.contains(&&*method) && self.wants(&method, params.as_deref());
                is_told.then(|| encode::notification(&method, params.as_deref()).into())
            }
            Said::Request(request) if self.capabilities.allow(request.method()) => {
                Some(self.asked.enter(request)).filter(|message| !message.is_empty())
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

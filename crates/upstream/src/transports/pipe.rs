//! One way to a server that all of its calls share, there and back: a child's pipes, or the two halves of HTTP+SSE.
//! What belongs to which call is told by ids. How messages get to the server is the transport's; what the server says
//! comes in through `pipe/routing`, what it asks goes through `pipe/asking`.

mod abandoned;
mod asking;
mod clients;
mod news;
mod pending;
mod related;
mod routing;
mod salvage;
mod slot;
mod turns;
mod waiting;

#[cfg(test)]
pub(super) mod tests;

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use domain::{Credential, ServerId};
use parking_lot::Mutex;
use protocol::{Version, encode};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use self::{clients::Clients, pending::Pending, slot::Slot, turns::Turns, waiting::TURN_WAIT};
use super::{
    Exchange, Opening, SpokenVersion,
    http::{Questions, Told},
};
use crate::{CallError, Event, inbox::Inbox, metrics::Counters};

/// Room for what stands around the parameters in a request.
const ENVELOPE_BYTES: usize = 96;

/// Takes messages to the server.
pub(super) trait Way: Send + Sync {
    /// Sends a message for whose arrival nobody waits. Never waits itself. A server that is gone or does not listen
    /// gets nothing, and would not act on it.
    fn say(&self, message: Vec<u8>);

    /// Sends a message that belongs to a call, with what authorizes that call where messages are authorized one by one.
    fn say_for(&self, message: Vec<u8>, credential: Option<&Credential>) {
        let _ = credential;
        self.say(message);
    }
}

/// The calls in flight at a server, and what stands between them and it.
pub(super) struct Pipe {
    server: ServerId,
    way: Arc<dyn Way>,
    pending: Pending,
    next_id: AtomicU64,
    version: SpokenVersion,
    clients: Clients,
    questions: Questions,
    turns: Turns,
    /// Which log level the server was told, and under which id.
    told: Mutex<Told>,
    level_request: AtomicU64,
    /// Whether the server has declared that it does not want to know a level.
    lacks_logging: AtomicBool,
    inbox: Inbox,
    counters: Arc<Counters>,
    /// Why the connection has ended, once it has.
    ended: watch::Sender<Option<Arc<str>>>,
}

/// The reply to one call. Dropped before its final event, it cancels the call.
pub(crate) struct PipeReply {
    pipe: Arc<Pipe>,
    slot: Arc<Slot>,
    id: u64,
    cancels_on_drop: bool,
    /// What still sends the request, if that takes time.
    sending: Option<AbortHandle>,
}

impl Pipe {
    /// Begins with no call in flight.
    pub(super) fn new(opening: &Opening, way: Arc<dyn Way>) -> Arc<Self> {
        Arc::new(Self {
            server: opening.server.clone(),
            way,
            pending: Pending::default(),
            next_id: AtomicU64::new(1),
            version: SpokenVersion::new(),
            clients: Clients::default(),
            questions: Questions::default(),
            turns: Turns::default(),
            told: Mutex::default(),
            level_request: AtomicU64::new(0),
            lacks_logging: AtomicBool::new(false),
            inbox: opening.inbox.clone(),
            counters: Arc::clone(&opening.counters),
            ended: watch::Sender::new(None),
        })
    }

    /// Makes the place of a call and the message to be sent for it. Waits only where interactive calls go one by one,
    /// and no longer than [`TURN_WAIT`]. Cancel safe.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when the connection has ended, or the call's turn did not come;
    /// [`CallError::Params`] when there can be no message.
    pub(super) async fn begin(
        self: &Arc<Self>,
        exchange: &Exchange<'_>,
    ) -> Result<(PipeReply, Vec<u8>), CallError> {
        let slot = Arc::new(Slot::new(exchange));
        let turn = self.turn(&slot, TURN_WAIT).await?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let message = request_message(id, exchange)?;
        if let Some(principal) = exchange.principal {
            self.welcome(principal, slot.client());
        }
        self.pending.insert(id, &slot, turn).map_err(|reason| self.unavailable(&reason))?;
        // From here on the reply's drop takes the slot out again.
        let pipe = Arc::clone(self);
        Ok((PipeReply { pipe, slot, id, cancels_on_drop: true, sending: None }, message))
    }

    /// Ends a call that was not sent, was refused, or may or may not have arrived, if it is still in flight.
    pub(super) fn fail(&self, id: u64, error: CallError) {
        let slot = if may_go_on(&error) {
            self.pending.abandon(id, Instant::now())
        } else {
            self.pending.remove(id)
        };
        if let Some(slot) = slot {
            self.questions.settle_call(id);
            slot.finish(Err(error));
        }
    }

    /// Sends a message for whose arrival nobody waits.
    pub(super) fn say(&self, message: Vec<u8>) {
        self.way.say(message);
    }

    /// Sends a message that belongs to a call for whose arrival nobody waits.
    pub(super) fn say_for(&self, message: Vec<u8>, credential: Option<&Credential>) {
        self.way.say_for(message, credential);
    }

    /// Ends the connection: no more calls, and those in flight are lost. Only the first reason counts.
    pub(super) fn end(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        self.turns.close();
        self.questions.settle_all();
        for slot in self.pending.end(&reason) {
            self.counters.lost.add_one();
            let (server, reason) = (self.server.clone(), reason.to_string());
            slot.finish(Err(CallError::Lost { server, reason }));
        }
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            if is_first {
                *ended = Some(reason);
            }
            is_first
        });
    }

    /// Waits for the end of the connection and returns why. Cancel safe.
    pub(super) async fn closed(&self) -> String {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.ended.subscribe().wait_for(Option::is_some).await;
        self.why_ended()
    }

    fn why_ended(&self) -> String {
        self.ended.borrow().as_deref().unwrap_or("the connection is being closed").to_owned()
    }

    /// Tells whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Fixes the revision that is spoken.
    pub(super) fn speak(&self, version: Version) {
        self.version.set(version);
    }

    fn version(&self) -> Version {
        self.version.get()
    }

    /// Returns the server's name.
    pub(super) const fn server(&self) -> &ServerId {
        &self.server
    }

    /// Makes the error for what was not sent.
    pub(super) fn unavailable(&self, reason: &str) -> CallError {
        CallError::Unavailable { server: self.server.clone(), reason: reason.to_owned() }
    }

    /// Makes the error for what may have been sent.
    pub(super) fn lost(&self, reason: &str) -> CallError {
        self.counters.lost.add_one();
        CallError::Lost { server: self.server.clone(), reason: reason.to_owned() }
    }

    /// Tells the server that nobody waits for the answer to `id` any more.
    fn cancel(&self, id: u64, credential: Option<&Credential>) {
        self.counters.cancelled.add_one();
        let params = format!(r#"{{"requestId":{id},"reason":"the caller no longer waits"}}"#);
        let notification = encode::notification("notifications/cancelled", Some(params.as_bytes()));
        self.say_for(notification, credential);
    }
}

impl PipeReply {
    /// Returns the id of the request.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the next event. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Event, CallError> {
        self.slot.next().await
    }

    /// Has the reply forgotten in silence when it is dropped: for requests that must not be cancelled, or were not sent.
    pub(crate) const fn forget_on_drop(&mut self) {
        self.cancels_on_drop = false;
    }

    /// Has the request cancelled when the reply is dropped, and `sending`, which takes it to the server, given up.
    pub(super) fn cancel_on_drop(&mut self, sending: AbortHandle) {
        self.cancels_on_drop = true;
        self.sending = Some(sending);
    }
}

impl Drop for PipeReply {
    fn drop(&mut self) {
        if let Some(sending) = &self.sending {
            sending.abort();
        }
        let pending = &self.pipe.pending;
        let slot = if self.cancels_on_drop {
            pending.abandon(self.id, Instant::now())
        } else {
            pending.remove(self.id)
        };
        if slot.is_none() {
            return;
        }
        // Refusals of what the server asked still go out: it may wait.
        self.pipe.questions.withdraw_call(self.id);
        if self.cancels_on_drop {
            self.pipe.cancel(self.id, self.slot.credential());
        }
    }
}

/// Tells whether a server may work on a call that ended so. What a gateway in between says is not the server's word.
const fn may_go_on(error: &CallError) -> bool {
    match error {
        CallError::Lost { .. } | CallError::TooLarge { .. } | CallError::Protocol { .. } => true,
        CallError::Status { status, .. } => *status >= 500,
        CallError::NotConfigured(_)
        | CallError::Unavailable { .. }
        | CallError::Busy { .. }
        | CallError::Params(_)
        | CallError::ForeignCredential(_) => false,
    }
}

/// Builds the message of a request. The request's id serves as its progress token.
fn request_message(id: u64, exchange: &Exchange<'_>) -> Result<Vec<u8>, CallError> {
    let (method, params) = (exchange.method, exchange.params);
    // One byte more for the end of a line.
    let mut message = Vec::with_capacity(params.size_hint() + method.len() + ENVELOPE_BYTES + 1);
    write!(message, r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":"#)
        .expect("a Vec takes everything");
    params.write(&mut message, params.progress_token().map(|_| id))?;
    message.push(b'}');
    Ok(message)
}

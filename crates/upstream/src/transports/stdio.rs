//! One child process that serves many calls at once over its standard input and output.
//! Lines go out through `stdio/outbox`, answers find their callers through `stdio/pending`; `stdio/reading` is the
//! task between. How the child is started and ended is `child`'s work.

mod garbage;
mod outbox;
mod pending;
mod reading;
mod salvage;
mod slot;

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::ServerId;
use memchr::memchr2;
use parking_lot::Mutex;
use protocol::encode;
use tokio::sync::watch;

use self::{
    garbage::Garbage,
    outbox::{NotSent, Outbox},
    pending::Pending,
    slot::Slot,
};
use super::{Exchange, Opening};
use crate::{
    CallError, Event, News, SharedSession,
    child::{Child, Grace, Process},
    inbox::Inbox,
    metrics::Counters,
};

/// Room for what stands around the parameters in a request.
const ENVELOPE_BYTES: usize = 96;

/// A child and the calls in flight at it.
pub(crate) struct StdioConnection {
    server: ServerId,
    outbox: Outbox,
    pending: Pending,
    next_id: AtomicU64,
    inbox: Inbox,
    counters: Arc<Counters>,
    process: Process,
    garbage: Mutex<Garbage>,
    /// Why the connection has ended, once it has.
    ended: watch::Sender<Option<Arc<str>>>,
}

/// The reply to one call. Dropped before its final event, it cancels the call.
pub(crate) struct StdioReply {
    connection: Arc<StdioConnection>,
    slot: Arc<Slot>,
    id: u64,
    cancels_on_drop: bool,
}

impl StdioConnection {
    /// Begins to speak with a started child.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when its pipes cannot be watched.
    pub(crate) fn open(child: Child, opening: Opening) -> Result<Arc<Self>, CallError> {
        let Child { stdin, stdout, process } = child;
        let outbox = Outbox::open(stdin, &opening.tasks).map_err(|error| CallError::Unavailable {
            server: opening.server.clone(),
            reason: format!("its standard input cannot be watched: {error}"),
        })?;
        let connection = Arc::new(Self {
            server: opening.server,
            outbox,
            pending: Pending::default(),
            next_id: AtomicU64::new(1),
            inbox: opening.inbox,
            counters: opening.counters,
            process,
            garbage: Mutex::default(),
            ended: watch::Sender::new(None),
        });
        // Its death would be the end of the child's output: it ends the connection on its way out.
        opening.tasks.spawn(reading::read(Arc::clone(&connection), stdout, opening.line_bytes));
        Ok(connection)
    }

    /// Writes a request. Nothing is awaited: the line is written or queued when this returns.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] when nothing was sent, [`CallError::Params`] when nothing could be.
    pub(crate) fn request(self: &Arc<Self>, exchange: &Exchange<'_>) -> Result<StdioReply, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = request_line(id, exchange)?;
        let slot = Arc::new(Slot::new(exchange));
        self.pending.insert(id, &slot).map_err(|reason| self.unavailable(reason.as_ref()))?;
        // From here on the reply's drop takes the slot out again.
        let mut reply = StdioReply { connection: Arc::clone(self), slot, id, cancels_on_drop: true };
        self.outbox.send(line).map_err(|not_sent| {
            reply.cancels_on_drop = false;
            self.unavailable(not_sent.reason())
        })?;
        Ok(reply)
    }

    /// Writes a notification without parameters.
    ///
    /// # Errors
    /// [`CallError::Unavailable`]: nothing was sent.
    pub(crate) fn notify(&self, method: &str) -> Result<(), CallError> {
        self.send(encode::notification(method, None)).map_err(|not_sent| self.unavailable(not_sent.reason()))
    }

    /// See [`Connection::tell`](super::Connection::tell).
    pub(crate) fn tell_news(&self, _session: &SharedSession, _news: News) {}

    /// Waits for the end of the connection and returns why. Cancel safe.
    pub(crate) async fn closed(&self) -> String {
        let mut ended = self.ended.subscribe();
        let reason = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.as_deref().map(str::to_owned));
        reason.unwrap_or_else(|| "the connection was dropped".to_owned())
    }

    /// Tells whether nothing can be sent any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.outbox.is_closed()
    }

    /// Ends the child, giving it `grace`. Calls in flight are lost.
    pub(crate) async fn close(&self, grace: Grace) {
        self.end("the gateway stopped it");
        self.process.stop(grace).await;
    }

    /// Returns the child.
    pub(crate) const fn process(&self) -> &Process {
        &self.process
    }

    /// Returns the first things that the child wrote which are no messages, escaped and shortened.
    pub(crate) fn garbage(&self) -> Vec<String> {
        self.garbage.lock().samples()
    }

    /// Ends the connection: no more calls, and those in flight are lost. Only the first reason counts.
    fn end(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        self.outbox.close();
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

    /// Writes a message that is JSON already.
    fn send(&self, mut message: Vec<u8>) -> Result<(), NotSent> {
        message.push(b'\n');
        self.outbox.send(message)
    }

    /// Tells the server that nobody waits for the answer to `id` any more.
    fn cancel(&self, id: u64) {
        self.counters.cancelled.add_one();
        let params = format!(r#"{{"requestId":{id},"reason":"the caller no longer waits"}}"#);
        // When it cannot be sent, the server is gone or does not read, and would not act on it.
        let _ = self.send(encode::notification("notifications/cancelled", Some(params.as_bytes())));
    }

    fn unavailable(&self, reason: &str) -> CallError {
        CallError::Unavailable { server: self.server.clone(), reason: reason.to_owned() }
    }
}

impl StdioReply {
    /// Waits for the next event. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Event, CallError> {
        self.slot.next().await
    }

    /// Has the reply forgotten in silence when it is dropped: for requests that must not be cancelled.
    pub(crate) const fn forget_on_drop(&mut self) {
        self.cancels_on_drop = false;
    }
}

impl Drop for StdioReply {
    fn drop(&mut self) {
        let was_pending = self.connection.pending.remove(self.id).is_some();
        if was_pending && self.cancels_on_drop {
            self.connection.cancel(self.id);
        }
    }
}

/// Builds the line of a request. The request's id serves as its progress token.
fn request_line(id: u64, exchange: &Exchange<'_>) -> Result<Vec<u8>, CallError> {
    let mut line = Vec::with_capacity(exchange.params.size_hint() + exchange.method.len() + ENVELOPE_BYTES);
    let method = exchange.method;
    write!(line, r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":"#)
        .expect("a Vec takes everything");
    let start = line.len();
    exchange.params.write(&mut line, exchange.params.progress_token().map(|_| id))?;
    flatten(&mut line[start..]);
    line.extend_from_slice(b"}\n");
    Ok(line)
}

/// Takes line ends out of JSON text. They can only stand between its tokens, where a space means the same.
fn flatten(json: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = memchr2(b'\n', b'\r', &json[from..]) {
        json[from + found] = b' ';
        from += found + 1;
    }
}

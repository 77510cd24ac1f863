//! What was sent to one client on its event streams, kept for a while: a client whose stream broke comes back with the
//! id of the last event that it has (`Last-Event-ID`) and goes on from there (specification 2025-11-25, transports).
//!
//! A client that was away for longer than its events are kept misses the oldest of them. A request whose answer is gone is
//! answered with an error. Nothing here outlives its session.

mod budget;
mod id;
mod log;
mod reader;

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use protocol::RequestId;
use tokio::time::Instant;

use self::id::StreamId;
pub(crate) use self::{
    budget::{Budget, Room},
    id::{EventId, StreamKind},
    log::Piece,
    reader::{EventStream, Greeting, Leaving},
};

/// Most streams of one session that are known; a client has one for each call in progress and one or two more.
const MAX_STREAMS: usize = 64;
/// Most bytes that one session keeps: four streams at their most.
pub(super) const SESSION_BYTES: usize = 1024 * 1024;
/// How long a stream is kept on which nothing will come: clients that come back do so within seconds.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// Most bytes that all sessions keep together, messages that wait for a listener among them: little beside what their
/// answers may take while they are on their way.
pub(crate) const ALL_BYTES: usize = 64 * 1024 * 1024;

/// The event streams of one session.
#[derive(Debug)]
pub(crate) struct EventStreams {
    /// What all sessions share; a session that belongs to none keeps nothing.
    whole: Option<Arc<Budget>>,
    /// The session's own part of it, from the first stream or message that waits.
    own: OnceLock<Arc<Budget>>,
    /// The number of the first stream.
    first: u64,
    /// Most sessions have no streams, and then it takes no memory.
    table: Mutex<Option<Box<Table>>>,
}

#[derive(Debug)]
struct Table {
    budget: Arc<Budget>,
    streams: VecDeque<Arc<EventStream>>,
    /// The number of the next stream.
    next: u64,
}

/// What the session keeps has used up its budget, or that of all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session keeps as much as it may")]
pub(super) struct NoRoom;

impl EventStreams {
    /// Makes streams that are numbered from `first` on, which is random: so no event has an id of another session.
    pub(super) const fn starting_at(first: u64) -> Self {
        Self { whole: None, own: OnceLock::new(), first, table: Mutex::new(None) }
    }

    /// From now on events are kept, within a part of `whole`.
    pub(super) fn keep_within(&mut self, whole: Arc<Budget>) {
        self.whole = Some(whole);
    }

    /// Takes room for a message that waits; what is kept of streams that are over goes for it. A session that shares
    /// nothing needs none. Never waits for a lock: who asks may be in the middle of a stream.
    ///
    /// # Errors
    /// [`NoRoom`] when it is not there.
    pub(super) fn room(&self, bytes: usize) -> Result<Option<Room>, NoRoom> {
        if self.whole.is_none() {
            return Ok(None);
        }
        let room = self.own().take(bytes).or_else(|| {
            self.forget_quiet();
            self.own().take(bytes)
        });
        room.map(Some).ok_or(NoRoom)
    }

    /// Returns what the session may keep.
    pub(super) fn own(&self) -> &Arc<Budget> {
        self.own.get_or_init(|| Budget::part_of(self.whole.as_ref(), SESSION_BYTES))
    }

    fn forget_quiet(&self) {
        let Some(table) = self.table.try_lock() else { return };
        for stream in table.iter().flat_map(|table| &table.streams) {
            stream.forget_if_quiet();
        }
    }

    /// Opens a stream, which answers `request` if it is a call's.
    pub(crate) fn open(&self, kind: StreamKind, request: Option<RequestId>) -> Arc<EventStream> {
        let mut table = self.table.lock();
        let table = table.get_or_insert_with(|| {
            Box::new(Table { budget: Arc::clone(self.own()), streams: VecDeque::new(), next: self.first })
        });
        table.make_room();
        let id = StreamId::new(kind, table.next);
        table.next = table.next.wrapping_add(1);
        let stream = Arc::new(EventStream::new(id, request, Arc::clone(&table.budget)));
        table.streams.push_back(Arc::clone(&stream));
        stream
    }

    /// Finds the stream of an event; `None` when there is no such event, or it is too long ago.
    pub(crate) fn find(&self, event: EventId) -> Option<Arc<EventStream>> {
        let table = self.table.lock();
        let stream = table.as_ref()?.streams.iter().find(|stream| stream.id() == event.stream)?;
        stream.has_reached(event.number).then(|| Arc::clone(stream))
    }

    /// Forgets streams that have been quiet for long.
    pub(super) fn forget_old(&self, now: Instant) {
        if let Some(table) = &mut *self.table.lock() {
            let is_old = |since: Instant| now.saturating_duration_since(since) >= KEPT_FOR;
            table.streams.retain(|stream| !stream.quiet_since().is_some_and(is_old));
            if table.streams.is_empty() {
                table.streams = VecDeque::new();
            }
        }
    }
}

impl Table {
    /// Makes room for one more stream and for its events: the longest known go first, quiet ones before others.
    fn make_room(&mut self) {
        while self.streams.len() >= MAX_STREAMS {
            let quiet = self.streams.iter().position(|stream| stream.quiet_since().is_some());
            self.streams.remove(quiet.unwrap_or(0));
        }
        for stream in &self.streams {
            if self.budget.taken() <= SESSION_BYTES / 2 {
                return;
            }
            if stream.quiet_since().is_some() {
                stream.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests;

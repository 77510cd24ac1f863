//! What was sent to one client on its event streams, kept for a while: a client whose stream broke comes back with the
//! id of the last event that it has (`Last-Event-ID`) and goes on from there (specification 2025-11-25, transports).
//!
//! A client that was away for longer than its events are kept misses the oldest of them. A request whose answer is gone is
//! answered with an error. Nothing here outlives its session.

mod budget;
mod id;
mod log;
mod reader;

use std::{collections::VecDeque, sync::Arc, time::Duration};

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
const SESSION_BYTES: usize = 1024 * 1024;
/// How long a stream is kept on which nothing will come: clients that come back do so within seconds.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// Most bytes that all sessions keep together, messages that wait for a listener among them: little beside what their
/// answers may take while they are on their way.
pub(crate) const ALL_BYTES: usize = 64 * 1024 * 1024;

/// The event streams of one session.
#[derive(Debug, Default)]
pub(crate) struct EventStreams {
    /// What all sessions share; a session that belongs to none keeps nothing.
    budget: Option<Arc<Budget>>,
    /// Most sessions have no streams, and then it takes no memory.
    table: Mutex<Option<Box<Table>>>,
}

#[derive(Debug)]
struct Table {
    budget: Arc<Budget>,
    streams: VecDeque<Arc<EventStream>>,
    last: u64,
}

impl EventStreams {
    /// Makes streams whose events are kept within `budget`.
    pub(super) const fn within(budget: Arc<Budget>) -> Self {
        Self { budget: Some(budget), table: Mutex::new(None) }
    }

    /// Returns what all sessions share, if this one does.
    pub(super) const fn shared(&self) -> Option<&Arc<Budget>> {
        self.budget.as_ref()
    }

    /// Opens a stream, which answers `request` if it is a call's.
    pub(crate) fn open(&self, kind: StreamKind, request: Option<RequestId>) -> Arc<EventStream> {
        let mut table = self.table.lock();
        let table = table.get_or_insert_with(|| {
            let budget = Budget::part_of(self.budget.as_ref(), SESSION_BYTES);
            Box::new(Table { budget, streams: VecDeque::new(), last: 0 })
        });
        table.make_room();
        table.last += 1;
        let id = StreamId::new(kind, table.last);
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

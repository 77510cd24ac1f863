//! Who reads a stream: one client connection at a time, or nobody, and then a task that only lets the call go on. What
//! is kept comes first; then the reader itself drives what makes the events, so that a slow client slows them down.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use protocol::{RequestId, code, encode, sse};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{
    budget::Budget,
    id::{EventId, StreamId},
    log::{Cursor, Log, Next, Piece},
};

/// What makes the events of a stream.
pub(crate) type Source = Pin<Box<dyn Stream<Item = io::Result<Piece>> + Send>>;

/// How long a client should wait before it comes back, in milliseconds. As long as common clients wait by themselves.
const RETRY_MS: u64 = 1_000;

/// One event stream of a session.
pub(crate) struct EventStream {
    id: StreamId,
    /// The request that it answers.
    request: Option<RequestId>,
    state: Mutex<State>,
}

struct State {
    log: Log,
    source: Option<Source>,
    /// The newest reader; the others are over.
    turn: u64,
    waiting: Option<Waker>,
    /// Since when nothing will come any more, or nobody listens to what could.
    quiet_since: Option<Instant>,
}

/// What becomes of the source when its reader goes.
#[derive(Debug, Clone)]
pub(crate) enum Leaving {
    /// It goes on without one, in these tasks: a client that goes away does not cancel its call.
    GoOn(TaskTracker),
    /// It ends.
    End,
}

/// How a stream begins for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// With its first event.
    None,
    /// With a comment, so that the client sees it open.
    Comment,
    /// With an event without data, from which the client has an id and a time to come back (from 2025-11-25 on).
    Priming,
}

/// A reader of a stream. It ends when a newer one takes over.
pub(crate) struct Reader {
    stream: Arc<EventStream>,
    turn: u64,
    cursor: Cursor,
    greeting: Option<Bytes>,
    leaving: Leaving,
}

impl EventStream {
    /// Makes a stream that nobody reads yet.
    pub(super) fn new(id: StreamId, request: Option<RequestId>, budget: Arc<Budget>) -> Self {
        let log = Log::new(id, budget);
        let state = State { log, source: None, turn: 0, waiting: None, quiet_since: None };
        Self { id, request, state: Mutex::new(state) }
    }

    /// Returns the stream's id.
    pub(in crate::session) const fn id(&self) -> StreamId {
        self.id
    }

    /// Begins to read a new stream, whose events `source` makes.
    pub(crate) fn begin(self: &Arc<Self>, source: Source, greeting: Greeting, leaving: Leaving) -> Reader {
        self.read(0, Some(source), greeting, leaving)
    }

    /// Goes on after event number `after` for a client that came back, with what is kept and then with what comes. Where
    /// there is a `source`, it replaces the one so far.
    pub(crate) fn resume(self: &Arc<Self>, after: u64, source: Option<Source>, leaving: Leaving) -> Reader {
        self.read(after, source, Greeting::Comment, leaving)
    }

    /// Tells whether there was an event of this number.
    pub(crate) fn has_reached(&self, number: u64) -> bool {
        number <= self.state.lock().log.last()
    }

    /// Returns since when the stream is quiet; `None` while it is not.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        self.state.lock().quiet_since
    }

    /// Forgets the events that are kept.
    pub(super) fn forget(&self) {
        self.state.lock().log.clear();
    }

    /// Forgets the events that are kept of a quiet stream. One whose lock is held is just read, and so is not.
    pub(super) fn forget_if_quiet(&self) {
        let state = self.state.try_lock().filter(|state| state.quiet_since.is_some());
        if let Some(mut state) = state {
            state.log.clear();
        }
    }

    fn read(
        self: &Arc<Self>,
        after: u64,
        source: Option<Source>,
        greeting: Greeting,
        leaving: Leaving,
    ) -> Reader {
        let mut state = self.state.lock();
        state.turn += 1;
        let turn = state.turn;
        let before = source.and_then(|source| {
            state.quiet_since = None;
            state.source.replace(source)
        });
        let waiting = state.waiting.take();
        drop(state);
        drop(before);
        waiting.into_iter().for_each(Waker::wake);
        let cursor = Cursor { number: after, has_part: false };
        let greeting = greeting.bytes(self.id);
        Reader { stream: Arc::clone(self), turn, cursor, greeting, leaving }
    }

    fn poll(&self, turn: u64, cursor: &mut Cursor, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut state = self.state.lock();
        if state.turn != turn {
            return Poll::Ready(None);
        }
        match state.log.next(*cursor) {
            Next::Nothing => {}
            Next::Chunk(chunk, next) => {
                *cursor = next;
                return Poll::Ready(Some(Ok(chunk)));
            }
            Next::Lost if state.is_over_for(*cursor) => {
                *cursor = Cursor { number: u64::MAX, has_part: false };
                let source = state.end();
                drop(state);
                drop(source);
                return Poll::Ready(self.request.as_ref().map(|request| Ok(lost(request))));
            }
            Next::Lost => {}
        }
        self.drive(state, cursor, cx)
    }

    /// Waits for the next piece and enters it.
    fn drive(
        &self,
        mut state: parking_lot::MutexGuard<'_, State>,
        cursor: &mut Cursor,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        // Taken out meanwhile: one that panics is dropped.
        let Some(mut source) = state.source.take() else { return Poll::Ready(None) };
        let next = match source.as_mut().poll_next(cx) {
            Poll::Pending => {
                state.source = Some(source);
                state.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(next) => next,
        };
        match next {
            Some(Ok(piece)) => {
                state.source = Some(source);
                let (chunk, next) = state.log.enter(piece);
                *cursor = next;
                Poll::Ready(Some(Ok(chunk)))
            }
            Some(Err(error)) => {
                state.end();
                drop(state);
                // Dropping a call may write to the trail and wake its upstream, so not under the lock.
                drop(source);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                state.end();
                drop(state);
                drop(source);
                Poll::Ready(None)
            }
        }
    }

    /// The reader of this turn goes.
    fn leave(self: &Arc<Self>, turn: u64, leaving: Leaving) {
        let mut state = self.state.lock();
        if state.turn != turn || state.source.is_none() {
            return;
        }
        match leaving {
            Leaving::End => {
                let source = state.end();
                drop(state);
                drop(source);
            }
            Leaving::GoOn(tasks) => {
                state.turn += 1;
                let turn = state.turn;
                drop(state);
                let cursor = Cursor { number: u64::MAX, has_part: false };
                let stream = Arc::clone(self);
                let reader = Reader { stream, turn, cursor, greeting: None, leaving: Leaving::End };
                tasks.spawn(reader.for_each(|chunk| async move { drop(chunk) }));
            }
        }
    }
}

impl State {
    /// Tells whether a reader that cannot get the next event will get nothing any more: it was the last one, or it is
    /// arriving and its beginning is gone. Lost notifications alone do not end a stream.
    const fn is_over_for(&self, cursor: Cursor) -> bool {
        self.source.is_none() || cursor.number != u64::MAX && self.log.is_arriving()
    }

    /// Nothing will come any more. Returns the source, to be dropped outside the lock.
    fn end(&mut self) -> Option<Source> {
        self.log.break_off();
        self.quiet_since = Some(Instant::now());
        self.source.take()
    }
}

impl Greeting {
    fn bytes(self, stream: StreamId) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::Comment => Some(Bytes::from_static(sse::KEEP_ALIVE)),
            Self::Priming => {
                let id: EventId = stream.event(0);
                Some(format!("id: {id}\nretry: {RETRY_MS}\ndata:\n\n").into())
            }
        }
    }
}

impl Stream for Reader {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(Ok(greeting)));
        }
        let Self { stream, turn, cursor, .. } = &mut *self;
        stream.poll(*turn, cursor, cx)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let leaving = std::mem::replace(&mut self.leaving, Leaving::End);
        self.stream.leave(self.turn, leaving);
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The end of a stream whose answer cannot be sent again.
fn lost(request: &RequestId) -> Bytes {
    let text = "the answer was sent and is not kept any more; the call may have been executed";
    sse::encode(&encode::error(Some(request), code::INTERNAL_ERROR, text, None)).into()
}

//! What comes back from an upstream: notifications that belong to the call, then one final answer.
//! Everything in it is untrusted until `guardrails` screened it.

use std::collections::VecDeque;

use bytes::Bytes;
use guardrails::Untrusted;
use protocol::Era;

use crate::{
    CallError, ServerRequest,
    in_flight::Ticket,
    transports::{ReplySource, http::ResultChunks},
};

/// The answer to one call, as it arrives. Dropping it before the final event cancels the call at the upstream.
pub struct Reply {
    source: Source,
    era: Era,
}

enum Source {
    /// It comes from the upstream.
    Arriving {
        reply: ReplySource,
        /// Makes room for the next call when the reply is over.
        _ticket: Ticket,
    },
    /// It was read before.
    Kept(Option<Bytes>),
}

/// One thing that arrived.
#[derive(Debug)]
pub enum Event {
    /// A notification that belongs to this call: progress (under the client's own token) or a log message.
    Notification {
        /// The method's name.
        method: Box<str>,
        /// The JSON text of its parameters.
        params: Option<Bytes>,
    },
    /// A legacy server asks the client something, and goes on when it is answered.
    Request(ServerRequest),
    /// The final answer: the JSON text of `result`.
    Result(Payload),
    /// The final answer: the JSON text of the `error` object.
    Error(Bytes),
}

/// The JSON text of a result.
#[derive(Debug)]
pub enum Payload {
    /// All of it.
    Whole(Bytes),
    /// It is large and still arriving; its size is bounded by the result limit.
    Streamed(ResultStream),
}

/// A large result that is passed on while it arrives. The chunks, joined, are the JSON text of the result.
pub struct ResultStream {
    chunks: Box<ResultChunks>,
    /// What was looked at, and comes first.
    ahead: VecDeque<Bytes>,
}

impl ResultStream {
    pub(crate) fn new(chunks: ResultChunks) -> Self {
        Self { chunks: Box::new(chunks), ahead: VecDeque::new() }
    }

    /// Gives back chunks that were taken to be looked at, in their order: they come again, before all others.
    pub fn give_back(&mut self, taken: Vec<Bytes>) {
        for chunk in taken.into_iter().rev() {
            self.ahead.push_front(chunk);
        }
    }

    /// Returns the next chunk; `None` at the end of the result. Cancel safe.
    ///
    /// # Errors
    /// [`CallError::Lost`] and [`CallError::TooLarge`]; what was passed on so far is no complete JSON then.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, CallError>> {
        match self.ahead.pop_front() {
            Some(chunk) => Some(Ok(chunk)),
            None => self.chunks.next_chunk().await,
        }
    }
}

impl std::fmt::Debug for ResultStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResultStream")
    }
}

impl Reply {
    pub(crate) const fn arriving(reply: ReplySource, era: Era, ticket: Ticket) -> Self {
        Self { source: Source::Arriving { reply, _ticket: ticket }, era }
    }

    /// Makes the reply of an upstream of `era` out of a result that it gave before and said may be kept.
    pub const fn kept(result: Bytes, era: Era) -> Self {
        Self { source: Source::Kept(Some(result)), era }
    }

    /// Returns the era of the upstream that answers.
    pub const fn era(&self) -> Era {
        self.era
    }

    /// Waits for the next event. Cancel safe. After a final event the reply is over.
    ///
    /// # Errors
    /// [`CallError`] when no final answer will come; the reply is over then as well.
    pub async fn next(&mut self) -> Result<Untrusted<Event>, CallError> {
        match &mut self.source {
            Source::Arriving { reply, .. } => reply.next().await.map(Untrusted::new),
            Source::Kept(result) => match result.take() {
                Some(result) => Ok(Untrusted::new(Event::Result(Payload::Whole(result)))),
                None => std::future::pending().await,
            },
        }
    }
}

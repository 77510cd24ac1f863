//! A large result that is passed on while it arrives: the bytes of the value and nothing of its envelope.
//!
//! The last piece of the value waits until what follows it was judged. So nobody receives a complete result out of
//! an answer that is broken, or is the answer to something else.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use protocol::{Message, RequestId, ResponseBody};

use super::{
    HttpConnection,
    envelope::{Nesting, parse_around},
    utf8::Utf8,
};
use crate::CallError;

/// What may follow a result: a version and an id. More is no envelope.
const MAX_TRAILER_BYTES: usize = 4096;

/// The result of one answer, still arriving.
pub(crate) struct ResultChunks {
    connection: Arc<HttpConnection>,
    body: Incoming,
    value: Value,
    /// What arrived with the head of the answer.
    arrived: Bytes,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Arriving,
    /// The body has ended and its last piece is to be handed out.
    Judged,
    Over,
}

/// Takes the value out of its envelope, piece by piece.
pub(super) struct Value {
    id: RequestId,
    before: Bytes,
    nesting: Nesting,
    utf8: Utf8,
    passed: usize,
    ended: bool,
    /// The piece with which the value ends.
    last: Bytes,
    after: Vec<u8>,
}

/// Why a value cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadValue {
    /// It is not UTF-8.
    NotText,
    /// What stands around it is no answer to our request.
    Envelope,
    /// It ended before its brackets were closed.
    Unfinished,
}

// === impl ResultChunks ===

impl ResultChunks {
    /// Continues an answer whose `value` begins with what `arrived` already.
    pub(super) fn new(connection: Arc<HttpConnection>, value: Value, arrived: Bytes, body: Incoming) -> Self {
        Self { connection, body, value, arrived, state: State::Arriving }
    }

    /// Returns the next chunk. Cancel safe.
    pub(crate) async fn next_chunk(&mut self) -> Option<Result<Bytes, CallError>> {
        let chunk = self.advance().await;
        if !matches!(chunk, Ok(Some(_))) {
            self.state = State::Over;
        }
        chunk.transpose()
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, CallError> {
        while self.state == State::Arriving {
            let piece = std::mem::take(&mut self.arrived);
            let chunk = self.value.accept(piece).map_err(|bad| self.broken(bad))?;
            if self.value.passed > self.connection.result_bytes {
                return Err(self.connection.too_large());
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
            self.receive().await?;
        }
        let last = std::mem::take(&mut self.value.last);
        Ok(Some(last).filter(|last| self.state == State::Judged && !last.is_empty()))
    }

    /// Waits for the next piece, or judges the whole at its end.
    async fn receive(&mut self) -> Result<(), CallError> {
        match self.body.frame().await {
            Some(Ok(frame)) => self.arrived = frame.into_data().unwrap_or_default(),
            Some(Err(_)) => return Err(self.connection.lost("the connection ended within the answer")),
            None => {
                self.value.finish().map_err(|bad| self.broken(bad))?;
                self.state = State::Judged;
            }
        }
        Ok(())
    }

    fn broken(&self, bad: BadValue) -> CallError {
        let what = match bad {
            BadValue::NotText => "its answer is not UTF-8",
            BadValue::Envelope => "its answer is no answer to the request",
            BadValue::Unfinished => "its answer is incomplete",
        };
        self.connection.protocol(what)
    }
}

// === impl Value ===

impl Value {
    /// Makes a reader of the result of the answer to `id`, of which `before` stands before the result.
    pub(super) fn new(id: u64, before: Bytes) -> Self {
        let (nesting, utf8) = (Nesting::default(), Utf8::default());
        let (last, after) = (Bytes::new(), Vec::new());
        Self { id: RequestId::from(id), before, nesting, utf8, passed: 0, ended: false, last, after }
    }

    /// Takes the next piece of the body and returns what can be passed on of it.
    pub(super) fn accept(&mut self, mut piece: Bytes) -> Result<Bytes, BadValue> {
        if self.ended {
            return self.keep(&piece).map(|()| Bytes::new());
        }
        let end = self.nesting.advance(&piece);
        let rest = piece.split_off(end.unwrap_or(piece.len()));
        self.passed += piece.len();
        self.utf8.accept(&piece).map_err(|_| BadValue::NotText)?;
        if end.is_none() {
            return Ok(piece);
        }
        (self.ended, self.last) = (true, piece);
        self.keep(&rest).map(|()| Bytes::new())
    }

    /// Judges the envelope when the body has ended; the last piece may be passed on then.
    pub(super) fn finish(&self) -> Result<(), BadValue> {
        if !self.ended {
            return Err(BadValue::Unfinished);
        }
        match parse_around(&self.before, &self.after) {
            Ok(Message::Response(answer))
                if answer.id.as_ref() == Some(&self.id) && matches!(answer.body, ResponseBody::Result(_)) =>
            {
                Ok(())
            }
            Ok(_) | Err(_) => Err(BadValue::Envelope),
        }
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), BadValue> {
        self.after.extend_from_slice(rest);
        if self.after.len() > MAX_TRAILER_BYTES { Err(BadValue::Envelope) } else { Ok(()) }
    }

    /// Returns the piece that waits for [`Value::finish`].
    #[cfg(test)]
    pub(super) fn take_last(&mut self) -> Bytes {
        std::mem::take(&mut self.last)
    }
}

#[cfg(test)]
mod tests;

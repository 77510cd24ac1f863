//! An answer that is written while it arrives: notifications before the result, a large result chunk by chunk,
//! signs of life while there is nothing else.

use std::io;

use bytes::Bytes;
use guardrails::Cleared;
use protocol::sse;
use tokio::time::timeout;
use upstream::{Event, ResultStream};

use super::{Answering, Outcome, Replying, guarded};
use crate::{
    answer::{self, Encoded},
    call::Running,
    error::Failure,
};

/// How messages stand in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One JSON message, nothing else.
    Json,
    /// Events with one message each.
    Events,
}

/// An answer that is written while it arrives.
pub(super) struct Flow {
    framing: Framing,
    state: State,
}

enum State {
    /// Waiting for the beginning of the answer.
    Answering(Answering),
    /// A message to write, and then the next event.
    Ready(Box<Running>, Bytes),
    /// Waiting for the next event.
    Waiting(Box<Running>),
    /// A large result's beginning is to be written.
    Opening(Box<Running>, Vec<u8>, ResultStream),
    /// A large result is passing through; so many bytes have passed.
    Passing(Box<Running>, ResultStream, u64),
    /// Everything is written.
    Done,
}

impl Flow {
    /// An answer of which nothing is here yet.
    pub(super) const fn answering(answering: Answering, framing: Framing) -> Self {
        Self { framing, state: State::Answering(answering) }
    }

    /// Several messages, the first of which is here.
    pub(super) const fn several(running: Box<Running>, first: Bytes, framing: Framing) -> Self {
        Self { framing, state: State::Ready(running, first) }
    }

    /// A large result that is arriving.
    pub(super) const fn large(
        running: Box<Running>,
        head: Vec<u8>,
        stream: ResultStream,
        framing: Framing,
    ) -> Self {
        Self { framing, state: State::Opening(running, head, stream) }
    }

    /// Returns how messages stand in the body.
    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    /// Returns the next chunk of the body; `None` at its end. A request that its client cancels ends with an error: one
    /// that says so, or a broken body once a part of the result is written.
    pub(super) async fn next_chunk(&mut self, replying: &Replying) -> Option<io::Result<Bytes>> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Answering(answering) => Some(Ok(self.begin(replying, answering).await)),
            State::Ready(running, message) => {
                if replying.is_cancelled() {
                    return Some(Ok(self.cancel(replying, running)));
                }
                self.state = State::Waiting(running);
                Some(Ok(self.before_the_last(&message)))
            }
            State::Waiting(running) => Some(Ok(self.wait(replying, running).await)),
            State::Opening(running, head, stream) => self.open(replying, running, head, stream).await,
            State::Passing(running, stream, passed) => self.pass(replying, running, stream, passed).await,
            State::Done => None,
        }
    }

    /// Waits for the beginning of the answer; a sign of life keeps a quiet connection open.
    async fn begin(&mut self, replying: &Replying, mut answering: Answering) -> Bytes {
        match timeout(replying.proxy.limits.sse_keep_alive(), guarded(answering.as_mut())).await {
            Err(_) => {
                self.state = State::Answering(answering);
                self.keep_alive()
            }
            Ok(Outcome::Message(message)) => self.framed(&message),
            Ok(Outcome::Failed(failure)) => self.framed(&replying.encode_failure(&failure)),
            Ok(Outcome::Several(running, first)) => {
                self.state = State::Waiting(running);
                self.before_the_last(&first)
            }
            Ok(Outcome::Large(running, head, stream)) => {
                self.state = State::Opening(running, head, stream);
                self.keep_alive()
            }
            // A subscription begins at once, so it is never waited for.
            Ok(Outcome::Listening(_)) => self.framed(&replying.encode_failure(&Failure::Internal)),
        }
    }

    /// Waits for the next event; a sign of life keeps a quiet connection open.
    async fn wait(&mut self, replying: &Replying, mut running: Box<Running>) -> Bytes {
        let next = tokio::select! {
            next = timeout(replying.proxy.limits.sse_keep_alive(), running.next()) => next,
            () = replying.cancelled() => return self.cancel(replying, running),
        };
        match next {
            Err(_) => {
                self.state = State::Waiting(running);
                self.keep_alive()
            }
            Ok(Ok(event)) => self.take(replying, running, event),
            Ok(Err(failure)) => {
                running.fail(&failure);
                self.framed(&replying.encode_failure(&failure))
            }
        }
    }

    /// Ends the call and says so. Nothing of its result is written yet.
    fn cancel(&self, replying: &Replying, mut running: Box<Running>) -> Bytes {
        running.fail(&Failure::Cancelled);
        self.framed(&replying.encode_failure(&Failure::Cancelled))
    }

    fn take(&mut self, replying: &Replying, running: Box<Running>, event: Cleared<Event>) -> Bytes {
        match answer::encode_event(event, &replying.id, &running) {
            Encoded::Message(message) => {
                self.state = State::Waiting(running);
                self.before_the_last(&message)
            }
            Encoded::Final(message) => self.framed(&message),
            Encoded::Streamed(head, stream) => {
                self.state = State::Opening(running, head, stream);
                self.keep_alive()
            }
        }
    }

    async fn open(
        &mut self,
        replying: &Replying,
        mut running: Box<Running>,
        head: Vec<u8>,
        mut stream: ResultStream,
    ) -> Option<io::Result<Bytes>> {
        let first = tokio::select! {
            first = running.next_chunk(&mut stream) => first,
            () = replying.cancelled() => return Some(Ok(self.cancel(replying, running))),
        };
        let first = match first {
            Ok(first) => first.unwrap_or_default(),
            Err(failure) => return Some(Err(broken(&failure))),
        };
        let mut out = match self.framing {
            Framing::Json => head,
            Framing::Events => [&b"event: message\ndata: "[..], &head].concat(),
        };
        let rest = answer::open_streamed(&mut out, &first, answer::additions(&running));
        out.extend_from_slice(&self.on_one_line(rest));
        self.state = State::Passing(running, stream, first.len() as u64);
        Some(Ok(out.into()))
    }

    async fn pass(
        &mut self,
        replying: &Replying,
        mut running: Box<Running>,
        mut stream: ResultStream,
        passed: u64,
    ) -> Option<io::Result<Bytes>> {
        let next = tokio::select! {
            // The result may always be ready, so the cancellation is looked at first.
            biased;
            () = replying.cancelled() => {
                running.fail(&Failure::Cancelled);
                return Some(Err(broken(&Failure::Cancelled)));
            }
            next = running.next_chunk(&mut stream) => next,
        };
        match next {
            Ok(Some(chunk)) => {
                self.state = State::Passing(running, stream, passed + chunk.len() as u64);
                Some(Ok(self.on_one_line(chunk)))
            }
            Ok(None) => {
                running.returned(passed);
                Some(Ok(Bytes::from_static(match self.framing {
                    Framing::Json => b"}",
                    Framing::Events => b"}\n\n",
                })))
            }
            Err(failure) => Some(Err(broken(&failure))),
        }
    }

    /// Frames a message that others follow. A client that takes only a single JSON message gets none but the last.
    fn before_the_last(&self, message: &Bytes) -> Bytes {
        match self.framing {
            Framing::Json => self.keep_alive(),
            Framing::Events => self.framed(message),
        }
    }

    fn framed(&self, message: &Bytes) -> Bytes {
        match self.framing {
            Framing::Json => message.clone(),
            Framing::Events => sse::encode(message).into(),
        }
    }

    /// A sign of life: a comment between events, white space before a JSON message.
    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(match self.framing {
            Framing::Json => b" ",
            Framing::Events => sse::KEEP_ALIVE,
        })
    }

    /// In an event a line end would begin a new field. In JSON one can only be white space between tokens.
    fn on_one_line(&self, chunk: Bytes) -> Bytes {
        match self.framing {
            Framing::Json => chunk,
            Framing::Events => answer::on_one_line(chunk),
        }
    }
}

fn broken(failure: &Failure) -> io::Error {
    io::Error::other(failure.to_string())
}

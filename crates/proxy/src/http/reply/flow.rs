//! An answer that is written while it arrives: notifications before the result, a large result piece by piece,
//! signs of life while there is nothing else. How the pieces stand in the body is in `framing.rs`.

use std::io;

use bytes::Bytes;
use guardrails::Cleared;
use tokio::time::timeout;
use upstream::{Event, ResultStream};

use super::{Answering, Outcome, Replying, guarded};
use crate::{
    answer::{self, Encoded},
    call::Running,
    error::Failure,
    session::Piece,
    vouching::Lost,
};

/// An answer that is written while it arrives.
pub(super) struct Flow {
    state: State,
    /// Completes when what the caller has begun may not go on.
    revoked: Lost,
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
    /// The only message is to be written.
    Single(Bytes),
    /// Everything is written.
    Done,
}

impl Flow {
    /// An answer of which nothing is here yet.
    pub(super) const fn answering(answering: Answering, revoked: Lost) -> Self {
        Self { state: State::Answering(answering), revoked }
    }

    /// Several messages, the first of which is here.
    pub(super) const fn several(running: Box<Running>, first: Bytes, revoked: Lost) -> Self {
        Self { state: State::Ready(running, first), revoked }
    }

    /// A large result that is arriving.
    pub(super) const fn large(
        running: Box<Running>,
        head: Vec<u8>,
        stream: ResultStream,
        revoked: Lost,
    ) -> Self {
        Self { state: State::Opening(running, head, stream), revoked }
    }

    /// A single message, which is here.
    pub(super) fn single(message: Bytes) -> Self {
        Self { state: State::Single(message), revoked: Box::pin(std::future::pending()) }
    }

    /// Returns the next piece of the answer; `None` at its end. A request that its client cancels, or loses the right
    /// to, ends with an error: one that says so, or a broken body once a part of the result is written.
    pub(super) async fn next_piece(&mut self, replying: &Replying) -> Option<io::Result<Piece>> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Answering(answering) => Some(Ok(self.begin(replying, answering).await)),
            State::Ready(running, message) => {
                if replying.is_cancelled() {
                    return Some(Ok(cancel(replying, running)));
                }
                Some(Ok(self.go_on(running, message)))
            }
            State::Waiting(running) => Some(Ok(self.wait(replying, running).await)),
            State::Opening(running, head, stream) => self.open(replying, running, head, stream).await,
            State::Passing(running, stream, passed) => self.pass(replying, running, stream, passed).await,
            State::Single(message) => Some(Ok(Piece::Last(message))),
            State::Done => None,
        }
    }

    /// Waits for the beginning of the answer; a sign of life keeps a quiet connection open.
    async fn begin(&mut self, replying: &Replying, mut answering: Answering) -> Piece {
        let begun = tokio::select! {
            biased;
            () = &mut self.revoked => return Piece::Last(replying.encode_failure(&Failure::Cancelled)),
            begun = timeout(replying.proxy.limits.sse_keep_alive(), guarded(answering.as_mut())) => begun,
        };
        match begun {
            Err(_) => {
                self.state = State::Answering(answering);
                Piece::Alive
            }
            Ok(Outcome::Message(message) | Outcome::Refused(_, message)) => Piece::Last(message),
            Ok(Outcome::Failed(failure)) => Piece::Last(replying.encode_failure(&failure)),
            Ok(Outcome::Several(running, first)) => self.go_on(running, first),
            Ok(Outcome::Large(running, head, stream)) => {
                self.state = State::Opening(running, head, stream);
                Piece::Alive
            }
            // A subscription begins at once, so it is never waited for.
            Ok(Outcome::Listening(_)) => Piece::Last(replying.encode_failure(&Failure::Internal)),
        }
    }

    /// Waits for the next event; a sign of life keeps a quiet connection open.
    async fn wait(&mut self, replying: &Replying, mut running: Box<Running>) -> Piece {
        let next = tokio::select! {
            // Events may always be ready, so the end is looked at first.
            biased;
            () = self.unwanted(replying) => return cancel(replying, running),
            message = replying.withdrawn() => return self.go_on(running, message),
            next = timeout(replying.proxy.limits.sse_keep_alive(), running.next()) => next,
        };
        match next {
            Err(_) => {
                self.state = State::Waiting(running);
                Piece::Alive
            }
            Ok(Ok(event)) => self.take(replying, running, event),
            Ok(Err(failure)) => {
                running.fail(&failure);
                Piece::Last(replying.encode_failure(&failure))
            }
        }
    }

    /// Completes when the client does not want the answer, or may not have it any more.
    async fn unwanted(&mut self, replying: &Replying) {
        tokio::select! {
            biased;
            () = &mut self.revoked => {}
            () = replying.cancelled() => {}
        }
    }

    fn take(&mut self, replying: &Replying, running: Box<Running>, event: Cleared<Event>) -> Piece {
        match replying.encode_event(event, &running) {
            Encoded::Message(message) => self.go_on(running, message),
            Encoded::Final(message) | Encoded::Refused(_, message) => Piece::Last(message),
            Encoded::Streamed(head, stream) => {
                self.state = State::Opening(running, head, stream);
                Piece::Alive
            }
        }
    }

    /// Writes a message that others follow; an empty one stands for none.
    fn go_on(&mut self, running: Box<Running>, message: Bytes) -> Piece {
        self.state = State::Waiting(running);
        if message.is_empty() { Piece::Alive } else { Piece::Messages(vec![message]) }
    }

    async fn open(
        &mut self,
        replying: &Replying,
        mut running: Box<Running>,
        mut head: Vec<u8>,
        mut stream: ResultStream,
    ) -> Option<io::Result<Piece>> {
        let first = tokio::select! {
            biased;
            () = self.unwanted(replying) => return Some(Ok(cancel(replying, running))),
            first = running.next_chunk(&mut stream) => first,
        };
        let first = match first {
            Ok(first) => first.unwrap_or_default(),
            Err(failure) => return Some(Err(broken(&failure))),
        };
        let rest = answer::open_streamed(&mut head, &first, answer::additions(&running));
        head.extend_from_slice(&rest);
        self.state = State::Passing(running, stream, first.len() as u64);
        Some(Ok(Piece::Begin(head.into())))
    }

    async fn pass(
        &mut self,
        replying: &Replying,
        mut running: Box<Running>,
        mut stream: ResultStream,
        passed: u64,
    ) -> Option<io::Result<Piece>> {
        let next = tokio::select! {
            // The result may always be ready, so the cancellation is looked at first.
            biased;
            () = self.unwanted(replying) => {
                running.fail(&Failure::Cancelled);
                return Some(Err(broken(&Failure::Cancelled)));
            }
            next = running.next_chunk(&mut stream) => next,
        };
        match next {
            Ok(Some(chunk)) => {
                self.state = State::Passing(running, stream, passed + chunk.len() as u64);
                Some(Ok(Piece::More(chunk)))
            }
            Ok(None) => {
                running.returned(passed);
                Some(Ok(Piece::End(Bytes::from_static(b"}"))))
            }
            Err(failure) => Some(Err(broken(&failure))),
        }
    }
}

/// Ends the call and says so. Nothing of its result is written yet.
fn cancel(replying: &Replying, mut running: Box<Running>) -> Piece {
    running.fail(&Failure::Cancelled);
    Piece::Last(replying.encode_failure(&Failure::Cancelled))
}

fn broken(failure: &Failure) -> io::Error {
    io::Error::other(failure.to_string())
}

//! One request to its last message. What comes before the last one (progress, log messages, what servers ask) is sent
//! on the way; who sends the last one, and where it stands, is the caller's matter.

use std::sync::Arc;

use bytes::Bytes;
use guardrails::Cleared;
use protocol::{Era, Request, RequestId, code, encode};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use upstream::{Event, ResultStream};

use super::{
    asking::Asking,
    collecting::Last,
    outbox::Outbox,
    share::{Part, Share},
};
use crate::{
    Proxy,
    admission::Admission,
    answer::{self, Encoded},
    call::{self, Running},
    error::Failure,
    methods::{self, Answer, Listening},
};

/// Where the messages of requests go that run at the same time.
pub(crate) struct Exchange {
    /// The gateway.
    pub(crate) proxy: Arc<Proxy>,
    /// To the client; `None` when it takes nothing but last messages.
    pub(crate) outbox: Option<Arc<Outbox>>,
    /// How large the last messages may be.
    pub(crate) share: Share,
    /// Completes when there is nobody to tell or to ask any more.
    pub(crate) closed: CancellationToken,
}

/// Builds the answer to a request that failed.
pub(crate) fn failed(failure: &Failure, request: &Request, era: Era) -> Bytes {
    answer::encode_failure(failure, &request.id, &*request.method == "tools/call", era)
}

impl Exchange {
    /// Answers an admitted request; returns the last message. A subscription that ends because its client is gone has
    /// none. Dropping the future cancels the request. What is returned is to be held until the message is handed on.
    pub(crate) async fn answer(&self, admission: Admission, request: &Request) -> Option<Last> {
        let era = admission.era();
        let last = match methods::answer(&self.proxy, admission, request.clone()).await {
            Ok(Answer::Result(result)) => {
                Ok(self.unless_too_large(&request.id, encode::result(&request.id, &result).into()).into())
            }
            Ok(Answer::Running(running)) => self.follow(running, request).await,
            Ok(Answer::Listening(listening)) => return self.listen(listening).await.map(Last::from),
            Err(failure) => Err(failure),
        };
        Some(last.unwrap_or_else(|failure| failed(&failure, request, era).into()))
    }

    /// Sends a message. A client that is gone hears nothing; whoever reads from it notices.
    pub(crate) async fn send(&self, message: Bytes) {
        if let Some(outbox) = &self.outbox {
            outbox.send(message).await;
        }
    }

    /// Waits until no message waits for room: before that nothing more is begun for this client. Cancel safe.
    pub(super) async fn has_room(&self) {
        if let Some(outbox) = &self.outbox {
            outbox.has_room().await;
        }
    }

    /// Returns a message of our own, or an error in its place when it is too large.
    fn unless_too_large(&self, id: &RequestId, message: Bytes) -> Bytes {
        if self.share.take(message.len()) {
            return message;
        }
        let text = format!("the answer is larger than {} bytes", self.share.limit());
        encode::error(Some(id), code::INTERNAL_ERROR, &text, None).into()
    }

    async fn follow(&self, mut running: Box<Running>, request: &Request) -> Result<Last, Failure> {
        let asking = Asking::of(&running);
        loop {
            let event = tokio::select! {
                event = running.next() => event?,
                message = asking.withdrawn() => {
                    self.notify(message).await;
                    continue;
                }
                () = asking.deserted(&self.closed) => continue,
            };
            let Some(event) = self.unless_question(event, &asking).await else { continue };
            match answer::encode_event(event, &request.id, &running) {
                Encoded::Message(message) => self.offer(message).await,
                Encoded::Final(message) | Encoded::Refused(_, message) => {
                    let has_room = self.share.take(message.len());
                    return if has_room {
                        Ok(message.into())
                    } else {
                        Err(running.too_large(self.share.limit()))
                    };
                }
                Encoded::Streamed(head, stream) => return self.collect(&mut running, head, stream).await,
            }
        }
    }

    /// Puts what a server asks to the client. One that takes nothing but last messages is asked on a standing stream,
    /// if it has one; one that is gone is not asked.
    async fn unless_question(&self, event: Cleared<Event>, asking: &Asking) -> Option<Cleared<Event>> {
        if !matches!(event.get(), Event::Request(_)) {
            return Some(event);
        }
        let Event::Request(request) = event.into_inner() else { return None };
        if self.closed.is_cancelled() {
            request.refuse();
        } else if self.outbox.is_none() {
            asking.ask_elsewhere(request);
        } else if let Some(message) = asking.ask(request) {
            self.closed.run_until_cancelled(self.notify(message)).await;
        }
        None
    }

    /// A message cannot be begun before its end is sure, or a broken one would swallow the next.
    async fn collect(
        &self,
        running: &mut Running,
        mut message: Vec<u8>,
        mut stream: ResultStream,
    ) -> Result<Last, Failure> {
        let mut part = self.share.begin();
        let first = running.next_chunk(&mut stream).await?.unwrap_or_default();
        let rest = answer::open_streamed(&mut message, &first, answer::additions(running));
        let (mut bytes, mut chunk) = (first.len() as u64, rest);
        loop {
            // One more byte closes the message.
            let grown = if part.grow_to(message.len() + chunk.len() + 1) {
                self.has_turn(&mut part).await
            } else {
                Err(running.too_large(self.share.limit()))
            };
            grown.inspect_err(|failure| running.fail(failure))?;
            message.extend_from_slice(&chunk);
            let Some(next) = running.next_chunk(&mut stream).await? else { break };
            bytes += next.len() as u64;
            chunk = next;
        }
        message.push(b'}');
        running.returned(bytes);
        Ok(Last { message: message.into(), held: part.keep() })
    }

    /// Waits until a message may grow; not longer than a call may take, and not when running calls are given up.
    async fn has_turn(&self, part: &mut Part<'_>) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = part.has_turn() => Ok(()),
            () = self.proxy.drain.over().cancelled() => Err(Failure::ShuttingDown),
            () = sleep(call::HARD_LIMIT) => Err(Failure::Overloaded { limit: self.proxy.limits.in_flight() }),
        }
    }

    async fn listen(&self, mut listening: Box<Listening>) -> Option<Bytes> {
        loop {
            tokio::select! {
                // The reader ends when the gateway stops, so `closed` follows; the client is told all the same.
                biased;
                () = self.proxy.drain.stopping().cancelled() => return Some(listening.end()),
                () = self.closed.cancelled() => return None,
                messages = listening.next(&self.proxy) => {
                    for message in messages {
                        self.notify(message).await;
                    }
                }
            }
        }
    }

    /// Sends progress and log messages, which a client that does not read goes without; those longer than a line, everyone.
    async fn offer(&self, message: Bytes) {
        if let Some(outbox) = self.outbox.as_ref().filter(|_| message.len() <= self.share.limit()) {
            self.proxy.drain.over().run_until_cancelled(outbox.offer(message)).await;
        }
    }

    /// Sends what comes before the last message and must not be lost. Once running calls are given up, one whose client
    /// does not read must not wait for it, or its own end would not be recorded.
    async fn notify(&self, message: Bytes) {
        self.proxy.drain.over().run_until_cancelled(self.send(message)).await;
    }
}

//! Ends an event stream or answer whose client does not take it. A body makes progress only while somebody reads it, so
//! the bounds of a call (`call/deadline.rs`) stand still with a client that does not read; this one runs outside of the body.
//! Ending it drops what made the chunks: of a call, the places here and at its upstream are free, unless the client may
//! come back for it (`session/events`). The connection of one that does not read is closed by `http/patient.rs`.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use crate::{call, config::Limits};

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Patience {
    /// How long a client may leave a chunk untaken.
    stall: Duration,
    /// How long all of it may take, whatever the client does.
    longest: Duration,
}

/// Ten years: longer than any process lives, and still a time that can be reckoned with.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Patience {
    /// Returns what answers get: after the call's own limit, the client has as long as one stall to take what is left.
    pub(in crate::http) const fn with_answers(limits: &Limits) -> Self {
        Self { stall: limits.stall(), longest: call::HARD_LIMIT.saturating_add(limits.stall()) }
    }

    /// Returns what streams get that stand until their client goes.
    pub(in crate::http) const fn with_standing(limits: &Limits) -> Self {
        Self { stall: limits.stall(), longest: FOR_EVER }
    }
}

/// The chunks of an answer, watched from outside.
pub(in crate::http) struct Watched {
    answer: Arc<Mutex<Answer>>,
    watchdog: AbortHandle,
}

struct Answer {
    /// `None` when it is over.
    chunks: Option<Chunks>,
    /// Since when a chunk is with the client; `None` while the client waits for the next one.
    handed_out: Option<Instant>,
    /// Whom to tell that the answer was ended; the last to wait for a chunk.
    waiting: Option<Waker>,
    was_ended: bool,
}

impl Watched {
    /// Begins to watch an answer. Needs a runtime with time.
    pub(in crate::http) fn new(
        chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        patience: Patience,
    ) -> Self {
        let answer = Answer {
            chunks: Some(Box::pin(chunks)),
            handed_out: Some(Instant::now()),
            waiting: None,
            was_ended: false,
        };
        let answer = Arc::new(Mutex::new(answer));
        let watchdog = tokio::spawn(watch(Arc::downgrade(&answer), patience)).abort_handle();
        Self { answer, watchdog }
    }
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.answer.lock().poll_next(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watchdog.abort();
    }
}

impl Answer {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some(chunks) = self.chunks.as_mut() else {
            let ended = std::mem::take(&mut self.was_ended);
            return Poll::Ready(ended.then(|| Err(io::ErrorKind::TimedOut.into())));
        };
        self.handed_out = None;
        let next = chunks.as_mut().poll_next(cx);
        match &next {
            Poll::Pending => match &mut self.waiting {
                Some(waiting) => waiting.clone_from(cx.waker()),
                None => self.waiting = Some(cx.waker().clone()),
            },
            Poll::Ready(Some(_)) => self.handed_out = Some(Instant::now()),
            Poll::Ready(None) => self.chunks = None,
        }
        next
    }

    /// Returns until when the answer may go on as it is; not longer than `last`.
    fn may_go_on(&self, patience: Patience, last: Instant) -> Instant {
        (self.handed_out.unwrap_or_else(Instant::now) + patience.stall).min(last)
    }

    fn end(&mut self) -> (Option<Chunks>, Option<Waker>) {
        self.was_ended = self.chunks.is_some();
        (self.chunks.take(), self.waiting.take())
    }
}

async fn watch(answer: Weak<Mutex<Answer>>, patience: Patience) {
    let last = Instant::now() + patience.longest;
    let mut until = Instant::now() + patience.stall;
    loop {
        sleep_until(until).await;
        let Some(answer) = answer.upgrade() else { return };
        let mut answer = answer.lock();
        until = answer.may_go_on(patience, last);
        if until <= Instant::now() {
            let (chunks, waiting) = answer.end();
            drop(answer);
            // Dropping the call may write to the trail and wake its upstream, so not under the lock.
            drop(chunks);
            tracing::info!("an answer was ended, because its client did not take it");
            return waiting.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::sync::oneshot;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// An answer of one chunk and then nothing, and what completes when it is dropped.
    fn endless() -> (impl Stream<Item = io::Result<Bytes>> + Send, oneshot::Receiver<()>) {
        let (held, dropped) = oneshot::channel::<()>();
        let first = futures_util::stream::iter([Ok(Bytes::from_static(b"x"))]);
        let rest = futures_util::stream::pending().map(move |item| {
            let _ = &held;
            item
        });
        (first.chain(rest), dropped)
    }

    #[tokio::test]
    async fn a_client_that_does_not_take_its_answer_loses_it() {
        let (chunks, dropped) = endless();
        let mut watched = Watched::new(chunks, Patience { stall: Duration::from_millis(10), longest: LONG });
        assert_eq!(watched.next().await.unwrap().unwrap(), "x");
        assert!(dropped.await.is_err(), "the answer is gone while its client holds the body");
        assert_eq!(watched.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(watched.next().await.is_none());
    }

    #[tokio::test]
    async fn a_client_that_waits_is_told_of_the_end() {
        let (chunks, _dropped) = endless();
        let longest = Duration::from_secs(1);
        let mut watched = Watched::new(chunks, Patience { stall: longest / 2, longest });
        let began = Instant::now();
        assert!(watched.next().await.unwrap().is_ok());
        assert!(watched.next().await.unwrap().is_err());
        assert!(began.elapsed() >= longest, "waiting is no stall");
    }

    #[tokio::test]
    async fn an_answer_goes_with_its_body() {
        let (chunks, dropped) = endless();
        drop(Watched::new(chunks, Patience::with_answers(&Limits::default())));
        assert!(dropped.await.is_err());
    }
}

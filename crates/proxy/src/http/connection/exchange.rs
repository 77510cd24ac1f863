//! One request over HTTP/2 and its answer, followed until the client has taken all of it. A socket is not full because of
//! an answer that the client gives no window for, so `http/patient.rs` does not see it; here it is known what was handed
//! to hyper, and whether that left. When it has to end: `traffic`.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{super::body::ReplyBody, traffic::Traffic};

/// The most that is handed out at once, in bytes: the payload of one frame as long as the peer allows no larger ones
/// (RFC 9113, section 6.5.2). This much leaves at once or stays, and so much stays of an answer that was cut.
const PIECE: usize = 16 * 1024;

/// A request in progress on an HTTP/2 connection. It ends when its last holder drops it: whoever prepares the answer, the
/// body of the answer, and each piece of it that did not leave yet.
#[derive(Debug)]
pub(super) struct Exchange {
    traffic: Arc<Traffic>,
    answer: Mutex<Answer>,
}

/// What is left of the answer, and with whom it is.
#[derive(Default)]
struct Answer {
    body: Option<ReplyBody>,
    /// Of the body's last chunk, what was not handed out yet.
    rest: Bytes,
    /// Whether something of that chunk was.
    is_part: bool,
    /// Since when the client is to take something; `None` while it waits for us.
    waiting_since: Option<Instant>,
    is_cut: bool,
}

/// The body of an answer as it is handed to hyper.
pub(super) enum Outgoing {
    /// As it is.
    Plain(ReplyBody),
    /// In pieces whose way out is followed.
    Followed(Following),
}

/// The answer of an exchange. Dropping it drops what was not handed out.
pub(super) struct Following(Arc<Exchange>);

/// A piece of an answer that did not leave yet.
struct Piece {
    bytes: Bytes,
    _exchange: Arc<Exchange>,
}

// === impl Exchange ===

impl Exchange {
    /// Makes an exchange without an answer, which `traffic` has to count.
    pub(super) fn new(traffic: Arc<Traffic>) -> Self {
        Self { traffic, answer: Mutex::default() }
    }

    /// Begins to hand out the answer.
    pub(super) fn answer(self: Arc<Self>, body: ReplyBody) -> Outgoing {
        let waiting_since = Some(Instant::now());
        *self.answer.lock() = Answer { body: Some(body), waiting_since, ..Answer::default() };
        Outgoing::Followed(Following(self))
    }

    /// Tells since when the client is to take something and does not; `None` when it waits for us.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.answer.lock().waiting_since
    }

    /// Takes the content from the answer, so that the client sees it as incomplete if it ever takes the rest. Tells
    /// whether it had any: of one that was handed out to its end nothing is lost.
    pub(super) fn cut(&self) -> bool {
        let mut answer = self.answer.lock();
        let had_content = answer.has_content();
        answer.is_cut |= had_content;
        let content = answer.take();
        drop(answer);
        // Dropping a call may write to the trail and wake its upstream, so not under the lock.
        drop(content);
        had_content
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.traffic.ended();
    }
}

// === impl Answer ===

impl Answer {
    fn take(&mut self) -> (Option<ReplyBody>, Bytes) {
        (self.body.take(), std::mem::take(&mut self.rest))
    }

    fn is_over(&self) -> bool {
        !self.is_cut && !self.has_content()
    }

    /// Tells whether something was not handed out yet, or may come.
    fn has_content(&self) -> bool {
        !self.rest.is_empty() || self.body.as_ref().is_some_and(|body| !body.is_end_stream())
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if std::mem::take(&mut self.is_cut) {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        while self.rest.is_empty() {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            // hyper asks when what it had is with the connection, and for one piece more than the client's window takes.
            self.waiting_since = None;
            match std::task::ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    self.rest = frame.into_data().unwrap_or_default();
                    self.is_part = false;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.body = None,
            }
        }
        self.waiting_since = Some(Instant::now());
        Poll::Ready(Some(Ok(self.next_piece())))
    }

    /// Takes a piece off the rest. A part is copied: it would keep all of its chunk, and may stay when the others went.
    fn next_piece(&mut self) -> Bytes {
        self.is_part |= self.rest.len() > PIECE;
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        if self.is_part { Bytes::copy_from_slice(&piece) } else { piece }
    }
}

impl std::fmt::Debug for Answer {
    /// Without its content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("waiting_since", &self.waiting_since).finish_non_exhaustive()
    }
}

// === impl Outgoing ===

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Followed(Following(exchange)) => {
                let piece = exchange.answer.lock().poll_piece(cx);
                let held = |bytes| Bytes::from_owner(Piece { bytes, _exchange: exchange.clone() });
                piece.map(|piece| piece.map(|piece| piece.map(|bytes| Frame::data(held(bytes)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Followed(Following(exchange)) => exchange.answer.lock().is_over(),
        }
    }

    /// hyper asks before the first piece, when nothing is taken off yet.
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Followed(Following(exchange)) => {
                let answer = exchange.answer.lock();
                let body = answer.body.as_ref().filter(|_| answer.rest.is_empty());
                body.map(Body::size_hint).unwrap_or_default()
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut answer = self.0.answer.lock();
        // What was handed out and did not leave is all that the client is to take.
        answer.waiting_since.get_or_insert_with(Instant::now);
        let content = answer.take();
        drop(answer);
        drop(content);
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    const STALL: Duration = Duration::from_millis(20);

    fn whole(size: usize) -> ReplyBody {
        ReplyBody::Whole(vec![b'x'; size].into())
    }

    #[tokio::test]
    async fn an_answer_comes_in_pieces_and_is_followed_until_the_last_has_left() {
        let traffic = Traffic::new(STALL);
        let exchange = traffic.begin();
        let followed = Arc::downgrade(&exchange);
        let mut body = exchange.answer(whole(2 * PIECE + 1));
        assert_eq!(body.size_hint().exact(), Some(2 * PIECE as u64 + 1));
        let mut pieces = Vec::new();
        while !body.is_end_stream() {
            pieces.push(body.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        drop(body);
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, 1]);
        let last = pieces.pop();
        drop(pieces);
        assert!(followed.upgrade().unwrap().waiting_since().is_some(), "the client is to take it");
        drop(last);
        assert!(followed.upgrade().is_none());
    }

    #[tokio::test]
    async fn an_answer_that_was_cut_looks_incomplete() {
        let traffic = Traffic::new(STALL);
        let exchange = traffic.begin();
        let mut body = exchange.clone().answer(whole(2 * PIECE));
        assert!(body.frame().await.unwrap().is_ok());
        assert!(exchange.cut());
        assert!(!exchange.cut(), "once");
        assert!(!body.is_end_stream());
        assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn an_answer_of_which_all_was_handed_out_is_not_cut() {
        let traffic = Traffic::new(STALL);
        let exchange = traffic.begin();
        let mut body = exchange.clone().answer(whole(PIECE));
        let untaken = body.frame().await;
        assert!(body.is_end_stream(), "which hyper asks with the last piece");
        assert!(!exchange.cut(), "it arrives whole if the client takes it");
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());
        drop(untaken);
    }

    #[tokio::test]
    async fn one_that_waits_for_us_does_not_stall() {
        let traffic = Traffic::new(STALL);
        let exchange = traffic.begin();
        let mut body = exchange.clone().answer(ReplyBody::stream(futures_util::stream::pending()));
        assert!(exchange.waiting_since().is_some(), "until it is asked for");
        assert!(futures_util::poll!(body.frame()).is_pending());
        assert!(exchange.waiting_since().is_none());
    }
}

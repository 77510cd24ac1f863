//! The body of a fake server's answer: whole, or in pieces as a task sends them, or broken off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Pieces that may wait to be written. Few, so that a caller that does not read is felt.
const WAITING: usize = 4;

/// A body.
pub(super) enum FakeBody {
    /// All of it, once.
    Whole(Bytes),
    /// Pieces as they come; an error breaks the connection.
    Pieces(mpsc::Receiver<io::Result<Bytes>>),
}

/// Where the pieces of a body are put.
pub(super) struct Sink(mpsc::Sender<io::Result<Bytes>>);

/// The caller is gone.
pub(super) struct Gone;

impl FakeBody {
    /// Makes a body of pieces.
    pub(super) fn pieces() -> (Self, Sink) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self::Pieces(receiver), Sink(sender))
    }
}

impl Sink {
    /// Sends a piece.
    pub(super) async fn send(&self, piece: impl Into<Bytes>) -> Result<(), Gone> {
        self.0.send(Ok(piece.into())).await.map_err(|_| Gone)
    }

    /// Sends one event of an event stream.
    pub(super) async fn event(&self, message: &[u8]) -> Result<(), Gone> {
        self.send([b"event: message\ndata: ", message, b"\n\n"].concat()).await
    }

    /// Breaks the connection.
    pub(super) async fn cut(self) {
        let _ = self.0.send(Err(io::ErrorKind::ConnectionReset.into())).await;
    }

    /// Waits until the caller is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}

impl Body for FakeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

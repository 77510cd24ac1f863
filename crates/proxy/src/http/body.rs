//! The bodies of our answers: whole, or a stream of chunks.

use std::{
    io,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::{Body, Frame, SizeHint};

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body of an answer.
pub(super) enum ReplyBody {
    /// All of it, once.
    Whole(Bytes),
    /// Chunks as they come. An error breaks the connection, so that the client sees an incomplete answer as such.
    Stream(Chunks),
}

impl ReplyBody {
    /// Returns a body without content.
    pub(super) const fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// Makes a body of chunks. A panic breaks it off as an error does, and no other answer on the connection.
    pub(super) fn stream(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        let guarded = AssertUnwindSafe(chunks).catch_unwind();
        Self::Stream(Box::pin(guarded.map(|chunk| {
            chunk.unwrap_or_else(|_| {
                tracing::error!("an answer panicked while it was sent; the panic message stands above");
                Err(io::Error::other("internal error"))
            })
        })))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(chunks) => {
                chunks.as_mut().poll_next(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_breaks_the_answer_off() {
        let chunks = futures_util::stream::iter(0..3).map(|number| {
            assert!(number < 1, "on purpose");
            Ok(Bytes::from_static(b"chunk"))
        });
        let mut body = ReplyBody::stream(chunks);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "chunk");
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }
}

//! Work that outlives the client who asked for it: in the legacy era a lost connection is no cancellation
//! (specification 2025-11-25, transports). Polled in place as long as the client is there; only when it goes does
//! the rest move into a task of its own.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use tokio_util::task::TaskTracker;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type BoxedStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// Makes futures and streams that finish even when they are dropped.
pub(crate) struct Detached;

impl Detached {
    /// Wraps a future; dropped unfinished, it goes on in `tasks` and its output is dropped.
    pub(crate) fn future<T: Send + 'static>(
        tasks: TaskTracker,
        future: impl Future<Output = T> + Send + 'static,
    ) -> DetachedFuture<T> {
        DetachedFuture { tasks, future: Some(Box::pin(future)) }
    }

    /// Wraps a stream; dropped unfinished, it is read to its end in `tasks` and its items are dropped.
    pub(crate) fn stream<T: Send + 'static>(
        tasks: TaskTracker,
        stream: impl Stream<Item = T> + Send + 'static,
    ) -> DetachedStream<T> {
        DetachedStream { tasks, stream: Some(Box::pin(stream)) }
    }
}

/// See [`Detached::future`].
pub(crate) struct DetachedFuture<T: Send + 'static> {
    tasks: TaskTracker,
    future: Option<Boxed<T>>,
}

impl<T: Send + 'static> Future for DetachedFuture<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let future = self.future.as_mut().expect("a future is not polled after it has ended");
        let output = std::task::ready!(future.as_mut().poll(cx));
        self.future = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for DetachedFuture<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.tasks.spawn(async move { drop(future.await) });
        }
    }
}

/// See [`Detached::stream`].
pub(crate) struct DetachedStream<T: Send + 'static> {
    tasks: TaskTracker,
    stream: Option<BoxedStream<T>>,
}

impl<T: Send + 'static> Stream for DetachedStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Ready(None) };
        let item = std::task::ready!(stream.as_mut().poll_next(cx));
        if item.is_none() {
            self.stream = None;
        }
        Poll::Ready(item)
    }
}

impl<T: Send + 'static> Drop for DetachedStream<T> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.tasks.spawn(stream.for_each(|item| async move { drop(item) }));
        }
    }
}

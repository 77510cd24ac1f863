//! What became of lines that went to the kernel together, for those who wait for it; and the pause in which others
//! can join them.

use std::{
    future::poll_fn,
    io,
    sync::{Arc, OnceLock},
    task::Poll,
};

/// The verdict on the lines of one write, before and after it is known.
#[derive(Debug, Default)]
pub(crate) struct Verdict(Arc<OnceLock<Result<(), Reason>>>);

/// A line's place among those that are written together.
#[derive(Debug)]
pub(crate) struct Seat(Arc<OnceLock<Result<(), Reason>>>);

/// Why a write failed. Unlike [`io::Error`] it can be told to everybody concerned.
#[derive(Debug, Clone, Copy)]
struct Reason {
    system: Option<i32>,
    kind: io::ErrorKind,
}

impl Verdict {
    /// Gives a seat to a line.
    pub(crate) fn seat(&self) -> Seat {
        Seat(Arc::clone(&self.0))
    }

    /// Tells everybody seated what became of their lines.
    pub(crate) fn settle(self, written: &io::Result<()>) {
        let reason = |error: &io::Error| Reason { system: error.raw_os_error(), kind: error.kind() };
        // Each write has a verdict of its own: it was taken out of the inbox for that.
        let _settled = self.0.set(written.as_ref().copied().map_err(reason));
    }
}

impl Seat {
    /// Returns what became of the line; `None` while it is not written.
    pub(crate) fn verdict(&self) -> Option<io::Result<()>> {
        let error =
            |reason: Reason| reason.system.map_or_else(|| reason.kind.into(), io::Error::from_raw_os_error);
        self.0.get().map(|verdict| verdict.map_err(error))
    }
}

/// Lets the tasks that are ready run first. Works on any runtime.
pub(crate) async fn let_others_run() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

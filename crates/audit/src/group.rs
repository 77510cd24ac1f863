//! Begin lines that go to the kernel in one write. A call that is not alone lets the tasks that are ready beside it put
//! theirs down too; whoever comes back first writes for all. The lines are sealed only then, so that a failed write
//! undoes the whole group and leaves no gap.

use std::{
    future::poll_fn,
    io,
    sync::{Arc, OnceLock},
    task::Poll,
};

/// Bytes at which a group is written without waiting for others.
pub(crate) const FULL_BYTES: usize = 64 * 1024;

/// Lines that wait to be sealed together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    bodies: Vec<u8>,
    ends: Vec<usize>,
    verdict: Arc<OnceLock<Result<(), Reason>>>,
}

/// A line's place in a group.
#[derive(Debug)]
pub(crate) struct Seat(Arc<OnceLock<Result<(), Reason>>>);

/// Why a group could not be written. Unlike [`io::Error`] it can be told to everybody in it.
#[derive(Debug, Clone, Copy)]
struct Reason {
    system: Option<i32>,
    kind: io::ErrorKind,
}

impl Group {
    /// Takes a line in.
    pub(crate) fn join(&mut self, body: &[u8]) -> Seat {
        self.bodies.extend_from_slice(body);
        self.ends.push(self.bodies.len());
        Seat(Arc::clone(&self.verdict))
    }

    /// Tells whether it is time to write, whoever may still come.
    pub(crate) const fn is_full(&self) -> bool {
        self.bodies.len() >= FULL_BYTES
    }

    /// Tells whether nobody is in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Iterates over the lines in their order.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bodies[start..*end])
    }

    /// Tells everybody in the group what became of their lines.
    pub(crate) fn settle(self, written: &io::Result<()>) {
        let reason = |error: &io::Error| Reason { system: error.raw_os_error(), kind: error.kind() };
        // Each group is settled once: it was taken out of the journal for that.
        let _settled = self.verdict.set(written.as_ref().copied().map_err(reason));
    }
}

impl Seat {
    /// Returns what became of the line; `None` while its group is not written.
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

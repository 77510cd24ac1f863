//! Which of the gateway's worker threads this is. Where a runtime runs per core, each has connections of its own to
//! an HTTP server, so that no call crosses cores. A thread that says nothing is worker 0.

use std::cell::Cell;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// Marks the current thread as the worker `index`, for as long as it lives. Call it before the thread's runtime runs;
/// with a runtime of several threads leave it alone, for their tasks move.
pub fn enter(index: usize) {
    INDEX.set(index);
}

/// Returns the current thread's worker.
pub(crate) fn current() -> usize {
    INDEX.get()
}

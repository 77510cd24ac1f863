//! How the data plane stops: first nothing new is accepted, then running calls get their time, then they are answered
//! with an error. Nobody is left without an answer.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The stages of stopping, and the tasks that must end before the process may.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    stopping: CancellationToken,
    over: CancellationToken,
    tasks: TaskTracker,
}

impl Drain {
    /// Starts in the running stage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes when nothing new is to be accepted.
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Completes when running calls are to be answered with an error.
    pub(crate) const fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// Tells whether the gateway still takes new work.
    pub fn is_accepting(&self) -> bool {
        !self.stopping.is_cancelled()
    }

    /// Returns the tracker of connections and detached calls.
    pub(crate) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Stops: waits at most `grace` for running calls, then ends them, then waits at most `last` for their answers to
    /// be written.
    pub async fn stop(&self, grace: Duration, last: Duration) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return;
        }
        self.over.cancel();
        if tokio::time::timeout(last, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "connections did not end in time and are dropped");
        }
    }
}

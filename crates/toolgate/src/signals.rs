//! What the process does when it is told something: the first SIGTERM or SIGINT stops it gracefully, a second one at
//! once; SIGHUP is reserved for reloading and does nothing yet.

use std::{future::pending, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the gateway handles.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes over the handling of signals.
    ///
    /// # Errors
    /// [`io::Error`] when a handler cannot be installed.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the process is told to stop; returns the signal's name. Cancel safe.
    pub async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return "SIGTERM",
                Some(()) = self.interrupt.recv() => return "SIGINT",
                Some(()) = self.hangup.recv() => tracing::info!("SIGHUP does nothing yet; restart to reload"),
                else => pending().await,
            }
        }
    }
}

//! What the process does when it is told something: the first SIGTERM or SIGINT stops it gracefully, a second one at
//! once; SIGHUP has the configuration read anew.

use std::{future::pending, io, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// The signals that the gateway handles.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reload: Arc<Notify>,
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
            reload: Arc::default(),
        })
    }

    /// Returns what is notified when the configuration is to be read anew. It is, as long as somebody waits for
    /// [`Signals::stop`].
    pub fn reload(&self) -> Arc<Notify> {
        self.reload.clone()
    }

    /// Waits until the process is told to stop; returns the signal's name. Cancel safe.
    pub async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return "SIGTERM",
                Some(()) = self.interrupt.recv() => return "SIGINT",
                Some(()) = self.hangup.recv() => self.reload.notify_one(),
                else => pending().await,
            }
        }
    }
}

//! How a child ended, and how we notice without reaping it.

use std::{fmt, io, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use rustix::process::{Pid, WaitId, WaitIdOptions};

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was ended by us, or the runtime went away before its end was seen.
    Unknown,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was ended by {name}"),
                None => write!(f, "was ended by signal {signal}"),
            },
            Self::Unknown => f.write_str("ended in an unknown way"),
        }
    }
}

/// Waits until the child `pid` is dead and leaves it to be reaped, so that its number stays taken.
///
/// Cancel safe. Uses a pidfd where the kernel has one, else a thread.
///
/// # Errors
/// When `pid` is no child of ours or neither a pidfd nor a thread can be had.
pub(super) async fn wait_unreaped(pid: Pid) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        watched(pidfd)?.readable().await?.retain_ready();
        return Ok(());
    }
    let (sender, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("child-wait".to_owned()).spawn(move || {
        // The receiver may have gone; then nobody asks any more.
        let _ = sender.send(block_unreaped(pid));
    })?;
    ended.await.map_err(io::Error::other)?
}

/// Has the runtime wait for `pidfd`, which becomes readable when its process is dead.
#[cfg(target_os = "linux")]
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types that change their descriptor; an OwnedFd never does"
)]
fn watched(pidfd: std::os::fd::OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    tokio::io::unix::AsyncFd::with_interest(pidfd, tokio::io::Interest::READABLE)
}

/// As [`wait_unreaped`], on this thread.
pub(super) fn block_unreaped(pid: Pid) -> io::Result<()> {
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Names the signals that end servers in practice.
fn signal_name(signal: i32) -> Option<&'static str> {
    use rustix::process::Signal;
    let named = [
        (Signal::ABORT, "SIGABRT (abort)"),
        (Signal::BUS, "SIGBUS (bad memory access)"),
        (Signal::HUP, "SIGHUP"),
        (Signal::ILL, "SIGILL (bad instruction)"),
        (Signal::INT, "SIGINT"),
        (Signal::KILL, "SIGKILL (killed, perhaps for lack of memory)"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::SEGV, "SIGSEGV (bad memory access)"),
        (Signal::TERM, "SIGTERM"),
    ];
    named.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

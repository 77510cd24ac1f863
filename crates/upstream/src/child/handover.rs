//! The few bytes between the gateway and a launched process before it becomes the program.
//!
//! The launched process has a socket as its stdin. Over it comes leave to go on, with the real stdin; back goes
//! `ready` just before exec, and, if that fails, what failed. The socket closes at exec, and that is the good news.

use std::{
    io::{self, IoSlice, IoSliceMut, Write as _},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use tokio::io::AsyncReadExt as _;

/// Leave to go on.
const GO: &[u8] = b"g";
/// Said just before exec.
const READY: &str = "ready";
/// A report is two short lines; more is not ours.
const REPORT_LIMIT_BYTES: u64 = 128;

/// The step at which a launched process failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Own session, parent-death signal, descriptors.
    Setup,
    /// Entering the working directory.
    Cwd,
    /// Becoming the program.
    Exec,
}

/// What became of a launched process.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is the program now.
    Running,
    /// It said what failed.
    Failed(Step, io::Error),
    /// It is gone without a word.
    Vanished,
}

impl Step {
    const ALL: [Self; 3] = [Self::Setup, Self::Cwd, Self::Exec];

    const fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Cwd => "cwd",
            Self::Exec => "exec",
        }
    }
}

/// Gives leave to the process at the other end of `socket`, and its stdin. Does not block on a fresh socket.
pub(super) fn send_leave(socket: impl AsFd, stdin: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [stdin];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(GO)], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Waits for leave and the stdin that comes with it; `None` when the gateway is gone.
pub(super) fn receive_leave(socket: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    let stdin = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None, // the enum belongs to rustix and is open
    });
    Ok(stdin)
}

/// Says that exec comes next.
pub(super) fn report_ready(socket: OwnedFd) -> io::Result<OwnedFd> {
    let mut socket = std::fs::File::from(socket);
    writeln!(socket, "{READY}")?;
    Ok(socket.into())
}

/// Says what failed; a gateway that is gone need not hear it.
pub(super) fn report_failure(socket: OwnedFd, step: Step, error: &io::Error) {
    let code = error.raw_os_error().unwrap_or(0);
    let _ = writeln!(std::fs::File::from(socket), "{} {code}", step.name());
}

/// Reads what the launched process has to say until it is the program or gone. Not cancel safe: the report is lost.
pub(super) async fn receive_outcome(socket: std::os::unix::net::UnixStream) -> io::Result<Outcome> {
    socket.set_nonblocking(true)?;
    let mut report = String::new();
    tokio::net::UnixStream::from_std(socket)?.take(REPORT_LIMIT_BYTES).read_to_string(&mut report).await?;
    Ok(parse_report(&report))
}

fn parse_report(report: &str) -> Outcome {
    let mut lines = report.lines();
    match (lines.next(), lines.next()) {
        (Some(READY), None) => Outcome::Running,
        (Some(READY), Some(failure)) | (Some(failure), None) => parse_failure(failure),
        (None, _) | (Some(_), Some(_)) => Outcome::Vanished,
    }
}

fn parse_failure(line: &str) -> Outcome {
    let known = line.split_once(' ').and_then(|(name, code)| {
        let step = Step::ALL.into_iter().find(|step| step.name() == name)?;
        Some((step, code.parse().ok()?))
    });
    match known {
        Some((step, 0)) => Outcome::Failed(step, io::Error::other("the reason is not known")),
        Some((step, code)) => Outcome::Failed(step, io::Error::from_raw_os_error(code)),
        None => Outcome::Vanished,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_never_taken_for_success() {
        assert!(matches!(parse_report("ready\n"), Outcome::Running));
        for nothing in ["", "rea", "exec", "exec x", "walk 2", "a\nb\n"] {
            assert!(matches!(parse_report(nothing), Outcome::Vanished), "{nothing:?}");
        }
    }

    #[test]
    fn failures_name_step_and_reason() {
        for (report, expected) in
            [("ready\nexec 2\n", Step::Exec), ("cwd 2\n", Step::Cwd), ("setup 2", Step::Setup)]
        {
            let Outcome::Failed(step, error) = parse_report(report) else { panic!("{report:?}") };
            assert_eq!((step, error.kind()), (expected, io::ErrorKind::NotFound));
        }
    }
}

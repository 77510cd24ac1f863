//! Runs another program to its end, within a limit, and keeps what it said.

use std::fmt;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// How a program ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, stdout, stderr } = self;
        write!(formatter, "{status}\n--- stdout:\n{stdout}\n--- stderr:\n{stderr}")
    }
}

/// Runs a program; ends it and panics with what it said when it takes longer than `limit`.
#[track_caller]
pub(crate) fn run(command: &mut Command, limit: Duration) -> Ended {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let group = pid(&child);
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let (ended, end) = channel();
    thread::spawn(move || ended.send(child.wait()));
    let status = end.recv_timeout(limit);
    // The driver's own children may have outlived it; the group also holds the pipes we read to their end.
    _ = kill_process_group(group, Signal::KILL);
    let said = (join(stdout), join(stderr));
    match status {
        Ok(status) => {
            Ended { status: status.expect("a child can be waited for"), stdout: said.0, stderr: said.1 }
        }
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            panic!("{command:?} did not end within {limit:?}\nstdout: {}\nstderr: {}", said.0, said.1)
        }
    }
}

/// Returns a child's process id in the form that signals want.
pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn join(reader: thread::JoinHandle<String>) -> String {
    reader.join().expect("reading a pipe does not panic")
}

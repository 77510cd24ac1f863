//! A process that the runner started: it names its endpoint in a line of output, and ends with this value.
//! Its output is read to the end, so that it never blocks, and only the last lines are kept.

use std::{
    collections::VecDeque,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

use crate::{announce, scenario::RunError};

/// How long a part may take to name its endpoint.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a part may take to end when asked.
const END_LIMIT: Duration = Duration::from_secs(3);
/// How often an ending part is looked at.
const END_POLL: Duration = Duration::from_millis(10);
/// Lines kept for the message about a part that does not start.
const TAIL_LINES: usize = 20;
/// Endpoints found and not yet looked at; later ones are dropped.
const FOUND_ENDPOINTS: usize = 8;

/// A running process; dropping it ends the process.
#[derive(Debug)]
pub(super) struct Part {
    child: Child,
    pid: u32,
}

/// A part that serves.
#[derive(Debug)]
pub(super) struct Serving {
    /// The process.
    pub(super) part: Part,
    /// The endpoint it named.
    pub(super) endpoint: String,
    /// From the start of the process to that line.
    pub(super) announced_after: Duration,
}

impl Part {
    /// Starts `command`, whose output is not looked at.
    pub(super) fn start(name: &str, command: &mut Command) -> Result<Self, RunError> {
        let failed = |source| RunError::Start { part: name.to_owned(), source };
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().map_err(failed)?;
        let pid = child.id().ok_or_else(|| failed(std::io::Error::other("it ended at once")))?;
        Ok(Self { child, pid })
    }

    /// Returns the id of the process.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }
}

impl Serving {
    /// Starts `command` and waits for the first endpoint that it names, `upstream` excepted.
    pub(super) async fn start(
        name: &str,
        command: &mut Command,
        upstream: Option<&str>,
    ) -> Result<Self, RunError> {
        let started = Instant::now();
        let mut part = Part::start(name, command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let tail = Tail::default();
        let (found, mut endpoints) = mpsc::channel(FOUND_ENDPOINTS);
        // Both readers end with their pipes.
        if let Some(pipe) = part.child.stdout.take() {
            tokio::spawn(read_lines(pipe, tail.clone(), found.clone()));
        }
        if let Some(pipe) = part.child.stderr.take() {
            tokio::spawn(read_lines(pipe, tail.clone(), found));
        }
        let named = async {
            loop {
                let endpoint: String = endpoints.recv().await?;
                if Some(endpoint.as_str()) != upstream {
                    return Some(endpoint);
                }
            }
        };
        match tokio::time::timeout(START_LIMIT, named).await {
            Ok(Some(endpoint)) => Ok(Self { part, endpoint, announced_after: started.elapsed() }),
            Ok(None) | Err(_) => Err(RunError::NoEndpoint { part: name.to_owned(), tail: tail.text() }),
        }
    }
}

/// The last lines of a part.
#[derive(Debug, Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  {}\n", line.escape_debug())).collect()
    }
}

async fn read_lines(pipe: impl AsyncRead + Unpin, tail: Tail, found: mpsc::Sender<String>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(endpoint) = announce::endpoint_in(&line) {
            // Nobody listens any more once the first endpoint is known.
            let _ = found.try_send(endpoint);
        }
        tail.push(line);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        let is_running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if is_running(&mut self.child) {
            // It may have ended in between; then there is nothing to do.
            let _ = kill_process(pid, Signal::TERM);
        }
        let limit = Instant::now() + END_LIMIT;
        while is_running(&mut self.child) && Instant::now() < limit {
            std::thread::sleep(END_POLL);
        }
    }
}

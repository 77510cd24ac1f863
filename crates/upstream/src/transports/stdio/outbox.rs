//! The way to a child's standard input. A line is written at once by whoever has it; while one writes, others leave
//! their lines to it, and all that has gathered goes out in one write. Only a pipe that is full needs a task.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use tokio::{net::unix::pipe, process::ChildStdin, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes that may wait for a child that does not read. Beyond, requests are refused.
const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// A queue that has grown beyond this is given back once it is written.
const KEEP_BYTES: usize = 64 * 1024;
/// How often one caller writes what others left, before it goes back to its own work.
const MAX_ROUNDS: usize = 8;

/// Why a line was not sent. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSent {
    /// The child's standard input is closed.
    Closed,
    /// The child does not read, and enough is waiting.
    Full,
}

impl NotSent {
    /// Says it in words.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Closed => "it has closed its standard input",
            Self::Full => "it does not read its standard input",
        }
    }
}

/// The lines on their way to one child.
pub(super) struct Outbox(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    pipe_is_full: Notify,
    closed: CancellationToken,
}

struct State {
    /// `None` once closed.
    pipe: Option<Arc<pipe::Sender>>,
    /// Lines left to whoever writes.
    queue: Vec<u8>,
    /// Invariant: while true, somebody writes or the task is about to, and nobody else touches the pipe.
    is_writing: bool,
}

impl Outbox {
    /// Takes over a child's standard input.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub(super) fn open(stdin: ChildStdin, tasks: &TaskTracker) -> io::Result<Self> {
        let pipe = Arc::new(pipe::Sender::from_owned_fd(stdin.into_owned_fd()?)?);
        let state = State { pipe: Some(pipe), queue: Vec::new(), is_writing: false };
        let closed = CancellationToken::new();
        let shared = Shared { state: Mutex::new(state), pipe_is_full: Notify::new(), closed: closed.clone() };
        let shared = Arc::new(shared);
        // Its death would leave lines unsent in a full pipe; the calls' time limits end those calls.
        tasks.spawn(closed.run_until_cancelled_owned(write_when_possible(Arc::clone(&shared))));
        Ok(Self(shared))
    }

    /// Writes a line that has its end, or leaves it to the one who writes. Never waits.
    ///
    /// # Errors
    /// [`NotSent`]; after `Ok` the line may have been sent, and will be if the child lives and reads.
    pub(super) fn send(&self, line: Vec<u8>) -> Result<(), NotSent> {
        let pipe = {
            let mut state = self.0.state.lock();
            let pipe = Arc::clone(state.pipe.as_ref().ok_or(NotSent::Closed)?);
            if state.is_writing {
                if state.queue.len() + line.len() > MAX_QUEUED_BYTES && !state.queue.is_empty() {
                    return Err(NotSent::Full);
                }
                state.queue.extend_from_slice(&line);
                return Ok(());
            }
            state.is_writing = true;
            pipe
        };
        self.0.write_now(&pipe, line)
    }

    /// Closes the child's standard input. What is queued is not sent any more.
    pub(super) fn close(&self) {
        self.0.close();
    }

    /// Tells whether the child's standard input is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.is_cancelled()
    }

    /// Waits until the child's standard input is closed, by us or by the child. Cancel safe.
    pub(super) async fn closed(&self) {
        self.0.closed.cancelled().await;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Writes `line` and then what others left, as far as the pipe takes it.
    fn write_now(&self, pipe: &pipe::Sender, mut line: Vec<u8>) -> Result<(), NotSent> {
        for round in 0..MAX_ROUNDS {
            match write_some(pipe, &line) {
                Ok(written) if written == line.len() => {}
                Ok(written) => {
                    self.leave_to_task(&line[written..]);
                    return Ok(());
                }
                Err(_) => {
                    self.close();
                    return if round == 0 { Err(NotSent::Closed) } else { Ok(()) };
                }
            }
            line.clear();
            if self.next_batch(&mut line).is_none() {
                return Ok(());
            }
        }
        self.leave_to_task(&line);
        Ok(())
    }

    /// Exchanges what was left by others for the empty `batch`; `None` when there is nothing, and then writing is over.
    fn next_batch(&self, batch: &mut Vec<u8>) -> Option<()> {
        if batch.capacity() > KEEP_BYTES {
            *batch = Vec::new();
        }
        let mut state = self.state.lock();
        state.is_writing = !state.queue.is_empty() && state.pipe.is_some();
        state.is_writing.then(|| std::mem::swap(&mut state.queue, batch))
    }

    /// Puts what the pipe did not take before what came later, and wakes the task. The pipe stays reserved for it.
    fn leave_to_task(&self, rest: &[u8]) {
        let mut state = self.state.lock();
        state.queue.splice(0..0, rest.iter().copied());
        drop(state);
        self.pipe_is_full.notify_one();
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.pipe = None;
        state.queue = Vec::new();
        drop(state);
        self.closed.cancel();
    }
}

/// Writes as much of `line` as the pipe takes now. An error means that not one byte of it was taken.
fn write_some(pipe: &pipe::Sender, line: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < line.len() {
        match pipe.try_write(&line[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if written == 0 => return Err(error),
            // The next write meets the error again.
            Err(_) => return Ok(written),
        }
    }
    Ok(written)
}

/// The task: writes what a full pipe did not take.
async fn write_when_possible(shared: Arc<Shared>) {
    let mut batch = Vec::new();
    loop {
        shared.pipe_is_full.notified().await;
        while shared.next_batch(&mut batch).is_some() {
            let Some(pipe) = shared.state.lock().pipe.clone() else { return };
            let mut rest = &batch[..];
            while !rest.is_empty() {
                let written = match pipe.writable().await {
                    Ok(()) => write_some(&pipe, rest),
                    Err(error) => Err(error),
                };
                match written {
                    Ok(count) => rest = &rest[count..],
                    Err(_) => return shared.close(),
                }
            }
            batch.clear();
        }
    }
}

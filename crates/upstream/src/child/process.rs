//! A running child: its end, awaited by many; its stop, in steps; what it last said on stderr.

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::ServerId;
use rustix::process::{Pid, WaitOptions, waitpgid};
use tokio::{
    net::unix::pipe,
    process::{ChildStdin, ChildStdout},
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    Command, Exit, Launcher, SpawnError, exit::wait_unreaped, group::Group, redact::Redactor,
    spawning::Tether, stderr::Stderr,
};

/// How long a child may go on after SIGKILL before we stop waiting for it (a hung disk can hold it).
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long stderr is read after the child's end. Only a process that left the group can keep it open.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long orphans that fell to us are looked for.
const ADOPTION_LIMIT: Duration = Duration::from_secs(1);
/// Pause between two looks at them.
const ADOPTION_PAUSE: Duration = Duration::from_millis(5);

/// A started child: its pipes, and the process behind them.
#[derive(Debug)]
pub struct Child {
    /// Its stdin. Close (drop) it before [`Process::stop`].
    pub stdin: ChildStdin,
    /// Its stdout; see [`LineReader`](super::LineReader).
    pub stdout: ChildStdout,
    /// The process.
    pub process: Process,
}

/// How long a child is given at each step of being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// To end by itself after its stdin was closed.
    pub closed: Duration,
    /// To end after SIGTERM.
    pub terminated: Duration,
}

impl Default for Grace {
    /// The MCP specification asks for these steps and leaves the times to us: 2 s and 3 s fit into the ten seconds
    /// that service managers and container engines grant.
    fn default() -> Self {
        Self { closed: Duration::from_secs(2), terminated: Duration::from_secs(3) }
    }
}

/// A running or ended child with its process group. Dropping it kills the whole group.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    group: Arc<Group>,
    exit: watch::Receiver<Option<Exit>>,
    stderr: Arc<Stderr>,
    /// Keeps the launching thread alive: the kernel would kill the child with it.
    _launcher: Launcher,
}

impl Process {
    /// Puts a started process under supervision.
    pub(super) fn supervise(
        launcher: &Launcher,
        server: &ServerId,
        command: &Command,
        stderr: OwnedFd,
        tether: Tether,
    ) -> Result<Self, SpawnError> {
        let failed = |source| SpawnError::Resources { source };
        let runtime = launcher.runtime();
        let pipe = {
            let _entered = runtime.enter();
            pipe::Receiver::from_owned_fd(stderr).map_err(failed)?
        };
        let stderr = Arc::new(Stderr::new(Redactor::new(command.env.values())));
        let drain = runtime.spawn(Arc::clone(&stderr).drain(server.clone(), pipe));
        let (sender, exit) = watch::channel(None);
        let pid = tether.leader().as_raw_pid().unsigned_abs();
        let group = Arc::clone(tether.group());
        runtime.spawn(async move {
            let _ = sender.send(Some(see_to_the_end(tether, drain).await)); // perhaps nobody waits
        });
        Ok(Self { pid, group, exit, stderr, _launcher: launcher.clone() })
    }

    /// Returns the process number of the child, which is also that of its group and session.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the child has ended, its group was killed and it was reaped.
    ///
    /// Cancel safe; any number of callers may wait. What it wrote to stderr before its end has been read by then.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|ended| *ended).unwrap_or(Exit::Unknown)
    }

    /// Returns how the child ended, `None` while it runs.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Ends the child and its group: waits for it to follow the closing of its stdin, then SIGTERM, then SIGKILL.
    ///
    /// Close stdin before. Not cancel safe: if the future is dropped, the steps not reached do not happen; then drop
    /// the process. Takes at most both graces and 5 s; [`Exit::Unknown`] if even SIGKILL did not end it by then.
    pub async fn stop(&self, grace: Grace) -> Exit {
        if let Ok(exit) = timeout(grace.closed, self.wait()).await {
            return exit;
        }
        self.group.terminate();
        if let Ok(exit) = timeout(grace.terminated, self.wait()).await {
            return exit;
        }
        self.group.kill();
        timeout(KILL_LIMIT, self.wait()).await.unwrap_or(Exit::Unknown)
    }

    /// Returns the last lines of stderr, oldest first, escaped and without the values of declared variables.
    /// At most 40 lines of at most 4 KiB, 16 KiB in all before escaping.
    pub fn recent_stderr(&self) -> Vec<String> {
        self.stderr.recent()
    }

    /// Returns how many lines of stderr were not logged because there were too many.
    pub fn suppressed_stderr_lines(&self) -> u64 {
        self.stderr.suppressed()
    }

    /// Makes `raw` fit for a log or an error text: escaped, cut at 4 KiB, without the values of declared variables.
    pub fn printable(&self, raw: &[u8]) -> String {
        self.stderr.redactor().printable(raw)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.kill();
    }
}

/// The supervising task. If it is dropped with its runtime, the tether ends the child.
async fn see_to_the_end(tether: Tether, mut drain: tokio::task::JoinHandle<()>) -> Exit {
    let _reading = AbortOnDrop(drain.abort_handle());
    let leader = tether.leader();
    if let Err(error) = wait_unreaped(leader).await {
        tracing::warn!(%error, pid = leader.as_raw_pid(), "a child cannot be watched and is ended");
        tether.group().kill();
    }
    let exit = tether.reap();
    reap_adopted(leader).await;
    let _ = timeout(LAST_WORDS, &mut drain).await;
    exit
}

/// Reaps members of the group that became ours when their parent died. That happens only where orphans fall to the
/// gateway: as process 1 of a container, or under a subreaper's mark. Elsewhere the first look finds nobody.
async fn reap_adopted(group: Pid) {
    let until = Instant::now() + ADOPTION_LIMIT;
    while let Ok(found) = waitpgid(group, WaitOptions::NOHANG) {
        if Instant::now() >= until {
            return;
        }
        if found.is_none() {
            sleep(ADOPTION_PAUSE).await;
        }
    }
}

/// Stops a task when the one that waits for it goes away.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says that a pipe has nothing to read just now.
pub(super) fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

//! Makes one process out of a plan, on the launching thread, and holds it until it is reaped.
//! Waiting for it to become the program is done in `launcher`, watching it in `process`.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command as StdCommand, Stdio},
    sync::Arc,
};

use rustix::process::Pid;

use super::{
    Command, Exit, LAUNCH_ROLE, SpawnError, environment::Environment, group::Group, handover,
    launcher::process_title, watchdog::Watchdog,
};

/// A checked command with its whole environment.
pub(super) struct Plan {
    program: OsString,
    args: Vec<OsString>,
    cwd: PathBuf,
    environment: Environment,
}

/// A process that has leave to become the program.
pub(super) struct Started {
    /// Where it reports; see `handover`.
    pub(super) socket: UnixStream,
    /// Our end of its stdin.
    pub(super) stdin: OwnedFd,
    /// Our end of its stdout.
    pub(super) stdout: OwnedFd,
    /// Our end of its stderr.
    pub(super) stderr: OwnedFd,
    /// The process itself.
    pub(super) tether: Tether,
}

/// A process that is not reaped yet. Dropping it kills the group and reaps the leader.
#[derive(Debug)]
pub(super) struct Tether {
    leader: Pid,
    group: Arc<Group>,
    body: Option<Body>,
}

/// What it takes to reap.
#[derive(Debug)]
struct Body {
    leader: Pid,
    group: Arc<Group>,
    watchdog: Arc<Watchdog>,
    child: Child,
}

impl Plan {
    /// Checks what the kernel could not be told.
    pub(super) fn new(command: &Command, environment: Environment) -> Result<Self, SpawnError> {
        let cwd = command.cwd.clone().unwrap_or_default();
        let texts = command.args.iter().chain([&command.program]);
        let nul =
            texts.map(String::as_bytes).chain([cwd.as_os_str().as_encoded_bytes()]).any(|t| t.contains(&0));
        if nul {
            return Err(SpawnError::Arguments);
        }
        let args = command.args.iter().map(OsString::from).collect();
        Ok(Self { program: OsString::from(&command.program), args, cwd, environment })
    }

    /// Starts the process, registers its group with `watchdog` and then gives it leave to go on.
    pub(super) fn start(self, executable: &Path, watchdog: &Arc<Watchdog>) -> Result<Started, SpawnError> {
        watchdog.ensure().map_err(|source| SpawnError::Watchdog { source })?;
        let failed = |source: io::Error| SpawnError::Resources { source };
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        let (their_stdin, stdin) = io::pipe().map_err(failed)?;
        let (stdout, their_stdout) = io::pipe().map_err(failed)?;
        let (stderr, their_stderr) = io::pipe().map_err(failed)?;

        let child = StdCommand::new(executable)
            .arg0(process_title())
            .args([LAUNCH_ROLE.into(), std::process::id().to_string().into(), self.cwd.into_os_string()])
            .arg(self.program)
            .args(self.args)
            .env_clear()
            .envs(self.environment)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::from(their_stdout))
            .stderr(Stdio::from(their_stderr))
            .spawn()
            .map_err(failed)?;
        let tether = Tether::new(child, watchdog)?;
        watchdog.register(tether.leader).map_err(|source| SpawnError::Watchdog { source })?;
        handover::send_leave(&socket, their_stdin.as_fd()).map_err(failed)?;
        let (stdin, stdout, stderr) = (stdin.into(), stdout.into(), stderr.into());
        Ok(Started { socket, stdin, stdout, stderr, tether })
    }
}

impl Tether {
    fn new(mut child: Child, watchdog: &Arc<Watchdog>) -> Result<Self, SpawnError> {
        let Some(leader) = pid_of(&child) else {
            let _ = child.kill(); // cannot happen: the kernel's numbers fit
            return Err(SpawnError::Resources { source: io::Error::other("process number out of range") });
        };
        let group = Arc::new(Group::new(leader));
        let body = Body { leader, group: Arc::clone(&group), watchdog: Arc::clone(watchdog), child };
        Ok(Self { leader, group, body: Some(body) })
    }

    /// Returns the leader's number.
    pub(super) const fn leader(&self) -> Pid {
        self.leader
    }

    /// Returns the group, for signals.
    pub(super) const fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Kills what is left of the group and reaps the leader. Blocks unless the leader is dead.
    pub(super) fn reap(mut self) -> Exit {
        self.body.take().map_or(Exit::Unknown, Body::reap)
    }
}

impl Body {
    /// Invariant: kill, unregister, reap, in this order: as long as the leader is not reaped its number is nobody
    /// else's, and after that neither we nor the watchdog may use it.
    fn reap(mut self) -> Exit {
        self.group.retire();
        self.watchdog.unregister(self.leader);
        self.child.wait().map_or(Exit::Unknown, Exit::from)
    }
}

impl Drop for Tether {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else {
            return;
        };
        body.group.kill();
        // On a thread: a process in an uninterruptible wait can make reaping take long. If there is no thread to be
        // had, the kernel reaps when the gateway ends; the group stays registered until then.
        let _ = std::thread::Builder::new().name("child-reaper".to_owned()).spawn(|| body.reap());
    }
}

/// Returns the number of `child` as rustix wants it.
pub(super) fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

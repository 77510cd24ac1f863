//! The door to child processes, and the thread behind it.
//!
//! Why a thread: the kernel ties a child's death to the *thread* that made it. A worker of the runtime may end at
//! any time; this one ends only when nobody holds a launcher or a process any more.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use domain::ServerId;
use tokio::{
    process::{ChildStdin, ChildStdout},
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    Child, Command, Process, SpawnError,
    environment::{self, Environment},
    error::explain,
    handover::{self, Outcome},
    spawning::{Plan, Started},
    watchdog::Watchdog,
};

/// Children waiting to be started; further callers wait for room. Starting one takes about 2 ms.
const QUEUE: usize = 64;
/// From leave to exec. Generous, for machines that are swapping or whose disk sleeps.
const EXEC_LIMIT: Duration = Duration::from_secs(10);

/// Starts child processes. Clones share one thread and one watchdog.
#[derive(Debug, Clone)]
pub struct Launcher {
    requests: mpsc::Sender<Request>,
    runtime: Handle,
    inherited: Arc<Environment>,
}

/// What the launching thread is asked to do.
pub(super) enum Request {
    /// Start a process.
    Start(Plan, oneshot::Sender<Result<Started, SpawnError>>),
    /// The watchdog has ended; another is needed while children live.
    ReplaceWatchdog,
}

impl Launcher {
    /// Starts the thread. Children are watched over by tasks on `runtime`.
    ///
    /// The executable of this process is what children and watchdog begin as, so its `main` must call
    /// [`child_main`](super::child_main) first. The environment is read once, here.
    ///
    /// # Errors
    /// When no thread can be made or our own executable cannot be named.
    pub fn start(runtime: Handle) -> io::Result<Self> {
        Self::start_as(runtime, own_executable()?)
    }

    /// As [`Launcher::start`], with another executable that calls [`child_main`](super::child_main) first.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start_as(runtime: Handle, executable: PathBuf) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let watchdog = Watchdog::new(executable.clone(), requests.downgrade());
        std::thread::Builder::new()
            .name("child-launcher".to_owned())
            .spawn(move || serve(queue, &executable, &watchdog))?;
        let inherited = Arc::new(environment::inherited(std::env::vars_os()));
        Ok(Self { requests, runtime, inherited })
    }

    /// Starts `command` as a child of the upstream `server` and returns once it is the program.
    ///
    /// The child leads its own session and group, has no terminal, sees only its declared environment and the few
    /// inherited variables, and holds no descriptor of ours but its three pipes. The pipes are driven by the runtime
    /// that this is called on. If the future is dropped, the child is ended.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing is left running then.
    pub async fn spawn(&self, server: &ServerId, command: &Command) -> Result<Child, SpawnError> {
        let environment = environment::for_child(&self.inherited, command)?;
        let path = environment.get(OsStr::new("PATH")).cloned();
        let plan = Plan::new(command, environment)?;
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Start(plan, reply)).await.map_err(|_| SpawnError::LauncherGone)?;
        let started = answer.await.map_err(|_| SpawnError::LauncherGone)??;

        let program = || command.program.clone();
        match timeout(EXEC_LIMIT, handover::receive_outcome(started.socket)).await {
            Ok(Ok(Outcome::Running)) => {}
            Ok(Ok(Outcome::Failed(step, error))) => {
                return Err(explain(command, path.as_deref(), step, error));
            }
            Ok(Ok(Outcome::Vanished)) => return Err(SpawnError::Vanished { program: program() }),
            Ok(Err(source)) => return Err(SpawnError::Resources { source }),
            Err(_) => return Err(SpawnError::TooSlow { program: program(), limit_s: EXEC_LIMIT.as_secs() }),
        }

        let failed = |source| SpawnError::Resources { source };
        let stdin = ChildStdin::from_std(std::process::ChildStdin::from(started.stdin)).map_err(failed)?;
        let stdout =
            ChildStdout::from_std(std::process::ChildStdout::from(started.stdout)).map_err(failed)?;
        let process = Process::supervise(self, server, command, started.stderr, started.tether)?;
        Ok(Child { stdin, stdout, process })
    }

    /// Returns the runtime that watches over the children.
    pub(super) const fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

/// The thread: one request after the other, until no launcher and no process is left.
fn serve(mut queue: mpsc::Receiver<Request>, executable: &std::path::Path, watchdog: &Arc<Watchdog>) {
    while let Some(request) = queue.blocking_recv() {
        match request {
            Request::Start(plan, reply) => {
                // A caller that is gone drops what was started, and that ends it.
                let _ = reply.send(plan.start(executable, watchdog));
            }
            Request::ReplaceWatchdog => watchdog.replace(),
        }
    }
}

/// Names our own executable such that a file replaced by an update does not matter.
fn own_executable() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() { Ok(running) } else { std::env::current_exe() }
}

/// What a launched process is called in listings before it is the program.
pub(super) fn process_title() -> OsString {
    OsString::from("toolgate")
}

//! Our side of the watchdog: one process that is told which groups live, and is replaced when it dies.
//! What it does with that is in `watchdog_role`.

use std::{
    collections::HashSet,
    fmt::Write as _,
    io::{self, PipeWriter, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::{
    fs::{OFlags, fcntl_setfl},
    process::Pid,
};
use tokio::sync::mpsc::WeakSender;

use super::{
    WATCHDOG_ROLE,
    exit::block_unreaped,
    group::Group,
    launcher::{Request, process_title},
    spawning::pid_of,
};

/// A watchdog that dies sooner than this after its start counts as broken.
const QUICK_DEATH: Duration = Duration::from_secs(1);
/// After so many quick deaths in a row it is started again only for a new child, lest it be a busy loop.
const MAX_QUICK_DEATHS: u32 = 5;

/// Keeps a watchdog running from the first child on, and tells it which groups live.
#[derive(Debug)]
pub(super) struct Watchdog {
    executable: PathBuf,
    launcher: WeakSender<Request>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: HashSet<Pid>,
    running: Option<Running>,
    quick_deaths: u32,
}

/// One watchdog process. Invariant: its pipe is closed only when it is dead or no group is registered, because it
/// takes the end of the pipe for our end.
#[derive(Debug)]
struct Running {
    pipe: PipeWriter,
    process: Arc<Group>,
    started: Instant,
}

impl Watchdog {
    /// Prepares the watch; nothing runs until [`Watchdog::ensure`].
    pub(super) fn new(executable: PathBuf, launcher: WeakSender<Request>) -> Arc<Self> {
        Arc::new(Self { executable, launcher, state: Mutex::default() })
    }

    /// Starts the watchdog if none runs, and tells it the living groups.
    pub(super) fn ensure(self: &Arc<Self>) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.running.is_none() {
            state.running = Some(self.start(&state.groups)?);
        }
        Ok(())
    }

    /// Starts another watchdog after one has died, unless that keeps happening.
    pub(super) fn replace(self: &Arc<Self>) {
        if self.state.lock().quick_deaths >= MAX_QUICK_DEATHS {
            tracing::error!(
                "the watchdog over child processes keeps dying; it is tried again at the next start"
            );
            return;
        }
        if let Err(error) = self.ensure() {
            tracing::error!(%error, "the watchdog over child processes could not be started again");
        }
    }

    /// Puts `group` under watch.
    pub(super) fn register(self: &Arc<Self>, group: Pid) -> io::Result<()> {
        let mut state = self.state.lock();
        state.groups.insert(group);
        if state.tell(&format!("+{}\n", group.as_raw_pid())) {
            return Ok(());
        }
        // It died between `ensure` and now; a new one is told all groups at its start.
        state.running = Some(self.start(&state.groups)?);
        Ok(())
    }

    /// Takes `group` from under watch. After this the watchdog does not touch its number.
    pub(super) fn unregister(&self, group: Pid) {
        let mut state = self.state.lock();
        state.groups.remove(&group);
        // Without a watchdog there is nobody to mistake the number; the next one will not hear of it.
        state.tell(&format!("-{}\n", group.as_raw_pid()));
    }

    /// Starts a watchdog that finds `groups` waiting in its pipe: if we are killed at any moment from its start on,
    /// it knows what to kill. The kernel's pipe takes some 7,000 groups; with more this fails.
    fn start(self: &Arc<Self>, groups: &HashSet<Pid>) -> io::Result<Running> {
        let (input, mut pipe) = io::pipe()?;
        // A watchdog that does not read must not hold up a worker; see `State::tell`.
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        pipe.write_all(registrations(groups).as_bytes())?;
        let mut child = Command::new(&self.executable)
            .arg0(process_title())
            .arg(WATCHDOG_ROLE)
            .env_clear()
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let Some(pid) = pid_of(&child) else {
            let _ = child.kill(); // cannot happen: the kernel's numbers fit
            return Err(io::Error::other("process number out of range"));
        };
        let process = Arc::new(Group::new(pid));
        self.attend(child, pid, Arc::clone(&process)).inspect_err(|_| process.kill())?;
        Ok(Running { pipe, process, started: Instant::now() })
    }

    /// Waits for the death of a watchdog on a thread of its own.
    fn attend(self: &Arc<Self>, mut child: Child, pid: Pid, process: Arc<Group>) -> io::Result<()> {
        let watch = Arc::downgrade(self);
        std::thread::Builder::new().name("watchdog-wait".to_owned()).spawn(move || {
            let _ = block_unreaped(pid);
            process.retire();
            let _ = child.wait();
            if let Some(watchdog) = watch.upgrade() {
                watchdog.died(&process);
            }
        })?;
        Ok(())
    }

    fn died(&self, process: &Arc<Group>) {
        let mut state = self.state.lock();
        if let Some(dead) = state.running.take_if(|running| Arc::ptr_eq(&running.process, process)) {
            let quick = dead.started.elapsed() < QUICK_DEATH;
            state.quick_deaths = if quick { state.quick_deaths + 1 } else { 0 };
        }
        drop(state);
        tracing::warn!("the watchdog over child processes has died and is replaced");
        if let Some(launcher) = self.launcher.upgrade() {
            // If the launching thread is gone there is nothing left to watch.
            let _ = launcher.blocking_send(Request::ReplaceWatchdog);
        }
    }
}

impl State {
    /// Writes one line to the watchdog and says whether it was taken. One that does not take it is killed: its idea
    /// of what lives would be wrong, and with it what it kills in the end.
    fn tell(&mut self, line: &str) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        // A line is far below the size up to which the kernel writes all or nothing.
        let told = running.pipe.write_all(line.as_bytes()).is_ok();
        if !told {
            running.process.kill();
            self.running = None;
        }
        told
    }
}

fn registrations(groups: &HashSet<Pid>) -> String {
    groups.iter().fold(String::new(), |mut lines, group| {
        let _ = writeln!(lines, "+{}", group.as_raw_pid()); // a String takes everything
        lines
    })
}

//! Children that speak over stdin and stdout: started from one thread, watched, drained, ended with their group.
//! MCP is not known here; a child's stdout is only cut into lines. What is sent and how answers find their callers
//! is the connection's work.
//!
//! A child passes through four hands. [`Launcher`] (a thread of ours) starts our own executable in the role
//! `__launch`; that process makes a session, ties its life to ours and waits for leave; the watchdog (our own
//! executable once more, role `__watchdog`) learns of the group; then the launched process becomes the program.
//! [`Process`] ends the group when it is stopped or dropped; the watchdog ends it when the gateway is gone.
//! Processes that leave their group on purpose (`setsid`) are out of reach of both.

use std::{ffi::OsString, process::ExitCode};

mod command;
mod descriptors;
mod environment;
mod error;
mod exit;
mod group;
mod handover;
mod launch_role;
mod launcher;
mod line;
mod process;
mod redact;
mod spawning;
mod stderr;
mod watchdog;
mod watchdog_role;

pub use command::Command;
pub use error::SpawnError;
pub use exit::Exit;
pub use launcher::Launcher;
pub use line::{DEFAULT_MAX_LINE_BYTES, Line, LineReader};
pub use process::{Child, Grace, Process};

/// First argument of our executable when it is to become a child.
const LAUNCH_ROLE: &str = "__launch";
/// First argument of our executable when it is to watch over the children.
const WATCHDOG_ROLE: &str = "__watchdog";

/// Plays the part of launcher or watchdog when `args` (with the program's name first) ask for it.
///
/// Call it first in `main`, before threads and runtimes, and end the process with the code it returns. `None` means
/// that this is the ordinary program. In the launcher's role it returns only if the program could not be started.
pub fn child_main(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.skip(1);
    let role = args.next()?;
    if role == LAUNCH_ROLE {
        Some(launch_role::run(args))
    } else if role == WATCHDOG_ROLE {
        Some(watchdog_role::run())
    } else {
        None
    }
}

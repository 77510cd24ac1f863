//! Why a child could not be started, in words for whoever wrote the configuration.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use super::{Command, handover::Step};

/// A child that was not started. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program does not exist: not in the child's `PATH`, or not at the given path.
    #[error("program `{program}` was not found{}", install_hint(program))]
    ProgramNotFound {
        /// The program as declared.
        program: String,
    },
    /// The program exists, but what its first line or its header asks for does not.
    #[error("program `{program}` was found, but the interpreter that it names was not")]
    InterpreterNotFound {
        /// The program as declared.
        program: String,
    },
    /// The program exists and may not be executed by us.
    #[error("program `{program}` may not be executed: permission denied")]
    NotExecutable {
        /// The program as declared.
        program: String,
    },
    /// The kernel refused the program for another reason.
    #[error("program `{program}` could not be started: {source}")]
    Exec {
        /// The program as declared.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The working directory cannot be entered.
    #[error("working directory `{}` cannot be entered: {source}", cwd.display())]
    WorkingDirectory {
        /// The directory as declared.
        cwd: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A declared variable has a name or value that no process can be given.
    #[error("environment variable `{name}` cannot be passed on: empty name, `=` in the name, or a NUL")]
    Environment {
        /// The variable's name, escaped.
        name: String,
    },
    /// The program's name or an argument holds a NUL.
    #[error("the program's name or one of its arguments holds a NUL")]
    Arguments,
    /// A pipe, a process or a watch over it could not be made: too many files or processes.
    #[error("no process could be made: {source}")]
    Resources {
        /// What the kernel said.
        source: io::Error,
    },
    /// The watchdog does not run, and without it a child might outlive us.
    #[error("the watchdog over child processes could not be started: {source}")]
    Watchdog {
        /// What the kernel said.
        source: io::Error,
    },
    /// The launched process ended before it became the program.
    #[error("the process for `{program}` ended before the program was started")]
    Vanished {
        /// The program as declared.
        program: String,
    },
    /// The launched process did not become the program in time.
    #[error("program `{program}` was not started within {limit_s}s")]
    TooSlow {
        /// The program as declared.
        program: String,
        /// The limit in seconds.
        limit_s: u64,
    },
    /// The launcher has ended; the gateway is going down.
    #[error("no child is started any more: the gateway is going down")]
    LauncherGone,
}

/// Turns what the launched process reported into words. `path` is the child's own `PATH`.
pub(super) fn explain(command: &Command, path: Option<&OsStr>, step: Step, source: io::Error) -> SpawnError {
    let program = command.program.clone();
    match (step, source.kind()) {
        (Step::Setup, _) => SpawnError::Resources { source },
        (Step::Cwd, _) => {
            SpawnError::WorkingDirectory { cwd: command.cwd.clone().unwrap_or_default(), source }
        }
        (Step::Exec, io::ErrorKind::NotFound) if exists(command, path) => {
            SpawnError::InterpreterNotFound { program }
        }
        (Step::Exec, io::ErrorKind::NotFound) => SpawnError::ProgramNotFound { program },
        (Step::Exec, io::ErrorKind::PermissionDenied) => SpawnError::NotExecutable { program },
        (Step::Exec, _) => SpawnError::Exec { program, source },
    }
}

/// Tells whether the program's file is there, so that what was missing must be its interpreter.
fn exists(command: &Command, path: Option<&OsStr>) -> bool {
    let cwd = command.cwd.as_deref().unwrap_or(Path::new(""));
    if command.program.contains('/') {
        return cwd.join(&command.program).is_file();
    }
    path.into_iter().flat_map(std::env::split_paths).any(|dir| cwd.join(dir).join(&command.program).is_file())
}

/// Says what to install for the programs that MCP servers are usually started with.
fn install_hint(program: &str) -> &'static str {
    if program.contains('/') {
        return "";
    }
    match program {
        "npx" | "npm" | "node" => {
            " in PATH: install Node.js (https://nodejs.org), which brings node, npm and npx"
        }
        "uvx" | "uv" => " in PATH: install uv (https://docs.astral.sh/uv), which brings uvx",
        "docker" => " in PATH: install Docker (https://docs.docker.com/get-started/get-docker)",
        "podman" => " in PATH: install Podman (https://podman.io)",
        "python" => {
            " in PATH: install Python 3 (https://www.python.org), or write `python3` if that is its name here"
        }
        "python3" | "pipx" => {
            " in PATH: install Python 3 (https://www.python.org) and pipx if it is asked for"
        }
        "bunx" | "bun" => " in PATH: install Bun (https://bun.sh), which brings bunx",
        "deno" => " in PATH: install Deno (https://deno.com)",
        _ => " in PATH",
    }
}

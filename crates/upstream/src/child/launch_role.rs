//! What our executable does in the role `__launch`: it makes itself ready and becomes the program.
//!
//! Its environment is the child's already, its stdin is the socket of `handover`, its stdout and stderr are the
//! child's. Arguments: the gateway's process number, the working directory or nothing, the program, its arguments.

use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::ExitCode,
};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::{
    descriptors,
    handover::{self, Step},
};

/// Code with which a launched process ends that did not become the program; the gateway does not look at it.
const FAILED: u8 = 127;

/// The arguments of the role.
struct Order {
    gateway: i32,
    cwd: OsString,
    program: OsString,
    args: Vec<OsString>,
}

/// Becomes the program named in `args`; returns only if that failed.
pub(super) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(order) = Order::parse(args) else {
        return not_for_people();
    };
    let closed = descriptors::close_inherited();
    let Ok(socket) = private_socket() else {
        return not_for_people();
    };
    let Err((step, error)) = closed.map_err(setup).and_then(|()| become_program(&order, &socket));
    handover::report_failure(socket, step, &error);
    ExitCode::from(FAILED)
}

impl Order {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let gateway = args.next()?.to_str()?.parse().ok()?;
        Some(Self { gateway, cwd: args.next()?, program: args.next()?, args: args.collect() })
    }
}

/// The steps, in the order that leaves no moment without somebody who would end us.
fn become_program(order: &Order, socket: &OwnedFd) -> Result<std::convert::Infallible, (Step, io::Error)> {
    rustix::process::setsid().map_err(|error| setup(error.into()))?;
    die_with(order.gateway).map_err(setup)?;
    let stdin = handover::receive_leave(socket).map_err(setup)?;
    let stdin = stdin.ok_or_else(|| setup(io::ErrorKind::BrokenPipe.into()))?;
    take_stdin(stdin).map_err(setup)?;
    if !order.cwd.is_empty() {
        std::env::set_current_dir(&order.cwd).map_err(|error| (Step::Cwd, error))?;
    }
    let ready = socket.try_clone().and_then(handover::report_ready).map_err(setup)?;
    drop(ready);
    Err((Step::Exec, std::process::Command::new(&order.program).args(&order.args).exec()))
}

const fn setup(error: io::Error) -> (Step, io::Error) {
    (Step::Setup, error)
}

/// Moves the socket away from stdin, to where it closes at exec.
fn private_socket() -> io::Result<OwnedFd> {
    Ok(fcntl_dupfd_cloexec(io::stdin(), 3)?)
}

/// Makes the pipe that came over the socket our stdin.
fn take_stdin(pipe: OwnedFd) -> io::Result<()> {
    fcntl_setfd(&pipe, FdFlags::CLOEXEC)?;
    Ok(rustix::stdio::dup2_stdin(&pipe)?)
}

/// Has the kernel kill us when the gateway's launching thread ends.
///
/// The gateway may have ended before the kernel was asked; then we have another parent by now.
#[cfg(target_os = "linux")]
fn die_with(gateway: i32) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let orphaned = getppid().is_none_or(|parent| parent.as_raw_pid() != gateway);
    if orphaned { Err(io::ErrorKind::NotConnected.into()) } else { Ok(()) }
}

/// Elsewhere the watchdog alone ends us: the gateway's end closes the socket before leave, and its pipe after.
#[cfg(not(target_os = "linux"))]
fn die_with(_gateway: i32) -> io::Result<()> {
    Ok(())
}

fn not_for_people() -> ExitCode {
    eprintln!("error: this is an internal command; the gateway runs it to start its servers");
    ExitCode::from(2)
}

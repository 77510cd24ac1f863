//! What our executable does in the role `__watchdog`: it outlives the gateway for as long as it takes to kill what
//! the gateway left running. It knows nothing but the groups it is told: `+7` and `-7`, a line each, on stdin.

use std::{
    collections::HashSet,
    io::{self, BufRead},
    process::ExitCode,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

use super::descriptors;

/// Watches until stdin ends, then kills every group that is still registered.
pub(super) fn run() -> ExitCode {
    // A watchdog with a fault in its setup is better than none: each step stands alone.
    let _ = rustix::process::setsid();
    let _ = descriptors::close_inherited();
    let _deaf = deafen();
    for group in remaining_groups(io::stdin().lock()) {
        // A group that ended by itself in the meantime is no fault.
        let _ = kill_process_group(group, Signal::KILL);
    }
    ExitCode::SUCCESS
}

/// Reads registrations to the end and returns what is registered then. Lines that are not ours are passed over.
fn remaining_groups(input: impl BufRead) -> HashSet<Pid> {
    let mut groups = HashSet::new();
    for line in input.split(b'\n').map_while(Result::ok) {
        if let Some(group) = line.strip_prefix(b"+").and_then(parse_group) {
            groups.insert(group);
        } else if let Some(group) = line.strip_prefix(b"-").and_then(parse_group) {
            groups.remove(&group);
        }
    }
    groups
}

/// Group 1 is the init process; to kill it (or, as -1, everybody) can never be meant.
fn parse_group(number: &[u8]) -> Option<Pid> {
    std::str::from_utf8(number).ok()?.parse().ok().filter(|number| *number > 1).and_then(Pid::from_raw)
}

/// Catches the signals that end a whole terminal or service, because the gateway answers them by its own orderly
/// end, and we are to be there until then. Catching lasts as long as the returned runtime.
fn deafen() -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()] {
        drop(signal(kind)?); // what was caught stays caught, without the stream too
    }
    drop(entered);
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_back_remains() {
        let told = b"+12\n+13\n-12\nnoise\n\xff\n+x\n+0\n+1\n+-5\n-99\n+14\n" as &[u8];
        let mut left: Vec<i32> = remaining_groups(told).into_iter().map(Pid::as_raw_pid).collect();
        left.sort_unstable();
        assert_eq!(left, [13, 14]);
    }
}

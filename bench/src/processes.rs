//! What the kernel accounts: CPU time and memory of a process, its children, and how busy the machine is.
//! Linux only, read from /proc. Threads that ended between two readings are not counted; no part ends threads
//! while it is measured.

use std::{fs, io, path::Path, time::Duration};

use rustix::param::clock_ticks_per_second;
use serde::{Deserialize, Serialize};

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Resident now.
    pub rss_kib: u64,
    /// The most that was resident since the process started.
    pub peak_rss_kib: u64,
}

/// Returns the CPU time of all threads of `pid`, to the nanosecond where the kernel keeps scheduling statistics,
/// else to the clock tick.
///
/// # Errors
/// Fails when the process is gone.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let tasks = format!("/proc/{pid}/task");
    let mut total = 0;
    for task in fs::read_dir(&tasks)? {
        match run_time_ns(&task?.path().join("schedstat")) {
            Ok(ns) => total += ns,
            Err(_) => return cpu_time_in_ticks(pid),
        }
    }
    Ok(Duration::from_nanos(total))
}

/// The first number of a task's `schedstat` is its time on a CPU in nanoseconds.
fn run_time_ns(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.split_whitespace().next().and_then(|first| first.parse().ok()).ok_or_else(|| unreadable(path))
}

/// `utime` and `stime` are the 12th and 13th fields behind the command's closing bracket (proc(5)).
fn cpu_time_in_ticks(pid: u32) -> io::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path)?;
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: Vec<u64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() < 2 {
        return Err(unreadable(Path::new(&path)));
    }
    Ok(duration_of_ticks(ticks.iter().sum()))
}

/// Returns the memory of `pid`.
///
/// # Errors
/// Fails when the process is gone.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Ok(Memory { rss_kib: kib("VmRSS:"), peak_rss_kib: kib("VmHWM:") })
}

/// Returns the command name of `pid`, or an empty one when the process is gone.
pub fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Returns the direct children of `pid`, in ascending order.
///
/// # Errors
/// Fails when the list of processes cannot be read.
pub fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(candidate) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if parent(candidate) == Some(pid) {
            found.push(candidate);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The parent is the second field behind the command's closing bracket.
fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the time that all CPUs of the machine were not idle, to the clock tick; time stolen by the host included.
///
/// # Errors
/// Fails when the kernel's statistics cannot be read.
pub fn machine_busy() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guest time is part of user.
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    Ok(duration_of_ticks(fields.iter().sum::<u64>() - idle))
}

fn duration_of_ticks(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / clock_ticks_per_second()))
}

fn unreadable(path: &Path) -> io::Error {
    io::Error::other(format!("`{}` is not as documented", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{cpu_time, cpu_time_in_ticks, machine_busy, memory, name};

    #[test]
    fn own_accounting_is_readable() {
        let pid = std::process::id();
        assert!(cpu_time(pid).unwrap().as_nanos() > 0);
        cpu_time_in_ticks(pid).unwrap();
        let memory = memory(pid).unwrap();
        assert!(memory.rss_kib > 0 && memory.peak_rss_kib >= memory.rss_kib);
        assert!(!name(pid).is_empty());
        assert!(machine_busy().unwrap().as_nanos() > 0);
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(cpu_time(u32::MAX).is_err());
    }
}

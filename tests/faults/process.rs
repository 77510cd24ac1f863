//! What the kernel says of processes: who is whose child, who is dead and not buried, how much memory one has.

use std::fs;

/// One process as `/proc` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) state: char,
    pub(crate) name: String,
}

/// Returns all processes.
pub(crate) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    entries.filter_map(|entry| read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Returns the children of a process, their children, and so on.
pub(crate) fn descendants(pid: u32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            parents.push(child.pid);
            found.push(child.clone());
        }
    }
    found
}

/// Tells whether a process runs. One that is dead and waits to be buried does not.
pub(crate) fn runs(pid: u32) -> bool {
    read(pid).is_some_and(|process| !matches!(process.state, 'Z' | 'X'))
}

/// Returns the memory of a process in KiB: `VmRSS` now, `VmHWM` at its peak.
pub(crate) fn memory_kib(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with(field)).expect("the field is there");
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).expect("a number of KiB")
}

/// Forgets the peak so far, so that `VmHWM` is the peak from now on.
pub(crate) fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak of a process of ours can be reset");
}

fn read(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(") ")?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let name = before.split_once('(')?.1.to_owned();
    Some(Process { pid, parent, state, name })
}

//! Signals to a child and its process group, while the number is surely theirs.
//! Reaping is not done here; see `spawning`.

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process group of ours.
///
/// Invariant: the number is forgotten before the leader is reaped, so that no signal reaches a stranger who got the
/// same number later.
#[derive(Debug)]
pub(super) struct Group {
    leader: Mutex<Option<Pid>>,
}

impl Group {
    /// Takes charge of the child `leader`, which leads its group or will in a moment.
    pub(super) const fn new(leader: Pid) -> Self {
        Self { leader: Mutex::new(Some(leader)) }
    }

    /// Asks the whole group to end. Does nothing once the leader was reaped.
    pub(super) fn terminate(&self) {
        if let Some(leader) = *self.leader.lock() {
            // An empty group is no fault: it has ended already.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }

    /// Kills the whole group. Does nothing once the leader was reaped.
    pub(super) fn kill(&self) {
        if let Some(leader) = *self.leader.lock() {
            kill_group_and_leader(leader);
        }
    }

    /// Kills what is left of the group and forgets its number; afterwards the leader may be reaped.
    pub(super) fn retire(&self) {
        if let Some(leader) = self.leader.lock().take() {
            kill_group_and_leader(leader);
        }
    }
}

/// The leader gets a signal of its own because it may not have made its group yet.
fn kill_group_and_leader(leader: Pid) {
    // Neither can fail but for want of a process to kill.
    let _ = kill_process_group(leader, Signal::KILL);
    let _ = kill_process(leader, Signal::KILL);
}

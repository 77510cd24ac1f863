//! The thread that keeps the trail's two promises of time: a line that waits is with the kernel within 5 ms, and
//! asked to the disk within 50 ms. It sleeps while nothing waits. The disk itself is [`crate::syncer`]'s.

use std::{io, time::Duration};

use parking_lot::MutexGuard;

use crate::{
    journal::{Journal, Stage},
    trail::Shared,
};

/// Time between two looks while something waits; below 5 ms by what a late wake-up costs.
const TICK: Duration = Duration::from_millis(4);
/// Age of written lines at which a sync is asked for; below 50 ms by a tick and the disk's own time.
const SYNC_AFTER: Duration = Duration::from_millis(40);

/// The thread's life. Ends when the journal is closed.
pub(crate) fn run(shared: &Shared) {
    let mut journal = shared.journal.lock();
    while journal.stage != Stage::Closed {
        if journal.has_waiting() {
            shared.woken.wait_for(&mut journal, TICK);
            // A failure is logged by the journal and tried again at the next tick.
            let _written = journal.write_waiting();
        } else {
            sleep(shared, &mut journal);
        }
        if journal.unsynced_since().is_some_and(|since| since.elapsed() >= SYNC_AFTER) {
            note_deletion(shared, journal.look_for_interference());
            journal.sync_requested();
            shared.syncer.request();
        }
    }
}

fn sleep(shared: &Shared, journal: &mut MutexGuard<'_, Journal>) {
    if let Some(since) = journal.unsynced_since() {
        journal.stage = Stage::Dozing;
        shared.woken.wait_for(journal, SYNC_AFTER.saturating_sub(since.elapsed()));
    } else {
        journal.stage = Stage::Asleep;
        shared.woken.wait(journal);
    }
    if journal.stage != Stage::Closed {
        journal.stage = Stage::Awake;
    }
}

fn note_deletion(shared: &Shared, looked: io::Result<()>) {
    if let Err(error) = looked
        && shared.note_lost_file()
    {
        tracing::error!(%error, "audit file was deleted; calls are refused until the gateway is started again");
    }
}

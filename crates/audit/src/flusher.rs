//! The thread that keeps the trail's two promises of time: on a disk that takes it, a line that waits is with the kernel
//! within 5 ms, and asked to the disk within 50 ms. It sleeps while nothing waits. The disk itself is [`crate::syncer`]'s.

use std::{io, time::Duration};

use crate::{inbox::Stage, trail::Shared};

/// Time between two looks while something waits; below 5 ms by what a late wake-up costs.
const TICK: Duration = Duration::from_millis(4);
/// The same after a write was refused: a disk that is full seldom has room again so soon, and every try costs the hashes of
/// all that waits.
const TICK_AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// Age of written lines at which a sync is asked for; below 50 ms by a tick and the disk's own time.
const SYNC_AFTER: Duration = Duration::from_millis(40);

/// The thread's life. Ends when the inbox is closed.
pub(crate) fn run(shared: &Shared) {
    loop {
        match pause(shared) {
            Stage::Closed => return,
            Stage::Awake => write(shared),
            // What has come in the meantime has a tick to be joined by more.
            Stage::Dozing | Stage::Asleep => {}
        }
        sync_if_due(shared);
    }
}

/// Waits until there may be something to do, and returns how it waited.
fn pause(shared: &Shared) -> Stage {
    let journal = shared.journal.lock();
    let unsynced_since = journal.unsynced_since();
    let mut inbox = shared.inbox.lock();
    // Both locks are held here: nobody can write and take us for awake while we go to sleep.
    let stage = match (inbox.stage, unsynced_since) {
        (Stage::Closed, _) => Stage::Closed,
        (_, _) if !inbox.is_empty() => Stage::Awake,
        (_, Some(_)) => Stage::Dozing,
        (_, None) => Stage::Asleep,
    };
    drop(journal);
    inbox.stage = stage;
    match (stage, unsynced_since) {
        (Stage::Closed, _) => {}
        (Stage::Awake, _) => {
            let tick = if inbox.is_refused() { TICK_AFTER_REFUSAL } else { TICK };
            shared.woken.wait_for(&mut inbox, tick);
        }
        (_, Some(since)) => {
            shared.woken.wait_for(&mut inbox, SYNC_AFTER.saturating_sub(since.elapsed()));
        }
        (_, None) => shared.woken.wait(&mut inbox),
    }
    if inbox.stage == Stage::Closed {
        return Stage::Closed;
    }
    inbox.stage = Stage::Awake;
    stage
}

fn write(shared: &Shared) {
    // A failure is logged by the journal and tried again at the next tick.
    let _written = shared.write_out(shared.journal.lock());
}

fn sync_if_due(shared: &Shared) {
    let mut journal = shared.journal.lock();
    if journal.unsynced_since().is_some_and(|since| since.elapsed() >= SYNC_AFTER) {
        note_deletion(shared, journal.look_for_interference(&shared.inbox));
        journal.sync_requested();
        shared.syncer.request();
    }
}

fn note_deletion(shared: &Shared, looked: io::Result<()>) {
    if let Err(error) = looked
        && shared.note_lost_file()
    {
        tracing::error!(%error, "audit file was deleted; calls are refused until the gateway is started again");
    }
}

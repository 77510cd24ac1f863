//! What the trail counts about itself. Read by the metrics endpoint; nothing here is needed to write a line.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counts since the trail was opened. Plain atomics: read them at any time, in any order.
#[derive(Debug, Default)]
pub struct Counters {
    /// Lines handed to the kernel.
    pub lines: AtomicU64,
    /// Bytes handed to the kernel.
    pub bytes: AtomicU64,
    /// Calls and events refused because their line could not be written or synced.
    pub failures: AtomicU64,
    /// Lines lost: dropped by `best_effort`, or end lines that found no room while the disk was full.
    pub drops: AtomicU64,
    /// Calls begun and not ended: a level, not a count.
    pub open_calls: AtomicU64,
    /// Syncs that the disk confirmed.
    pub syncs: AtomicU64,
    /// Syncs that failed.
    pub sync_failures: AtomicU64,
    /// Time spent in confirmed syncs, in microseconds.
    pub sync_micros: AtomicU64,
    /// The longest confirmed sync, in microseconds.
    pub sync_micros_max: AtomicU64,
}

// === impl Counters ===

impl Counters {
    pub(crate) fn wrote(&self, lines: u64, bytes: u64) {
        self.lines.fetch_add(lines, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn synced(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Relaxed);
        self.sync_micros.fetch_add(micros, Relaxed);
        self.sync_micros_max.fetch_max(micros, Relaxed);
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Takes one off a level.
pub(crate) fn uncount(level: &AtomicU64) {
    level.fetch_sub(1, Relaxed);
}

//! The end of the chain and the lines that still wait for the kernel. Everything here happens under one lock, which
//! is held for a hash and a `write(2)`, never for a sync. Who calls, and when: [`crate::trail`], [`crate::flusher`].
//!
//! Invariants: `tip` is the last line of `waiting`, or of the file when nothing waits. The file's first `good_bytes`
//! bytes are whole lines. A refused line leaves no trace in either, so that `seq` has no gap.

use std::{
    io,
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{
    Counters, Detail, Event,
    chain::{self, Link},
    counters::count,
    group::{Group, Seat},
    line::{self, Phase},
    medium::Medium,
};

/// Most bytes that wait for the kernel: about 2,000 lines, which a disk takes in a millisecond.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// Waiting bytes at which the flusher is not left to finish its tick.
const PRESSING_BYTES: usize = MAX_WAITING_BYTES / 4;
/// Memory kept for waiting lines once they are written.
const KEPT_BYTES: usize = 128 * 1024;

/// The queue has no room; the line is counted as dropped.
#[derive(Debug)]
pub(crate) struct QueueFull;

/// The tail of the trail.
#[derive(Debug)]
pub(crate) struct Journal {
    medium: Arc<dyn Medium>,
    counters: Arc<Counters>,
    tip: Link,
    /// Sealed lines not yet handed to the kernel.
    waiting: Vec<u8>,
    waiting_lines: u64,
    good_bytes: u64,
    /// The file may be longer than `good_bytes`: a write stopped halfway and could not be undone yet.
    is_torn: bool,
    /// The last write failed; said once, until one succeeds.
    is_failing: bool,
    /// Dropped lines that no line of the trail has told of yet.
    untold_drops: u64,
    unsynced_since: Option<Instant>,
    /// Begin lines that are written together; not sealed yet.
    group: Group,
    pub(crate) stage: Stage,
}

/// What the flusher does, so that writers know whether it must be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It looks again within a tick.
    Awake,
    /// It looks again when the next sync is due; whoever leaves a line waiting wakes it.
    Dozing,
    /// It sleeps until somebody wakes it.
    Asleep,
    /// It is gone: lines are written at once.
    Closed,
}

// === impl Journal ===

impl Journal {
    pub(crate) fn new(medium: Arc<dyn Medium>, counters: Arc<Counters>, tip: Link, good_bytes: u64) -> Self {
        Self {
            medium,
            counters,
            tip,
            waiting: Vec::with_capacity(KEPT_BYTES),
            waiting_lines: 0,
            good_bytes,
            is_torn: false,
            is_failing: false,
            untold_drops: 0,
            unsynced_since: None,
            group: Group::default(),
            stage: Stage::Awake,
        }
    }

    /// Seals a line and leaves it to the next write.
    pub(crate) fn queue(&mut self, phase: Phase, body: &[u8]) -> Result<(), QueueFull> {
        if self.waiting.len() + body.len() > MAX_WAITING_BYTES {
            self.untold_drops += 1;
            count(&self.counters.drops);
            return Err(QueueFull);
        }
        self.tell_drops();
        self.seal(phase, body);
        Ok(())
    }

    /// Seals a line and hands it, and all that waits, to the kernel.
    ///
    /// # Errors
    /// The line is undone; what waited before still waits.
    pub(crate) fn write(&mut self, phase: Phase, body: &[u8]) -> io::Result<()> {
        self.tell_drops();
        let before = (self.waiting.len(), self.waiting_lines, self.tip);
        self.seal(phase, body);
        self.write_waiting().inspect_err(|_| {
            self.waiting.truncate(before.0);
            (self.waiting_lines, self.tip) = (before.1, before.2);
        })
    }

    /// Takes a begin line into the group that is written next. A full group is written at once.
    pub(crate) fn join(&mut self, body: &[u8]) -> Seat {
        let seat = self.group.join(body);
        if self.group.is_full() {
            self.write_group();
        }
        seat
    }

    /// Seals the group's lines and hands them, and all that waits, to the kernel; everybody in it learns what became of
    /// it. On failure all of them are undone.
    pub(crate) fn write_group(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        self.tell_drops();
        let before = (self.waiting.len(), self.waiting_lines, self.tip);
        for body in group.bodies() {
            self.seal(Phase::Begin, body);
        }
        let written = self.write_waiting();
        if written.is_err() {
            self.waiting.truncate(before.0);
            (self.waiting_lines, self.tip) = (before.1, before.2);
        }
        group.settle(&written);
    }

    /// Hands all that waits to the kernel.
    ///
    /// # Errors
    /// What the system says; everything still waits.
    pub(crate) fn write_waiting(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.mend().and_then(|()| self.append_waiting());
        self.report(&written);
        written?;
        let bytes = self.waiting.len() as u64;
        self.good_bytes += bytes;
        self.counters.wrote(self.waiting_lines, bytes);
        self.waiting.clear();
        self.waiting.shrink_to(KEPT_BYTES);
        self.waiting_lines = 0;
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Tells whether lines wait for the kernel.
    pub(crate) const fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tells whether the flusher must be woken for what was done since it went to sleep, and takes it for awake.
    pub(crate) const fn take_waking(&mut self) -> bool {
        let is_needed = match self.stage {
            Stage::Asleep => self.has_waiting() || self.unsynced_since.is_some(),
            Stage::Dozing => self.has_waiting(),
            Stage::Awake => self.waiting.len() >= PRESSING_BYTES,
            Stage::Closed => false,
        };
        if is_needed {
            self.stage = Stage::Awake;
        }
        is_needed
    }

    /// Returns since when the file holds lines that no sync was asked for.
    pub(crate) const fn unsynced_since(&self) -> Option<Instant> {
        self.unsynced_since
    }

    /// Notes that a sync of everything written so far is on its way.
    pub(crate) const fn sync_requested(&mut self) {
        self.unsynced_since = None;
    }

    /// Compares the file with what was written to it, and puts on record when somebody else changed it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the file was deleted; nothing written to it from now on will be found.
    pub(crate) fn look_for_interference(&mut self) -> io::Result<()> {
        let found = self.medium.length()?;
        if found == self.good_bytes || self.is_torn {
            return Ok(());
        }
        tracing::error!(expected = self.good_bytes, found, "audit file was changed by somebody else");
        let details =
            [("expected_bytes", Detail::Number(self.good_bytes)), ("found_bytes", Detail::Number(found))];
        self.good_bytes = found;
        self.queue_event(&Event { name: "file_changed", details: &details });
        Ok(())
    }

    fn tell_drops(&mut self) {
        if self.untold_drops > 0 {
            let details = [("lines", Detail::Number(self.untold_drops))];
            self.untold_drops = 0;
            self.queue_event(&Event { name: "dropped", details: &details });
        }
    }

    fn queue_event(&mut self, event: &Event<'_>) {
        let mut body = Vec::new();
        line::push_event(&mut body, event);
        self.seal(Phase::Event, &body);
    }

    fn seal(&mut self, phase: Phase, body: &[u8]) {
        let line_start = self.waiting.len();
        line::push_opening(&mut self.waiting, phase, SystemTime::now());
        self.waiting.extend_from_slice(body);
        chain::seal(&mut self.waiting, line_start, &mut self.tip);
        self.waiting_lines += 1;
    }

    fn append_waiting(&mut self) -> io::Result<()> {
        let mut rest = &self.waiting[..];
        while !rest.is_empty() {
            match self.medium.append(rest) {
                Ok(0) => return self.undo(io::ErrorKind::WriteZero.into()),
                Ok(taken) => rest = &rest[taken..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.undo(error),
            }
        }
        Ok(())
    }

    fn undo(&mut self, error: io::Error) -> io::Result<()> {
        self.is_torn = true;
        // If the cut fails as well, the next write begins with it.
        let _undone = self.mend();
        Err(error)
    }

    /// Cuts off what a failed write left behind.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.medium.truncate(self.good_bytes)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Logs the first failure and the recovery, not every refused call between them.
    fn report(&mut self, written: &io::Result<()>) {
        match written {
            Err(error) if !self.is_failing => tracing::error!(%error, "audit file cannot be written"),
            Ok(()) if self.is_failing => tracing::info!("audit file can be written again"),
            Ok(()) | Err(_) => {}
        }
        self.is_failing = written.is_err();
    }
}

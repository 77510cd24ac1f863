//! The end of the chain: lines are sealed here and handed to the kernel, all that waited in one write. It happens under
//! the journal's lock, which is held for the hashes and a `write(2)`, never for a sync. Who calls, and
//! when: [`crate::trail`], [`crate::flusher`]; where lines wait: [`crate::inbox`].
//!
//! Invariants: `tip` is the file's last whole line, and its first `good_bytes` bytes are whole lines. A refused line
//! leaves no trace in either, so that `seq` has no gap.

use std::{
    io,
    sync::Arc,
    time::{Instant, SystemTime},
};

use parking_lot::Mutex;

use crate::{
    Counters, Detail, Event,
    chain::{self, Link},
    counters::count,
    inbox::{Full, Inbox, Line, Taken},
    line::{self, Phase},
    medium::Medium,
};

/// Memory kept for sealed lines once they are written.
const KEPT_BYTES: usize = 128 * 1024;

/// The tail of the trail.
#[derive(Debug)]
pub(crate) struct Journal {
    medium: Arc<dyn Medium>,
    counters: Arc<Counters>,
    tip: Link,
    good_bytes: u64,
    /// The file may be longer than `good_bytes`: a write stopped halfway and could not be undone yet.
    is_torn: bool,
    /// The last write failed; said once, until one succeeds.
    is_failing: bool,
    unsynced_since: Option<Instant>,
    /// The lines being written; empty between writes.
    sealed: Vec<u8>,
}

// === impl Journal ===

impl Journal {
    pub(crate) fn new(medium: Arc<dyn Medium>, counters: Arc<Counters>, tip: Link, good_bytes: u64) -> Self {
        Self {
            medium,
            counters,
            tip,
            good_bytes,
            is_torn: false,
            is_failing: false,
            unsynced_since: None,
            sealed: Vec::with_capacity(KEPT_BYTES),
        }
    }

    /// Seals what was taken out of the inbox and hands it to the kernel.
    ///
    /// # Errors
    /// What the system says; then the file is as if nothing had been tried.
    pub(crate) fn write(&mut self, taken: &Taken) -> io::Result<()> {
        let written = self.mend().and_then(|()| self.seal_and_append(taken));
        self.report(&written);
        written
    }

    /// Returns since when the file holds lines that no sync was asked for.
    pub(crate) const fn unsynced_since(&self) -> Option<Instant> {
        self.unsynced_since
    }

    /// Notes that a sync of everything written so far is on its way.
    pub(crate) const fn sync_requested(&mut self) {
        self.unsynced_since = None;
    }

    /// Compares the file with what was written to it, and puts into `inbox` when somebody else changed it.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the file was deleted; nothing written to it from now on will be found.
    pub(crate) fn look_for_interference(&mut self, inbox: &Mutex<Inbox>) -> io::Result<()> {
        let found = self.medium.length()?;
        if found == self.good_bytes || self.is_torn {
            return Ok(());
        }
        tracing::error!(expected = self.good_bytes, found, "audit file was changed by somebody else");
        let details =
            [("expected_bytes", Detail::Number(self.good_bytes)), ("found_bytes", Detail::Number(found))];
        self.good_bytes = found;
        let mut body = Vec::new();
        line::push_event(&mut body, &Event { name: "file_changed", details: &details });
        let mut inbox = inbox.lock();
        if let Err(Full) = inbox.put(Phase::Event, &body) {
            inbox.note_drop();
            count(&self.counters.drops);
        }
        Ok(())
    }

    fn seal_and_append(&mut self, taken: &Taken) -> io::Result<()> {
        let tip = self.seal(taken);
        let appended = self.append_sealed();
        if appended.is_ok() {
            let bytes = self.sealed.len() as u64;
            self.counters.wrote(tip.seq - self.tip.seq, bytes);
            self.good_bytes += bytes;
            self.tip = tip;
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        self.sealed.clear();
        self.sealed.shrink_to(KEPT_BYTES);
        appended
    }

    /// Seals the lines behind one another and returns the place of the last.
    fn seal(&mut self, taken: &Taken) -> Link {
        let mut tip = self.tip;
        if taken.untold_drops > 0 {
            let details = [("lines", Detail::Number(taken.untold_drops))];
            let mut body = Vec::new();
            line::push_event(&mut body, &Event { name: "dropped", details: &details });
            self.seal_line(Line { phase: Phase::Event, at: SystemTime::now(), body: &body }, &mut tip);
        }
        for line in taken.lines.iter() {
            self.seal_line(line, &mut tip);
        }
        tip
    }

    fn seal_line(&mut self, line: Line<'_>, tip: &mut Link) {
        let start = self.sealed.len();
        line::push_opening(&mut self.sealed, line.phase, line.at);
        self.sealed.extend_from_slice(line.body);
        chain::seal(&mut self.sealed, start, tip);
    }

    fn append_sealed(&mut self) -> io::Result<()> {
        let mut rest = &self.sealed[..];
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

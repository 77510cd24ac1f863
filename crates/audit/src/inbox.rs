//! Lines that were put down and are not sealed yet, in the order in which they will stand. Its lock is held for a copy,
//! never for a hash or a write, so that putting a line down waits for nobody's disk. Who takes the lines out, seals and
//! writes them: [`crate::journal`].
//!
//! Locks are taken in one order: the journal's, then this one.

use std::time::SystemTime;

use crate::{
    line::Phase,
    seat::{Seat, Verdict},
};

/// Most bytes that wait for the kernel: about 2,000 lines, which a disk takes in a millisecond.
const MAX_BYTES: usize = 1024 * 1024;
/// Bytes at which the flusher is not left to finish its tick.
const PRESSING_BYTES: usize = MAX_BYTES / 4;
/// Bytes at which seated lines are written without waiting for others.
const FULL_BYTES: usize = 64 * 1024;
/// Memory kept for lines once they are written.
const KEPT_BYTES: usize = 128 * 1024;

/// There is no room.
#[derive(Debug)]
pub(crate) struct Full;

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

/// Where lines wait.
#[derive(Debug)]
pub(crate) struct Inbox {
    lines: Lines,
    /// Memory of lines that were written, for those that will come.
    spare: Lines,
    verdict: Verdict,
    /// Bytes of lines that are being written: they may come back.
    taken_bytes: usize,
    /// The last write was refused: there is no room soon.
    is_refused: bool,
    /// Dropped lines that no line of the trail has told of yet.
    untold_drops: u64,
    pub(crate) stage: Stage,
}

/// All that waited at one moment.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) lines: Lines,
    pub(crate) verdict: Verdict,
    pub(crate) untold_drops: u64,
}

/// Lines without their opening and their seal.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bodies: Vec<u8>,
    heads: Vec<Head>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    phase: Phase,
    at: SystemTime,
    /// Where the body ends; it begins where the one before ends.
    end: usize,
    fate: Fate,
}

/// What becomes of a line that the kernel refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is undone, and whoever waits for it learns so.
    Refused,
    /// It waits on.
    Kept,
}

/// A line on its way into the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) phase: Phase,
    pub(crate) at: SystemTime,
    pub(crate) body: &'a [u8],
}

// === impl Inbox ===

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            lines: Lines::default(),
            spare: Lines::default(),
            verdict: Verdict::default(),
            taken_bytes: 0,
            is_refused: false,
            untold_drops: 0,
            stage: Stage::Awake,
        }
    }

    /// Puts down a line that nobody waits for; the kernel has it with the next write that succeeds.
    ///
    /// # Errors
    /// [`Full`]; whoever gives the line up says so by [`Inbox::note_drop`].
    pub(crate) fn put(&mut self, phase: Phase, body: &[u8]) -> Result<(), Full> {
        if self.taken_bytes + self.lines.bodies.len() + body.len() > MAX_BYTES {
            return Err(Full);
        }
        self.lines.push(phase, body, Fate::Kept);
        Ok(())
    }

    /// Notes that a line was given up; the trail tells of it as soon as it can.
    pub(crate) const fn note_drop(&mut self) {
        self.untold_drops += 1;
    }

    /// Puts down a line for somebody who waits until it is written.
    pub(crate) fn seat(&mut self, phase: Phase, body: &[u8]) -> Seat {
        self.lines.push(phase, body, Fate::Refused);
        self.verdict.seat()
    }

    /// Takes out all that waits. Whoever does holds the journal, and gives it back by [`Inbox::written`] or
    /// [`Inbox::refused`].
    pub(crate) fn take(&mut self) -> Taken {
        let spare = std::mem::take(&mut self.spare);
        self.taken_bytes = self.lines.bodies.len();
        Taken {
            lines: std::mem::replace(&mut self.lines, spare),
            verdict: std::mem::take(&mut self.verdict),
            untold_drops: std::mem::take(&mut self.untold_drops),
        }
    }

    /// Keeps the memory of lines that were written.
    pub(crate) fn written(&mut self, mut lines: Lines) {
        lines.clear();
        self.spare = lines;
        (self.taken_bytes, self.is_refused) = (0, false);
    }

    /// Takes back the lines that nobody waits for, before all that has come since.
    pub(crate) fn refused(&mut self, lines: &Lines, untold_drops: u64) {
        let since = std::mem::take(&mut self.lines);
        let kept = lines.each().filter(|(head, _)| head.fate == Fate::Kept);
        for (head, body) in kept.chain(since.each()) {
            self.lines.append(head, body);
        }
        self.untold_drops += untold_drops;
        (self.taken_bytes, self.is_refused) = (0, true);
    }

    /// Tells whether the last write was refused.
    pub(crate) const fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Tells whether nothing waits for the kernel.
    pub(crate) const fn is_empty(&self) -> bool {
        self.lines.heads.is_empty()
    }

    /// Tells whether it is time to write, whoever may still come.
    pub(crate) const fn is_full(&self) -> bool {
        self.lines.bodies.len() >= FULL_BYTES
    }

    /// Tells whether the flusher must be woken for lines that wait, and takes it for awake.
    pub(crate) const fn take_waking(&mut self) -> bool {
        let is_needed = match self.stage {
            Stage::Asleep | Stage::Dozing => !self.is_empty(),
            Stage::Awake => self.lines.bodies.len() >= PRESSING_BYTES && !self.is_refused,
            Stage::Closed => false,
        };
        self.wake_if(is_needed)
    }

    /// As [`Inbox::take_waking`] after a write: what was written must come to the disk, too.
    pub(crate) const fn take_waking_after_write(&mut self) -> bool {
        let is_asleep = matches!(self.stage, Stage::Asleep);
        self.take_waking() || self.wake_if(is_asleep)
    }

    const fn wake_if(&mut self, is_needed: bool) -> bool {
        if is_needed {
            self.stage = Stage::Awake;
        }
        is_needed
    }
}

// === impl Lines ===

impl Lines {
    /// Iterates over the lines in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        self.each().map(|(head, body)| Line { phase: head.phase, at: head.at, body })
    }

    /// Forgets the lines and keeps their memory, within bounds.
    fn clear(&mut self) {
        self.bodies.clear();
        self.bodies.shrink_to(KEPT_BYTES);
        self.heads.clear();
        self.heads.shrink_to(KEPT_BYTES / size_of::<Head>());
    }

    fn push(&mut self, phase: Phase, body: &[u8], fate: Fate) {
        self.append(Head { phase, at: SystemTime::now(), end: 0, fate }, body);
    }

    fn append(&mut self, head: Head, body: &[u8]) {
        self.bodies.extend_from_slice(body);
        self.heads.push(Head { end: self.bodies.len(), ..head });
    }

    fn each(&self) -> impl Iterator<Item = (Head, &[u8])> {
        let starts = std::iter::once(0).chain(self.heads.iter().map(|head| head.end));
        starts.zip(&self.heads).map(|(start, head)| (*head, &self.bodies[start..head.end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(inbox: &mut Inbox) -> usize {
        let line = [b'x'; 1024];
        std::iter::repeat_with(|| inbox.put(Phase::End, &line)).take_while(Result::is_ok).count()
    }

    #[test]
    fn what_is_being_written_still_takes_its_room() {
        let mut inbox = Inbox::new();
        assert!(fill(&mut inbox) > 0);
        let taken = inbox.take();
        assert_eq!(fill(&mut inbox), 0, "it may come back");
        inbox.refused(&taken.lines, taken.untold_drops);
        assert_eq!(fill(&mut inbox), 0);
        let taken = inbox.take();
        inbox.written(taken.lines);
        assert!(fill(&mut inbox) > 0);
    }

    #[test]
    fn after_a_refusal_lines_that_nobody_waits_for_keep_their_order() {
        let mut inbox = Inbox::new();
        inbox.put(Phase::End, b"1").unwrap();
        let seat = inbox.seat(Phase::Begin, b"2");
        inbox.put(Phase::Event, b"3").unwrap();
        let taken = inbox.take();
        inbox.put(Phase::End, b"4").unwrap();
        let next = inbox.seat(Phase::Begin, b"5");
        inbox.refused(&taken.lines, taken.untold_drops);
        taken.verdict.settle(&Err(std::io::ErrorKind::StorageFull.into()));
        assert!(seat.verdict().unwrap().is_err());
        assert!(next.verdict().is_none(), "whoever came since waits for the next write");
        let bodies: Vec<_> = inbox.take().lines.iter().map(|line| line.body.to_vec()).collect();
        assert_eq!(bodies, [b"1", b"3", b"4", b"5"]);
    }
}

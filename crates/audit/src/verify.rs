//! Checks a trail: is every line as it was written, in its place, and none missing between? Streams the file; holds
//! one line and the ids of open calls. It needs no gateway and no key; what a chain cannot show is said in the
//! crate's documentation.

use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, BufRead},
};

use serde::Deserialize;

use crate::{
    LineHash, Link, MAX_LINE_BYTES, chain,
    line::Phase,
    lines::{Lines, Read},
};

/// Most calls open at once that are followed; a gateway allows far fewer.
const MAX_OPEN_CALLS: usize = 1_000_000;

/// What a sound trail holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whole lines.
    pub lines: u64,
    /// Begin lines.
    pub calls: u64,
    /// Event lines.
    pub events: u64,
    /// Begin lines without an end line: calls in flight, or cut off by the death of the gateway. None: more than a
    /// million were open at once, and they were not counted.
    pub open_calls: Option<u64>,
    /// End lines without a begin line, which `best_effort` may have dropped. None: as for `open_calls`.
    pub ends_without_begin: Option<u64>,
    /// Bytes of a torn last line. The gateway cuts it off when it opens the file again.
    pub torn_bytes: u64,
    /// The last whole line, or what the file was to follow. Keep it elsewhere to check a later copy against it.
    pub head: Link,
}

/// What is known of a trail from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The line that the file's first line follows: [`Link::GENESIS`], or the head of an earlier part.
    pub after: Link,
    /// A line that the file must hold, for example the head of an earlier check.
    pub holds: Option<Link>,
}

/// The first fault of a trail. Nothing behind it was looked at.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Fault {
    /// The number of the line in the file; the first is 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read further.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It has more bytes than any line of a trail.
    #[error("longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// It does not have the form of a line of a trail.
    #[error("not a line of an audit trail")]
    Foreign,
    /// Its hash is not the hash of its bytes.
    #[error("edited: its hash does not fit its content")]
    Edited,
    /// Lines before it are missing, or it was moved up.
    #[error("has seq {found} where {expected} should be: lines before it were removed, or it was moved")]
    Ahead {
        /// The `seq` that would follow the line before.
        expected: u64,
        /// Its own `seq`.
        found: u64,
    },
    /// It stood before already, was inserted, or was moved down.
    #[error("has seq {found} where {expected} should be: it was repeated, inserted or moved")]
    Behind {
        /// The `seq` that would follow the line before.
        expected: u64,
        /// Its own `seq`.
        found: u64,
    },
    /// It has the right `seq` and follows another line than the one before it.
    #[error("does not follow the line before it: one of the two was replaced")]
    Unlinked,
    /// The line known from elsewhere has another hash.
    #[error("is not the line known from elsewhere: the trail was rewritten")]
    Rewritten,
    /// The file ends before the line known from elsewhere.
    #[error("missing: the file ends before seq {seq}, which is known from elsewhere")]
    Shortened {
        /// The `seq` of the known line.
        seq: u64,
    },
}

/// Checks a trail from its first line on.
///
/// # Errors
/// The first [`Fault`]. A torn last line is none; it is in the [`Report`].
pub fn verify(reader: impl BufRead) -> Result<Report, Fault> {
    verify_against(reader, Known::default())
}

/// Checks a trail, or a part of one, against what is known of it.
///
/// # Errors
/// As [`verify`].
pub fn verify_against(reader: impl BufRead, known: Known) -> Result<Report, Fault> {
    let mut lines = Lines::new(reader);
    let mut check = Check::new(known);
    loop {
        let line = check.lines + 1;
        match lines.read().map_err(Problem::from).and_then(|read| check.read(read)) {
            Ok(Progress::More) => {}
            Ok(Progress::Done(report)) => return Ok(report),
            Err(problem) => return Err(Fault { line, problem }),
        }
    }
}

enum Progress {
    More,
    Done(Report),
}

/// The state between two lines.
struct Check {
    known: Known,
    tip: Link,
    lines: u64,
    calls: u64,
    events: u64,
    /// None: given up, there are too many.
    open: Option<HashSet<Box<str>>>,
    ends_without_begin: u64,
    torn_bytes: u64,
}

/// What the report needs of a line.
#[derive(Deserialize)]
struct Said<'a> {
    phase: Phase,
    #[serde(borrow)]
    call: Option<Cow<'a, str>>,
}

// === impl Known ===

impl Default for Known {
    fn default() -> Self {
        Self { after: Link::GENESIS, holds: None }
    }
}

// === impl Check ===

impl Check {
    fn new(known: Known) -> Self {
        Self {
            known,
            tip: known.after,
            lines: 0,
            calls: 0,
            events: 0,
            open: Some(HashSet::new()),
            ends_without_begin: 0,
            torn_bytes: 0,
        }
    }

    fn read(&mut self, read: Read<'_>) -> Result<Progress, Problem> {
        match read {
            Read::Line(line) => self.line(line).map(|()| Progress::More),
            Read::TooLong => Err(Problem::TooLong),
            Read::Torn(bytes) => {
                self.torn_bytes = bytes.len() as u64;
                Ok(Progress::More)
            }
            Read::End => self.end().map(Progress::Done),
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        let sealed = chain::read(line).ok_or(Problem::Foreign)?;
        if !sealed.is_intact {
            return Err(Problem::Edited);
        }
        self.follow(sealed.link, sealed.prev)?;
        let said: Said<'_> = serde_json::from_slice(line).map_err(|_| Problem::Foreign)?;
        match (said.phase, said.call) {
            (Phase::Begin, Some(call)) => self.begin(&call),
            (Phase::End, Some(call)) => self.finish(&call),
            (Phase::Event, None) => self.events += 1,
            (Phase::Begin | Phase::End, None) | (Phase::Event, Some(_)) => return Err(Problem::Foreign),
        }
        self.lines += 1;
        Ok(())
    }

    fn follow(&mut self, link: Link, prev: LineHash) -> Result<(), Problem> {
        let (expected, found) = (self.tip.seq + 1, link.seq);
        if found > expected {
            return Err(Problem::Ahead { expected, found });
        }
        if found < expected {
            return Err(Problem::Behind { expected, found });
        }
        if prev != self.tip.hash {
            return Err(Problem::Unlinked);
        }
        if self.known.holds.is_some_and(|known| known.seq == found && known.hash != link.hash) {
            return Err(Problem::Rewritten);
        }
        self.tip = link;
        Ok(())
    }

    fn begin(&mut self, call: &str) {
        self.calls += 1;
        if let Some(open) = &mut self.open {
            open.insert(call.into());
        }
        if self.open.as_ref().is_some_and(|open| open.len() > MAX_OPEN_CALLS) {
            self.open = None;
        }
    }

    fn finish(&mut self, call: &str) {
        if let Some(open) = &mut self.open
            && !open.remove(call)
        {
            self.ends_without_begin += 1;
        }
    }

    fn end(&self) -> Result<Report, Problem> {
        if let Some(known) = self.known.holds
            && known.seq > self.tip.seq
        {
            return Err(Problem::Shortened { seq: known.seq });
        }
        Ok(Report {
            lines: self.lines,
            calls: self.calls,
            events: self.events,
            open_calls: self.open.as_ref().map(|open| open.len() as u64),
            ends_without_begin: self.open.as_ref().map(|_| self.ends_without_begin),
            torn_bytes: self.torn_bytes,
            head: self.tip,
        })
    }
}

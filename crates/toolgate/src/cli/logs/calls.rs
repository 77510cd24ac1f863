//! Calls out of lines: the end line of a call tells all that is shown, so begin lines only matter for calls that have
//! no end line. Where lines come from: `trails.rs`; which calls are wanted: `filter.rs`.

use std::collections::{HashMap, VecDeque};

use super::{
    super::CliError,
    entry::{Entry, Line, UNFINISHED},
    filter::Filter,
    trails::{SourceId, Trails},
};

/// Most calls remembered as open, twice what a gateway has in progress by default. Of further ones only the end is
/// shown.
const MAX_OPEN: usize = 20_000;

/// The wanted calls of the files, in order.
#[derive(Debug)]
pub(super) struct Calls {
    trails: Trails,
    filter: Filter,
    open: HashMap<String, (SourceId, Entry)>,
    /// Found, and not given out yet.
    ready: VecDeque<Entry>,
    /// Files that no gateway wrote to when that was looked at last.
    idle: Vec<SourceId>,
    not_remembered: u64,
}

impl Calls {
    pub(super) fn new(trails: Trails, filter: Filter) -> Self {
        let (open, ready, idle) = (HashMap::new(), VecDeque::new(), Vec::new());
        Self { trails, filter, open, ready, idle, not_remembered: 0 }
    }

    /// Returns the next call that ended, or of which is sure that it never will; None when there is none at present.
    /// Does not wait.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, CliError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let Some((source, line)) = self.trails.next()? else { return Ok(None) };
            match line {
                Line::Begin(entry) => self.begin(source, entry),
                Line::End(entry) => {
                    self.open.remove(&entry.call);
                    self.ready.extend(Some(entry).filter(|entry| self.filter.fits(entry)));
                }
                Line::Boundary(_) => self.abandon(source),
                Line::Other(_) => {}
            }
        }
    }

    /// Returns the calls that are open now, by the time they began, behind those that ended meanwhile. What is open in
    /// a file that no gateway writes to any more is unfinished.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn rest(&mut self) -> Result<Vec<Entry>, CliError> {
        self.idle = self.trails.idle();
        // A gateway writes before it lets go of its file: what it wrote last may not have been read.
        let mut rest = Vec::new();
        while let Some(entry) = self.next()? {
            rest.push(entry);
        }
        let mut open: Vec<Entry> =
            self.open.values().map(|(source, entry)| self.judged(*source, entry)).collect();
        open.retain(|entry| self.filter.fits(entry));
        open.sort_by(|one, other| (one.time, &one.call).cmp(&(other.time, &other.call)));
        rest.extend(open);
        Ok(rest)
    }

    fn judged(&self, source: SourceId, running: &Entry) -> Entry {
        match self.idle.contains(&source) {
            true => Entry { outcome: UNFINISHED.to_owned(), ..running.clone() },
            false => running.clone(),
        }
    }

    /// Returns and forgets how many calls began while [`MAX_OPEN`] were open.
    pub(super) const fn take_not_remembered(&mut self) -> u64 {
        std::mem::replace(&mut self.not_remembered, 0)
    }

    pub(super) const fn trails(&mut self) -> &mut Trails {
        &mut self.trails
    }

    fn begin(&mut self, source: SourceId, running: Entry) {
        let unfinished = Entry { outcome: UNFINISHED.to_owned(), ..running.clone() };
        if !self.filter.fits(&running) && !self.filter.fits(&unfinished) {
            return;
        }
        if self.open.len() < MAX_OPEN {
            self.open.insert(running.call.clone(), (source, running));
        } else {
            self.not_remembered += 1;
        }
    }

    /// A gateway begins with this file, so the one before it is gone with its open calls.
    fn abandon(&mut self, source: SourceId) {
        self.idle.retain(|idle| *idle != source);
        let ids: Vec<String> =
            self.open.iter().filter(|(_, (of, _))| *of == source).map(|(call, _)| call.clone()).collect();
        let mut gone: Vec<Entry> =
            ids.iter().filter_map(|id| self.open.remove(id)).map(|(_, entry)| entry).collect();
        gone.sort_by_key(|entry| entry.time);
        let unfinished = gone.into_iter().map(|entry| Entry { outcome: UNFINISHED.to_owned(), ..entry });
        self.ready.extend(unfinished.filter(|entry| self.filter.fits(entry)));
    }
}

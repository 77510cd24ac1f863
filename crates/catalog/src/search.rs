//! Finding a tool by what it is for: an inverted index over what all tools say of themselves, in memory.
//! It knows nothing of callers: who may see a tool is asked for each candidate.
//!
//! One server's tools are one `segment`, which is replaced as a whole; the `dictionary` knows which servers use a
//! term. A `query` becomes terms (known, corrected, alike), and `rank` finds the tools that fit them at a bounded
//! cost. What counts how much stands in `weights`. Nothing of a tool's score depends on the order of updates.

use std::{cmp::Ordering, collections::HashMap};

use domain::{ServerId, ToolName};

use crate::Listing;

mod concepts;
mod dictionary;
mod document;
mod query;
mod rank;
mod segment;
mod signature;
mod spelling;
mod stem;
mod weights;
mod wording;
mod words;

use dictionary::{Dictionary, Slot, crowd};
use query::Query;
use rank::{Candidate, Ranking};
use segment::{Numbers, Segment, Tools};
pub use signature::signature;

/// Most candidates that are shown to the filter for one search. A caller that may see none of so many finds nothing.
const MAX_ASKED: usize = 16_384;
/// Candidates that are sorted at first; twice as many when the filter refuses them.
const FIRST_SORTED: usize = 64;

/// One tool that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The upstream that offers it.
    pub server: ServerId,
    /// Its name there.
    pub tool: ToolName,
    /// The share of the query that it fits, from 0 to 1; comparable between queries.
    pub score: f32,
}

/// What a search cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchCost {
    /// Entries of the index that were read. Bounded whatever the number of tools.
    pub postings: usize,
}

/// The words of all tools, for searching. Servers are put in, replaced and taken out one by one.
#[derive(Debug, Default)]
pub struct SearchIndex {
    slots: HashMap<ServerId, Slot>,
    segments: Vec<Option<Segment>>,
    free: Vec<Slot>,
    numbers: Numbers,
    tools: usize,
    /// The crowd of all tools; see [`crowd`].
    crowd: u64,
    dictionary: Dictionary,
}

impl SearchIndex {
    /// Puts in the tools of one server, in place of what it had before.
    ///
    /// Items that are no tools are left out, as are tools after the first 65,535, and servers after as many.
    pub fn update(&mut self, server: &ServerId, listing: &Listing) {
        let tools = Tools::read(&listing.tools);
        if self.segment(server).is_none_or(|before| before.tools.len() != tools.len()) {
            self.remove(server);
            self.add(server, tools);
        } else if let Some(slot) = self.slots.get(server) {
            let place = &mut self.segments[usize::from(slot.0)];
            let before = place.take().expect("a known server has a segment");
            *place = Some(Segment::enter(server, tools, before.first, Some(&before), &mut self.dictionary));
        }
    }

    /// Takes out one server's tools.
    pub fn remove(&mut self, server: &ServerId) {
        let Some(slot) = self.slots.remove(server) else { return };
        let Some(segment) = self.segments[usize::from(slot.0)].take() else { return };
        self.crowd -= crowd(segment.tools.len());
        self.tools -= segment.tools.len();
        segment.leave(&mut self.dictionary);
        self.numbers.give_back(segment.numbers());
        self.free.push(slot);
    }

    /// Returns up to `limit` tools that fit best, best first; of equal ones in the order of their names.
    ///
    /// `sees` is asked for the best candidates in that order until enough are found, at most some 16,000 times.
    /// Any text is a query: what is too long is cut, and words that no tool uses only lower the scores.
    pub fn search(&self, query: &str, limit: usize, sees: impl Fn(&ServerId, &ToolName) -> bool) -> Vec<Hit> {
        self.search_counted(query, limit, sees).0
    }

    /// Like [`SearchIndex::search`]; also tells what it cost.
    pub fn search_counted(
        &self,
        query: &str,
        limit: usize,
        sees: impl Fn(&ServerId, &ToolName) -> bool,
    ) -> (Vec<Hit>, SearchCost) {
        let query = Query::read(query, &self.dictionary, self.crowd);
        let ranking = Ranking {
            dictionary: &self.dictionary,
            segments: &self.segments,
            numbers: &self.numbers,
            servers: self.slots.len(),
        };
        let (found, cost) = ranking.rank(&query);
        (self.best(found, limit, sees), cost)
    }

    /// Returns how many tools can be found.
    pub const fn tools(&self) -> usize {
        self.tools
    }

    /// Returns an estimate of the memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let segments: usize = self.segments.iter().flatten().map(Segment::memory_bytes).sum();
        let servers = self.segments.capacity() * (size_of::<Segment>() + 64);
        self.dictionary.memory_bytes() + self.numbers.memory_bytes() + segments + servers
    }

    fn segment(&self, server: &ServerId) -> Option<&Segment> {
        self.segments[usize::from(self.slots.get(server)?.0)].as_ref()
    }

    /// Puts in the tools of a server that has none.
    fn add(&mut self, server: &ServerId, tools: Tools) {
        if tools.len() == 0 {
            return;
        }
        let Some(slot) = self.free_slot() else { return };
        self.crowd += crowd(tools.len());
        self.tools += tools.len();
        let first = self.numbers.take(tools.len(), slot);
        let segment = Segment::enter(server, tools, first, None, &mut self.dictionary);
        self.segments[usize::from(slot.0)] = Some(segment);
        self.slots.insert(server.clone(), slot);
    }

    /// Returns a slot to use, if there are not too many servers.
    fn free_slot(&mut self) -> Option<Slot> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = Slot(u16::try_from(self.segments.len()).ok()?);
        self.segments.push(None);
        Some(slot)
    }

    /// Returns the best candidates that the filter lets through. Sorts no more of them than it looks at.
    fn best(
        &self,
        mut found: Vec<Candidate>,
        limit: usize,
        sees: impl Fn(&ServerId, &ToolName) -> bool,
    ) -> Vec<Hit> {
        let mut hits = Vec::new();
        let (mut rest, mut size, mut asked) =
            (found.as_mut_slice(), FIRST_SORTED.max(limit.min(MAX_ASKED)), 0);
        while !rest.is_empty() && hits.len() < limit && asked < MAX_ASKED {
            let (best, others) = self.split_best(rest, size);
            for candidate in best {
                let (server, tool) = self.names(candidate);
                asked += 1;
                if hits.len() < limit && sees(server, tool) {
                    hits.push(Hit { server: server.clone(), tool: tool.clone(), score: candidate.score });
                }
            }
            (rest, size) = (others, size * 2);
        }
        hits
    }

    /// Brings the best candidates to the front, sorted: `size` of them, and those that are as good as the last one.
    fn split_best<'a>(
        &self,
        found: &'a mut [Candidate],
        size: usize,
    ) -> (&'a mut [Candidate], &'a mut [Candidate]) {
        let mut end = size.min(found.len());
        if end < found.len() {
            // By score alone: to compare the names of all would cost more than the search.
            let (_, last, _) = found.select_nth_unstable_by(end, |a, b| b.score.total_cmp(&a.score));
            let least = last.score;
            let from = end;
            for at in from..found.len() {
                if found[at].score >= least {
                    found.swap(at, end);
                    end += 1;
                }
            }
        }
        let (best, others) = found.split_at_mut(end);
        best.sort_unstable_by(|a, b| self.order(a, b));
        (best, others)
    }

    fn order(&self, a: &Candidate, b: &Candidate) -> Ordering {
        b.score.total_cmp(&a.score).then_with(|| self.names(a).cmp(&self.names(b)))
    }

    fn names(&self, candidate: &Candidate) -> (&ServerId, &ToolName) {
        let slot = self.numbers.owner(candidate.tool).expect("candidates have an owner");
        let segment = self.segments[usize::from(slot.0)].as_ref().expect("owners of numbers have a segment");
        (&segment.server, segment.name(candidate.tool))
    }
}

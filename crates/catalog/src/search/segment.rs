//! The tools of one server: numbered together, entered into the dictionary together, taken out together.

use std::{collections::HashSet, ops::Range};

use bytes::Bytes;
use domain::{ServerId, ToolName};
use serde_json::Value;

use super::{
    dictionary::{Dictionary, Slot, TermId, ToolNumber},
    document::{Reader, impact},
};

/// Most tools of one server that can be found; ten times the largest that we know of.
const MAX_TOOLS: usize = 65_535;

/// One server's part of the index.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) server: ServerId,
    /// Sorted by name. The first has the number [`Segment::first`].
    pub(super) tools: Box<[ToolName]>,
    pub(super) first: ToolNumber,
    /// Every term that some tool uses, once.
    terms: Box<[TermId]>,
}

/// What a server's listing says, read and sorted.
pub(super) struct Tools(Vec<(ToolName, Value)>);

/// What one occurrence of a term counts for one tool.
struct Occurrence {
    term: TermId,
    tool: ToolNumber,
    sum: f32,
}

impl Tools {
    /// Reads the tools that have a sound name. Of two with one name the first counts, as in the catalog.
    pub(super) fn read(items: &[Bytes]) -> Self {
        let mut seen = HashSet::new();
        let parsed = items.iter().filter_map(|raw| serde_json::from_slice::<Value>(raw).ok());
        let named = parsed.filter_map(|tool| Some((ToolName::new(tool.get("name")?.as_str()?).ok()?, tool)));
        let mut tools: Vec<_> = named.filter(|(name, _)| seen.insert(name.clone())).take(MAX_TOOLS).collect();
        tools.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Self(tools)
    }

    /// Returns how many there are.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}

impl Segment {
    /// Enters tools into the dictionary, numbered from `first`, in place of `before`, which had the same numbers.
    pub(super) fn enter(
        server: &ServerId,
        tools: Tools,
        first: ToolNumber,
        before: Option<&Self>,
        dictionary: &mut Dictionary,
    ) -> Self {
        let all = occurrences(server, &tools, first, dictionary);
        let numbers = first..first + u32::try_from(tools.len()).expect("tools of a server are bounded");
        let mut terms = Vec::new();
        for same in all.chunk_by(|a, b| a.term == b.term) {
            let postings = same.iter().map(|found| (found.tool, impact(found.sum)));
            dictionary.enter(same[0].term, &numbers, postings);
            terms.push(same[0].term);
        }
        for term in before.into_iter().flat_map(|before| &before.terms) {
            if terms.binary_search(term).is_err() {
                dictionary.leave(*term, &numbers);
            }
        }
        let tools = tools.0.into_iter().map(|(name, _)| name).collect();
        Self { server: server.clone(), tools, first, terms: terms.into() }
    }

    /// Takes the tools out of the dictionary.
    pub(super) fn leave(&self, dictionary: &mut Dictionary) {
        let numbers = self.numbers();
        for term in &self.terms {
            dictionary.leave(*term, &numbers);
        }
    }

    /// Returns the numbers of the tools.
    pub(super) fn numbers(&self) -> Range<ToolNumber> {
        let count = u32::try_from(self.tools.len()).expect("tools of a server are bounded");
        self.first..self.first + count
    }

    /// Returns the name of a tool.
    pub(super) fn name(&self, tool: ToolNumber) -> &ToolName {
        &self.tools[(tool - self.first) as usize]
    }

    /// Returns an estimate of the memory it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let names: usize =
            self.tools.iter().map(|name| name.as_str().len() + 16 + size_of::<ToolName>()).sum();
        names + size_of_val::<[TermId]>(&self.terms)
    }
}

/// Returns what each term counts for each tool, sorted by term and tool.
fn occurrences(
    server: &ServerId,
    tools: &Tools,
    first: ToolNumber,
    dictionary: &mut Dictionary,
) -> Vec<Occurrence> {
    let mut all = Vec::new();
    let mut reader = Reader::new(server.as_str());
    for ((name, tool), number) in tools.0.iter().zip(first..) {
        let from = all.len();
        reader.read(name.as_str(), tool, |term, sum| {
            all.push(Occurrence { term: dictionary.intern(term), tool: number, sum });
        });
        add_up(&mut all, from);
    }
    all.sort_unstable_by_key(|found| (found.term, found.tool));
    all
}

/// Adds up what each term counts for the tool whose terms begin at `from`, each term once.
fn add_up(all: &mut Vec<Occurrence>, from: usize) {
    // Stable: the same numbers added in another order may make another sum.
    all[from..].sort_by_key(|found| found.term);
    let mut kept = from;
    for at in from + 1..all.len() {
        if all[kept].term == all[at].term {
            all[kept].sum += all[at].sum;
        } else {
            kept += 1;
            all.swap(kept, at);
        }
    }
    all.truncate(kept + 1);
}

/// Gives out consecutive numbers, and takes them back.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Who has each number.
    owners: Vec<Option<Slot>>,
}

impl Numbers {
    /// Returns how many numbers there are, given out or not.
    pub(super) const fn len(&self) -> usize {
        self.owners.len()
    }

    /// Returns who has a number.
    pub(super) fn owner(&self, tool: ToolNumber) -> Option<Slot> {
        self.owners.get(tool as usize).copied().flatten()
    }

    /// Gives `count` consecutive numbers to a server: the first free ones. Returns the first.
    pub(super) fn take(&mut self, count: usize, slot: Slot) -> ToolNumber {
        let mut free = 0;
        let found = self.owners.iter().position(|owner| {
            free = if owner.is_none() { free + 1 } else { 0 };
            free == count
        });
        let first = found.map_or(self.owners.len() - free, |last| last + 1 - count);
        self.owners.resize(self.owners.len().max(first + count), None);
        self.owners[first..first + count].fill(Some(slot));
        u32::try_from(first).expect("servers and their tools are bounded")
    }

    /// Takes numbers back.
    pub(super) fn give_back(&mut self, numbers: Range<ToolNumber>) {
        self.owners[numbers.start as usize..numbers.end as usize].fill(None);
        let used = self.owners.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.owners.truncate(used);
    }

    /// Returns an estimate of the memory it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.owners.capacity() * size_of::<Option<Slot>>()
    }
}

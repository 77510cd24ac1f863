//! All terms of all servers, and which tools use each. A term that no tool uses any more is gone.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::weights::{CROWD_POWER, RARITY_POWER};

/// Impacts are kept as whole parts of this.
const FULL_IMPACT: f32 = u16::MAX as f32;

/// Number of a term in the dictionary. Given anew when the term is gone: order terms by text and never by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TermId(pub(super) u32);

/// Number of a server's place in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u16);

/// Number of a tool in the index. The tools of one server have consecutive numbers.
pub(super) type ToolNumber = u32;

/// One term and the tools that use it.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) text: Arc<str>,
    /// Sorted, so that one server's tools are found and replaced as one range.
    pub(super) tools: Vec<ToolNumber>,
    /// How well each of the tools fits, in parts of [`FULL_IMPACT`].
    impacts: Vec<u16>,
    /// How many servers' tools use it.
    pub(super) servers: u32,
    /// The tools that use it, less within one server; see [`crowd`].
    crowd: u64,
}

/// The terms.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    ids: HashMap<Arc<str>, TermId>,
    terms: Vec<Term>,
    free: Vec<TermId>,
    shelves: HashMap<Shelf, Vec<Spelling>>,
}

/// Where terms of alike spelling stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shelf {
    /// The first byte; only terms of ASCII letters and digits stand on shelves.
    pub(super) first: u8,
    /// The length in bytes.
    pub(super) length: u8,
}

/// A term on its shelf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spelling {
    /// Which letters it has; see [`letters`].
    pub(super) letters: u32,
    pub(super) term: TermId,
}

impl Dictionary {
    /// Returns the term's number, giving it one if it is new.
    pub(super) fn intern(&mut self, text: &str) -> TermId {
        if let Some(known) = self.ids.get(text) {
            return *known;
        }
        let text: Arc<str> = text.into();
        let term = Term::new(text.clone());
        let id = if let Some(free) = self.free.pop() {
            self.terms[free.0 as usize] = term;
            free
        } else {
            self.terms.push(term);
            TermId(u32::try_from(self.terms.len() - 1).expect("servers and their terms are bounded"))
        };
        if let Some(shelf) = Shelf::of(&text) {
            self.shelves.entry(shelf).or_default().push(Spelling { letters: letters(&text), term: id });
        }
        self.ids.insert(text, id);
        id
    }

    /// Returns the number of a term that some server uses.
    pub(super) fn find(&self, text: &str) -> Option<TermId> {
        self.ids.get(text).copied()
    }

    /// Returns the term.
    pub(super) fn term(&self, id: TermId) -> &Term {
        &self.terms[id.0 as usize]
    }

    /// Returns the terms of one shelf.
    pub(super) fn shelf(&self, shelf: Shelf) -> &[Spelling] {
        self.shelves.get(&shelf).map_or(&[], Vec::as_slice)
    }

    /// Enters that these tools use the term, in place of all others with numbers in `range`, one server's.
    pub(super) fn enter(
        &mut self,
        id: TermId,
        range: &Range<ToolNumber>,
        tools: impl ExactSizeIterator<Item = (ToolNumber, f32)> + Clone,
    ) {
        let term = &mut self.terms[id.0 as usize];
        let known = term.places(range);
        if known.is_empty() {
            term.servers += 1;
        } else {
            term.crowd -= crowd(known.len());
        }
        term.crowd += crowd(tools.len());
        let whole = |impact: f32| (impact * FULL_IMPACT).round() as u16;
        // As many as before move nothing in a list that may be long.
        term.tools.splice(known.clone(), tools.clone().map(|(number, _)| number));
        term.impacts.splice(known, tools.map(|(_, impact)| whole(impact)));
    }

    /// Takes out that tools with numbers in `range`, all those of one server, use the term.
    pub(super) fn leave(&mut self, id: TermId, range: &Range<ToolNumber>) {
        let term = &mut self.terms[id.0 as usize];
        let known = term.places(range);
        term.tools.drain(known.clone());
        term.impacts.drain(known.clone());
        term.servers -= 1;
        term.crowd -= crowd(known.len());
        if term.tools.is_empty() {
            self.forget(id);
        } else if term.tools.len() * 4 < term.tools.capacity() {
            term.tools.shrink_to_fit();
            term.impacts.shrink_to_fit();
        }
    }

    fn forget(&mut self, id: TermId) {
        let text = self.terms[id.0 as usize].text.clone();
        self.ids.remove(&text);
        self.terms[id.0 as usize] = Term::new(text.clone());
        self.free.push(id);
        let Some(shelf) = Shelf::of(&text) else { return };
        if let Some(spellings) = self.shelves.get_mut(&shelf) {
            spellings.retain(|spelling| spelling.term != id);
            if spellings.is_empty() {
                self.shelves.remove(&shelf);
            }
        }
    }

    /// Returns an estimate of the memory it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let texts: usize = self.ids.keys().map(|text| text.len() + 16).sum();
        let postings: usize =
            self.terms.iter().map(|term| term.tools.capacity() * 4 + term.impacts.capacity() * 2).sum();
        let shelves: usize =
            self.shelves.values().map(|shelf| shelf.capacity() * size_of::<Spelling>() + 48).sum();
        let ids = self.ids.capacity() * (size_of::<(Arc<str>, TermId)>() + 1);
        texts + postings + shelves + ids + self.terms.capacity() * size_of::<Term>()
    }
}

impl Term {
    const fn new(text: Arc<str>) -> Self {
        Self { text, tools: Vec::new(), impacts: Vec::new(), servers: 0, crowd: 0 }
    }

    /// Returns where the tools with numbers in `range` are in the list.
    fn places(&self, range: &Range<ToolNumber>) -> Range<usize> {
        let from = self.tools.partition_point(|known| *known < range.start);
        from..from + self.tools[from..].partition_point(|known| *known < range.end)
    }

    /// Returns how rare the term is among tools whose own crowd is `all`.
    pub(super) fn rarity(&self, all: u64) -> f32 {
        rarity(self.crowd, all)
    }

    /// Returns the tools that use the term, and how well each fits, from 0 to 1.
    pub(super) fn postings(&self) -> impl Iterator<Item = (ToolNumber, f32)> {
        self.tools.iter().zip(&self.impacts).map(|(tool, impact)| (*tool, f32::from(*impact) / FULL_IMPACT))
    }

    /// Returns how well one tool fits; 0 if it does not use the term.
    pub(super) fn impact(&self, tool: ToolNumber) -> f32 {
        self.tools.binary_search(&tool).map_or(0.0, |at| f32::from(self.impacts[at]) / FULL_IMPACT)
    }
}

impl Shelf {
    /// Returns the shelf of a term; none for terms that no misspelling is looked for.
    pub(super) fn of(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (first, length) = (*text.as_bytes().first()?, u8::try_from(text.len()).ok()?);
        plain.then_some(Self { first, length })
    }
}

/// Returns what `count` tools of one server count together, in sixteenths. Whole numbers add up to the same sum in
/// every order, so that an index that was changed equals one that was built.
pub(super) fn crowd(count: usize) -> u64 {
    (16.0 * (count as f32).powf(CROWD_POWER)).round() as u64
}

/// Returns how rare something is that stands in `some` of `all`: 0 for what stands everywhere.
pub(super) fn rarity(some: u64, all: u64) -> f32 {
    let (some, all) = (some as f32, all.max(some) as f32);
    (1.0 + (all - some + 8.0) / (some + 8.0)).ln().powf(RARITY_POWER)
}

/// Returns which letters and digits a text has, one bit each. One edit changes at most two bits.
pub(super) fn letters(text: &str) -> u32 {
    text.bytes()
        .fold(0, |set, byte| set | 1 << (if byte.is_ascii_lowercase() { byte - b'a' } else { 26 + byte % 6 }))
}

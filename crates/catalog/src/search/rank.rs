//! Finds the tools that fit a query best, at a cost that is bounded whatever the number of tools.
//!
//! Words are taken from the rarest to the most common. As long as their postings fit into the budget all of them are
//! read; the words that are left only tell apart the best of the tools found so far.

use super::{
    SearchCost,
    dictionary::{Dictionary, TermId, ToolNumber},
    query::{Meaning, Part, Query},
    segment::{Numbers, Segment},
    weights::SERVER_SHARE,
};

/// Postings that are read for one query, whatever the number of tools: some 100 microseconds.
pub(super) const POSTINGS_BUDGET: usize = 24_576;
/// Tools among which words decide that did not fit into the budget.
const RESCORED: usize = 256;

/// A tool that fits some word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) tool: ToolNumber,
    pub(super) score: f32,
}

/// What one tool has got so far. The best term of a word counts, not the sum of its terms.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    sum: f32,
    best: f32,
    word: u32,
}

/// The tools and terms that are ranked.
pub(super) struct Ranking<'a> {
    pub(super) dictionary: &'a Dictionary,
    pub(super) segments: &'a [Option<Segment>],
    pub(super) numbers: &'a Numbers,
    pub(super) servers: usize,
}

/// What is known while one query is ranked.
struct Scores {
    cells: Vec<Cell>,
    found: Vec<Candidate>,
    /// What each server gets because its tools use the query's words.
    shares: Vec<f32>,
    cost: SearchCost,
}

impl Ranking<'_> {
    /// Returns every tool that fits, in no order, and what it cost. Scores go from 0 to 1.
    pub(super) fn rank(&self, query: &Query) -> (Vec<Candidate>, SearchCost) {
        let mut meanings: Vec<&Meaning> = query.meanings.iter().collect();
        meanings.sort_by(|a, b| b.mass.total_cmp(&a.mass));
        let mut scores = Scores {
            cells: vec![Cell::default(); self.numbers.len()],
            found: Vec::new(),
            shares: vec![0.0; self.segments.len()],
            cost: SearchCost::default(),
        };
        let mut left = Vec::new();
        for (meaning, word) in meanings.into_iter().zip(1..) {
            let size: usize =
                meaning.terms.iter().map(|(term, _)| self.dictionary.term(*term).tools.len()).sum();
            if scores.cost.postings + size <= POSTINGS_BUDGET || scores.found.is_empty() {
                self.read_postings(meaning, word, &mut scores);
                self.share(meaning, &mut scores);
            } else {
                left.push(meaning);
            }
        }
        self.add_up(&mut scores);
        self.rescore(&left, &mut scores);
        for candidate in &mut scores.found {
            candidate.score = (candidate.score / query.mass).clamp(0.0, 1.0);
        }
        (scores.found, scores.cost)
    }

    fn read_postings(&self, meaning: &Meaning, word: u32, scores: &mut Scores) {
        for (term, gain) in &meaning.terms {
            let room = POSTINGS_BUDGET.saturating_sub(scores.cost.postings);
            for (tool, impact) in self.dictionary.term(*term).postings().take(room) {
                scores.cost.postings += 1;
                let cell = &mut scores.cells[tool as usize];
                match (cell.word, meaning.part) {
                    (0, Part::Word) => scores.found.push(Candidate { tool, score: 0.0 }),
                    (0, Part::Preference) => continue,
                    (_, Part::Word | Part::Preference) => {}
                }
                cell.take(word, gain * impact);
            }
        }
    }

    /// Lets each server have a share in a word that its tools use: the more of them, the more.
    fn share(&self, meaning: &Meaning, scores: &mut Scores) {
        let (Some(weight), Some((head, _))) = (meaning.named, meaning.terms.first()) else { return };
        let term = self.dictionary.term(*head);
        let gain = SERVER_SHARE * weight * (1.0 + self.servers as f32 / term.servers as f32).ln();
        let room = POSTINGS_BUDGET.saturating_sub(scores.cost.postings);
        let tools = &term.tools[..term.tools.len().min(room)];
        for same in tools.chunk_by(|a, b| self.numbers.owner(*a) == self.numbers.owner(*b)) {
            let Some(slot) = self.numbers.owner(same[0]).map(|slot| usize::from(slot.0)) else { continue };
            let Some(segment) = &self.segments[slot] else { continue };
            scores.shares[slot] += gain * (same.len() as f32 / segment.tools.len() as f32).sqrt();
        }
        scores.cost.postings += tools.len();
    }

    fn add_up(&self, scores: &mut Scores) {
        for candidate in &mut scores.found {
            let cell = scores.cells[candidate.tool as usize];
            let share =
                self.numbers.owner(candidate.tool).map_or(0.0, |slot| scores.shares[usize::from(slot.0)]);
            candidate.score = cell.sum + cell.best + share;
        }
    }

    /// Lets the words that are left decide among the best.
    fn rescore(&self, left: &[&Meaning], scores: &mut Scores) {
        if left.is_empty() {
            return;
        }
        if scores.found.len() > RESCORED {
            scores.found.select_nth_unstable_by(RESCORED, |a, b| b.score.total_cmp(&a.score));
        }
        for candidate in scores.found.iter_mut().take(RESCORED) {
            for meaning in left {
                let gain =
                    |(term, gain): &(TermId, f32)| gain * self.dictionary.term(*term).impact(candidate.tool);
                candidate.score += meaning.terms.iter().map(gain).fold(0.0, f32::max);
                scores.cost.postings += meaning.terms.len();
            }
        }
    }
}

impl Cell {
    fn take(&mut self, word: u32, gain: f32) {
        if self.word == word {
            self.best = self.best.max(gain);
        } else {
            *self = Self { sum: self.sum + self.best, best: gain, word };
        }
    }
}

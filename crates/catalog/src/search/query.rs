//! Reads a query: which words matter, and which terms of the dictionary each of them may mean.

use std::collections::HashSet;

use super::{
    concepts::{alike, is_writing, reading},
    dictionary::{Dictionary, TermId, rarity},
    spelling::{continuations, corrections},
    stem::stem,
    weights::{COMPOUND, CONCEPT, LITERAL, READING},
    wording::{Word, words_of},
};

/// How many terms one word may mean.
const MAX_MEANINGS: usize = 12;
/// How many words are corrected; a text with more unknown words is not misspelled but strange.
const MAX_CORRECTED: usize = 8;
/// How many of a word's terms bring the terms that mean the same.
const MAX_HEADS: usize = 2;
/// Shortest half of a word that is read as two.
const SHORTEST_HALF: usize = 3;
/// One word of the query as terms.
#[derive(Debug)]
pub(super) struct Meaning {
    /// What a tool gets at most that fits the word.
    pub(super) mass: f32,
    /// Terms, with what a tool gets that fits one fully; the likeliest first.
    pub(super) terms: Vec<(TermId, f32)>,
    /// How much the first term counts, if it is the word itself or what it was misspelled from.
    pub(super) named: Option<f32>,
    /// What it is to the query.
    pub(super) part: Part,
}

/// What a meaning is to the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A word of it: what fits is found.
    Word,
    /// Only a preference among what was found otherwise.
    Preference,
}

/// A query as terms.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// One for each word that is known.
    pub(super) meanings: Vec<Meaning>,
    /// What a tool would get that fits every word, the unknown ones too.
    pub(super) mass: f32,
}

/// Terms that a word may mean, with how likely each is.
type Guesses = Vec<(TermId, f32)>;

impl Query {
    /// Reads a query. `crowd` is the crowd of all tools.
    pub(super) fn read(text: &str, dictionary: &Dictionary, crowd: u64) -> Self {
        let words = words_of(text, dictionary);
        let mut reader =
            Reader { dictionary, crowd, heads: HashSet::new(), corrected: 0, query: Self::default() };
        for (at, word) in words.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &words[before]);
            reader.add(word, before, words.get(at + 1));
        }
        if !words.iter().any(|word| word.weight >= 1.0 && is_writing(&word.term)) {
            reader.add_reading();
        }
        reader.query
    }
}

struct Reader<'a> {
    dictionary: &'a Dictionary,
    crowd: u64,
    heads: HashSet<TermId>,
    corrected: usize,
    query: Query,
}

impl Reader<'_> {
    fn add(&mut self, word: &Word, before: Option<&Word>, after: Option<&Word>) {
        let mut guesses = self.guesses(word);
        for (first, second) in
            before.map(|before| (before, word)).into_iter().chain(after.map(|after| (word, after)))
        {
            guesses.extend(self.joined(first, second));
        }
        let is_named = !guesses.is_empty();
        self.add_alike(word, &mut guesses);
        match guesses.first() {
            None => self.query.mass += word.weight * rarity(0, self.crowd),
            Some((head, _)) if !self.heads.insert(*head) => {}
            Some(_) => self.push(&guesses, word.weight, is_named),
        }
    }

    /// Returns the terms that the word itself may be: known, misspelled, two words in one, or the beginning of one.
    fn guesses(&mut self, word: &Word) -> Guesses {
        if let Some(known) = self.dictionary.find(&word.term) {
            return vec![(known, 1.0)];
        }
        if !alike(&word.term).is_empty() || word.weight < LITERAL || self.corrected >= MAX_CORRECTED {
            return Guesses::new();
        }
        self.corrected += 1;
        let split = self.split(&word.plain);
        if !split.is_empty() {
            return split;
        }
        let corrected = corrections(self.dictionary, &word.term);
        if corrected.is_empty() { continuations(self.dictionary, &word.term) } else { corrected }
    }

    /// Returns both halves of a word that is two known ones.
    fn split(&self, word: &str) -> Guesses {
        let find = |half: &str| {
            let mut term = half.to_owned();
            stem(&mut term);
            self.dictionary.find(&term)
        };
        let cuts = word.char_indices().map(|(at, _)| at);
        let mut halves = cuts.filter(|at| *at >= SHORTEST_HALF && word.len() - at >= SHORTEST_HALF);
        let found = halves.find_map(|at| Some((find(&word[..at])?, find(&word[at..])?)));
        found.map_or_else(Guesses::new, |(first, second)| vec![(first, COMPOUND), (second, COMPOUND)])
    }

    /// Returns the term that two words of the query are when written as one.
    fn joined(&self, first: &Word, second: &Word) -> Option<(TermId, f32)> {
        let mut term = format!("{}{}", first.plain, second.plain);
        stem(&mut term);
        Some((self.dictionary.find(&term)?, COMPOUND))
    }

    fn add_alike(&self, word: &Word, guesses: &mut Guesses) {
        let mut heads: Vec<&str> =
            guesses.iter().take(MAX_HEADS).map(|(id, _)| self.dictionary.term(*id).text.as_ref()).collect();
        if heads.is_empty() {
            heads.push(&word.term);
        }
        let others = heads.iter().flat_map(|head| alike(head)).filter_map(|term| self.dictionary.find(term));
        guesses.extend(others.map(|id| (id, CONCEPT)).collect::<Vec<_>>());
        let mut seen = HashSet::new();
        guesses.sort_by(|a, b| b.1.total_cmp(&a.1));
        guesses.retain(|(id, _)| seen.insert(*id));
        guesses.truncate(MAX_MEANINGS);
    }

    fn push(&mut self, guesses: &Guesses, weight: f32, is_named: bool) {
        let mut terms = self.gains(guesses, weight);
        let most = terms.iter().map(|(_, gain)| *gain).fold(0.0, f32::max);
        let mass = if is_named { terms[0].1 } else { most };
        if is_named {
            // What only means the same counts less than the word itself, however rare it is.
            for ((_, gain), (_, likely)) in terms.iter_mut().zip(guesses) {
                *gain = gain.min(mass * likely / guesses[0].1);
            }
        }
        self.query.mass += mass;
        let named = is_named.then(|| guesses[0].1 * weight);
        self.query.meanings.push(Meaning { mass, terms, named, part: Part::Word });
    }

    fn add_reading(&mut self) {
        let terms = reading().iter().filter_map(|term| self.dictionary.find(term));
        let terms = self.gains(&terms.map(|id| (id, 1.0)).collect(), READING);
        self.query.meanings.push(Meaning { mass: 0.0, terms, named: None, part: Part::Preference });
    }

    fn gains(&self, guesses: &Guesses, weight: f32) -> Vec<(TermId, f32)> {
        let gain = |(id, likely): &(TermId, f32)| {
            (*id, self.dictionary.term(*id).rarity(self.crowd) * likely * weight)
        };
        guesses.iter().map(gain).collect()
    }
}

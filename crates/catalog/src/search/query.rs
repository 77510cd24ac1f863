//! Reads a query: which words matter, and which terms of the dictionary each of them may mean.

use std::collections::HashSet;

use super::{
    concepts::{alike, is_writing, reading},
    dictionary::{Dictionary, TermId, rarity},
    spelling::{continuations, corrections},
    stem::stem,
    weights::{ADDRESS, COMPOUND, CONCEPT, LITERAL, READING, SHAPE},
    words::{is_chatter, lower, parts, runs},
};

/// How much of a query is read, in bytes. Who needs more describes a conversation and not a tool.
const MAX_QUERY: usize = 1000;
/// How many words of a query count.
const MAX_WORDS: usize = 32;
/// How many terms one word may mean.
const MAX_MEANINGS: usize = 12;
/// How many words are corrected; a text with more unknown words is not misspelled but strange.
const MAX_CORRECTED: usize = 8;
/// How many of a word's terms bring the terms that mean the same.
const MAX_HEADS: usize = 2;
/// Shortest half of a word that is read as two.
const SHORTEST_HALF: usize = 3;
/// Endings of names of sites, which are no files.
const SITES: [&str; 6] = ["com", "org", "net", "io", "dev", "ai"];
/// Longest ending of a file's name.
const MAX_ENDING: usize = 5;

/// One word of the query as terms.
#[derive(Debug)]
pub(super) struct Meaning {
    /// What a tool gets at most that fits the word.
    pub(super) mass: f32,
    /// Terms, with what a tool gets that fits one fully; the likeliest first.
    pub(super) terms: Vec<(TermId, f32)>,
    /// How much the first term counts, if it is the word itself or what it was misspelled from.
    pub(super) named: Option<f32>,
}

/// A query as terms.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// One for each word that is known.
    pub(super) meanings: Vec<Meaning>,
    /// What a tool would get that fits every word, the unknown ones too.
    pub(super) mass: f32,
}

/// A word as it stands in the query.
#[derive(Debug, PartialEq)]
struct Word {
    term: String,
    plain: String,
    weight: f32,
}

/// Terms that a word may mean, with how likely each is.
type Guesses = Vec<(TermId, f32)>;

impl Query {
    /// Reads a query. `crowd` is the crowd of all tools.
    pub(super) fn read(text: &str, dictionary: &Dictionary, crowd: u64) -> Self {
        let words = words_of(&text[..text.floor_char_boundary(MAX_QUERY)], dictionary);
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
        let is_named = guesses.first().is_some();
        self.add_alike(word, &mut guesses);
        match guesses.first() {
            None => self.query.mass += word.weight * rarity(0, self.crowd),
            Some((head, _)) if !self.heads.insert(*head) => {}
            Some(_) => self.push(guesses, word.weight, is_named),
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

    fn push(&mut self, guesses: Guesses, weight: f32, is_named: bool) {
        let gain =
            |(id, likely): &(TermId, f32)| self.dictionary.term(*id).rarity(self.crowd) * likely * weight;
        // What only means the same never counts more than the word itself.
        let mass = if is_named { gain(&guesses[0]) } else { guesses.iter().map(gain).fold(0.0, f32::max) };
        let terms = guesses.iter().map(|guess| (guess.0, gain(guess).min(mass))).collect();
        self.query.mass += mass;
        self.query.meanings.push(Meaning { mass, terms, named: is_named.then(|| guesses[0].1 * weight) });
    }

    fn add_reading(&mut self) {
        let terms = reading().iter().filter_map(|term| self.dictionary.find(term));
        let guesses: Guesses = terms.map(|id| (id, 1.0)).collect();
        if !guesses.is_empty() {
            self.push(guesses, READING, false);
        }
    }
}

/// Returns the words of a query that may say what tool is looked for.
fn words_of(text: &str, dictionary: &Dictionary) -> Vec<Word> {
    let mut words = Vec::new();
    let mut shapes = Vec::new();
    let pieces: Vec<&str> = text.split('"').collect();
    for (at, piece) in pieces.iter().enumerate() {
        let is_quoted = at % 2 == 1 && at + 1 < pieces.len();
        for chunk in piece.split_whitespace() {
            let chunk = chunk.trim_matches(|c: char| ".,;:!?()[]{}'`<>".contains(c));
            let (shape, weight) = shape(chunk);
            shapes.extend(shape);
            let weight = if is_quoted { weight.min(LITERAL) } else { weight };
            runs(chunk, |run| push_run(run, weight, dictionary, &mut words));
        }
    }
    words.truncate(MAX_WORDS);
    for shape in shapes {
        if !words.iter().any(|word| word.term == shape) {
            words.push(Word { term: shape.to_owned(), plain: shape.to_owned(), weight: SHAPE });
        }
    }
    words
}

/// Appends a run: whole if the dictionary has it, else in parts.
fn push_run(run: &str, weight: f32, dictionary: &Dictionary, words: &mut Vec<Word>) {
    if words.len() >= MAX_WORDS {
        return;
    }
    let mut push = |text: &str| {
        let plain = lower(text);
        let mut term = plain.clone();
        stem(&mut term);
        let is_known = dictionary.find(&term).is_some();
        if !is_chatter(&plain) {
            words.push(Word { term, plain, weight });
        }
        is_known
    };
    let parts = parts(run);
    if let [only] = parts[..] {
        push(only);
        return;
    }
    let mut whole = lower(run);
    stem(&mut whole);
    if dictionary.find(&whole).is_some() {
        push(run);
    } else {
        parts.into_iter().for_each(|part| {
            push(part);
        });
    }
}

/// Returns the term that the shape of a chunk stands for, and how much the words inside count.
fn shape(chunk: &str) -> (Option<&'static str>, f32) {
    let has_digit = chunk.bytes().any(|byte| byte.is_ascii_digit());
    if is_mail_address(chunk) {
        (Some("email"), ADDRESS)
    } else if chunk.starts_with("https://") || chunk.starts_with("http://") {
        (Some("url"), ADDRESS)
    } else if chunk.parse::<std::net::IpAddr>().is_ok() {
        (Some("ip"), ADDRESS)
    } else if ["/", "~/", "./", "*"].iter().any(|start| chunk.starts_with(start)) || is_file_name(chunk) {
        (Some("file"), LITERAL)
    } else if has_digit || (chunk.contains('/') && chunk.len() > 8) {
        (None, LITERAL)
    } else {
        (None, 1.0)
    }
}

fn is_mail_address(chunk: &str) -> bool {
    chunk.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
}

fn is_file_name(chunk: &str) -> bool {
    let Some((name, ending)) = chunk.rsplit_once('.') else { return false };
    let is_ending =
        (1..=MAX_ENDING).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_name = name.chars().all(|c| c.is_alphanumeric() || "_*.-".contains(c));
    is_ending && is_name && !SITES.contains(&ending)
}

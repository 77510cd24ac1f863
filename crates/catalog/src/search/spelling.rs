//! Guesses which known terms a misspelled word may mean.

use super::{
    dictionary::{Dictionary, Shelf, TermId, letters},
    weights::{CORRECTION, PREFIX},
};

/// Shorter words are not corrected: too many others are one letter away.
const SHORTEST: usize = 4;
/// From this length on two edits are forgiven.
const LONG: usize = 6;
/// Shortest term that a word is corrected to.
const SHORTEST_TERM: usize = 3;
/// Most terms whose letters are compared for one word, which bounds its time in a large dictionary.
const MAX_COMPARED: usize = 8192;
/// Most guesses for one word.
const MAX_GUESSES: usize = 3;
/// How much longer a term may be than the beginning that stands for it.
const MAX_LONGER: usize = 6;
/// Longest term that is compared, in bytes; words are cut to less.
const MAX_LENGTH: usize = 40;

/// Returns the terms nearest to an unknown word, with how much each counts beside a known word.
pub(super) fn corrections(dictionary: &Dictionary, word: &str) -> Vec<(TermId, f32)> {
    let (Some(shelf), bytes) = (Shelf::of(word), word.as_bytes()) else { return Vec::new() };
    if bytes.len() < SHORTEST || bytes.len() >= MAX_LENGTH || bytes.iter().any(u8::is_ascii_digit) {
        return Vec::new();
    }
    let most = if bytes.len() < LONG { 1 } else { 2 };
    // The first letter is right, or it stands second, or it is missing and the second stands first.
    let mut firsts = vec![shelf.first];
    if bytes[1] != shelf.first {
        firsts.push(bytes[1]);
    }
    let lengths = bytes.len().saturating_sub(most).max(SHORTEST_TERM)..=bytes.len() + most;
    let shelves = firsts.iter().flat_map(|first| lengths.clone().map(|length| (*first, length)));
    let near = shelves.flat_map(|(first, length)| shelf_of(dictionary, first, length)).take(MAX_COMPARED);
    let set = letters(word);
    let mut guesses: Vec<(usize, usize, TermId)> = near
        .filter(|spelling| (spelling.letters ^ set).count_ones() as usize <= 2 * most)
        .filter_map(|spelling| {
            let term = dictionary.term(spelling.term);
            let edits = distance(bytes, term.text.as_bytes(), most)?;
            Some((edits, term.tools.len(), spelling.term))
        })
        .collect();
    let text = |id: TermId| &dictionary.term(id).text;
    guesses.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then_with(|| text(a.2).cmp(text(b.2))));
    let best = guesses.first().map_or(0, |guess| guess.0);
    let guesses = guesses.into_iter().take_while(|guess| guess.0 == best).take(MAX_GUESSES);
    guesses.map(|(edits, _, id)| (id, CORRECTION * (1.0 - edits as f32 / bytes.len() as f32))).collect()
}

/// Returns the terms that begin with the word, the shortest first.
pub(super) fn continuations(dictionary: &Dictionary, word: &str) -> Vec<(TermId, f32)> {
    let Some(shelf) = Shelf::of(word).filter(|_| word.len() >= SHORTEST) else { return Vec::new() };
    let lengths = word.len() + 1..=word.len() + MAX_LONGER;
    let longer = lengths.flat_map(|length| shelf_of(dictionary, shelf.first, length)).take(MAX_COMPARED);
    let mut found: Vec<TermId> = longer
        .map(|spelling| spelling.term)
        .filter(|id| dictionary.term(*id).text.starts_with(word))
        .collect();
    found.sort_unstable_by(|a, b| {
        let (a, b) = (&dictionary.term(*a).text, &dictionary.term(*b).text);
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    });
    found.into_iter().take(MAX_GUESSES).map(|id| (id, PREFIX)).collect()
}

fn shelf_of(dictionary: &Dictionary, first: u8, length: usize) -> &[super::dictionary::Spelling] {
    u8::try_from(length).map_or(&[], |length| dictionary.shelf(Shelf { first, length }))
}

/// Returns how many letters must be put in, left out, replaced or exchanged with their neighbour to get from one word
/// to the other; `None` if more than `most`.
fn distance(from: &[u8], to: &[u8], most: usize) -> Option<usize> {
    if from.len() >= MAX_LENGTH || to.len() >= MAX_LENGTH {
        return None;
    }
    let mut rows = [[0_usize; MAX_LENGTH]; 3];
    rows[0].iter_mut().enumerate().for_each(|(at, cell)| *cell = at);
    for i in 1..=from.len() {
        let (now, before, two_before) = (i % 3, (i + 2) % 3, (i + 1) % 3);
        rows[now][0] = i;
        let mut least = i;
        for j in 1..=to.len() {
            let replaced = rows[before][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut cell = replaced.min(rows[before][j] + 1).min(rows[now][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                cell = cell.min(rows[two_before][j - 2] + 1);
            }
            rows[now][j] = cell;
            least = least.min(cell);
        }
        if least > most {
            return None;
        }
    }
    let edits = rows[from.len() % 3][to.len()];
    (edits <= most).then_some(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let cases = [
            ("list", "lits", Some(1)),
            ("create", "craete", Some(1)),
            ("repository", "reposetory", Some(1)),
            ("delete", "dleet", Some(2)),
            ("branch", "brunches", None),
            ("same", "same", Some(0)),
        ];
        for (from, to, edits) in cases {
            assert_eq!(distance(from.as_bytes(), to.as_bytes(), 2), edits, "{from} {to}");
            assert_eq!(distance(to.as_bytes(), from.as_bytes(), 2), edits, "{to} {from}");
        }
    }
}

//! Takes a query apart: words, and values that are no words but whose shape says something, such as a path.

use super::{
    dictionary::Dictionary,
    stem::stem,
    weights::{ADDRESS, LITERAL, SHAPE},
    words::{is_chatter, lower, parts, runs},
};

/// How much of a query is read, in bytes. Who needs more describes a conversation and not a tool.
const MAX_QUERY: usize = 1000;
/// How many words of a query count.
const MAX_WORDS: usize = 32;
/// Endings of names of sites, which are no files.
const SITES: [&str; 6] = ["com", "org", "net", "io", "dev", "ai"];
/// Longest ending of a file's name.
const MAX_ENDING: usize = 5;

/// A word as it stands in the query.
#[derive(Debug, PartialEq)]
pub(super) struct Word {
    /// Cut to its stem.
    pub(super) term: String,
    /// As it stands, in lower case.
    pub(super) plain: String,
    /// What it counts.
    pub(super) weight: f32,
}

/// Returns the words of a query that may say what tool is looked for.
pub(super) fn words_of(text: &str, dictionary: &Dictionary) -> Vec<Word> {
    let text = &text[..text.floor_char_boundary(MAX_QUERY)];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_from_words() {
        let cases = [
            ("bob@example.com", Some("email"), ADDRESS),
            ("https://example.com/a", Some("url"), ADDRESS),
            ("10.0.0.1", Some("ip"), ADDRESS),
            ("~/projects", Some("file"), LITERAL),
            ("report.pdf", Some("file"), LITERAL),
            ("*.log", Some("file"), LITERAL),
            ("example.com", None, 1.0),
            ("build-7", None, LITERAL),
            ("acme/old-demo", None, LITERAL),
            ("and/or", None, 1.0),
            ("word", None, 1.0),
            ("", None, 1.0),
        ];
        for (chunk, term, weight) in cases {
            assert_eq!(shape(chunk), (term, weight), "{chunk}");
        }
    }

    #[test]
    fn a_query_is_its_words() {
        let words = words_of("Could you please rename \"my draft\" to final.txt?", &Dictionary::default());
        let plain: Vec<_> = words.iter().map(|word| (word.plain.as_str(), word.weight)).collect();
        assert_eq!(
            plain,
            [("rename", 1.0), ("draft", LITERAL), ("final", LITERAL), ("txt", LITERAL), ("file", SHAPE)]
        );
        assert!(words_of(&"word ".repeat(10_000), &Dictionary::default()).len() <= MAX_WORDS);
    }
}

//! Patterns with `*`, `?`, `[seq]` and `[!seq]`, as Python's `fnmatch` reads them on POSIX systems: case counts, `*`
//! spans everything including line ends, and a `[` that is never closed stands for itself.
//!
//! Matching goes back to the last `*` only, so it takes at most text times pattern steps, whatever the pattern.

/// Longest pattern, in characters. Callers give patterns, too; names have at most 256 bytes.
const MAX_CHARACTERS: usize = 4_096;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<[Token]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// Any characters, or none. Never next to another one.
    Star,
    /// Any one character.
    One,
    /// This character.
    Char(char),
    /// One character inside the ranges, or outside them.
    Set { negated: bool, ranges: Box<[(char, char)]> },
}

/// Tells whether `text` holds a character that is special in patterns.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

impl Pattern {
    /// Compiles `pattern`; every text is a pattern. One of more than 4,096 characters matches nothing.
    pub fn new(pattern: &str) -> Self {
        let characters: Vec<char> = pattern.chars().take(MAX_CHARACTERS + 1).collect();
        if characters.len() > MAX_CHARACTERS {
            return Self(Box::new([Token::Set { negated: false, ranges: Box::default() }]));
        }
        let mut tokens = Vec::with_capacity(characters.len());
        let mut at = 0;
        while let Some(&character) = characters.get(at) {
            at += 1;
            match character {
                '*' if tokens.last() == Some(&Token::Star) => {}
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::One),
                '[' => match set_end(&characters, at) {
                    Some(end) => {
                        tokens.push(set(&characters[at..end]));
                        at = end + 1;
                    }
                    None => tokens.push(Token::Char('[')),
                },
                other => tokens.push(Token::Char(other)),
            }
        }
        Self(tokens.into())
    }

    /// Tells whether the pattern matches the whole of `text`.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        // Where to go on when the way since the last star fails: the token after it, and the text it begins at.
        let mut retry = None;
        loop {
            if let Some(Token::Star) = self.0.get(at) {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            let fits = match (self.0.get(at), ahead.next()) {
                (None, None) => return true,
                (Some(token), Some(character)) => token.fits(character),
                (Some(_), None) => return false,
                (None, Some(_)) => false,
            };
            if fits {
                rest = ahead;
                at += 1;
                continue;
            }
            let Some((token, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            at = *token;
            rest = from.clone();
        }
    }
}

impl Token {
    fn fits(&self, character: char) -> bool {
        match self {
            Self::Star => false,
            Self::One => true,
            Self::Char(own) => *own == character,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&character)) != *negated
            }
        }
    }
}

/// Returns where the set that begins at `start` is closed. A `]` that comes first, or right after `!`, belongs to it.
fn set_end(pattern: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    if pattern.get(at) == Some(&'!') {
        at += 1;
    }
    if pattern.get(at) == Some(&']') {
        at += 1;
    }
    let closing = pattern.get(at..)?.iter().position(|&character| character == ']')?;
    Some(at + closing)
}

/// Reads the inside of `[...]`. A range that runs backwards is empty; an empty set matches nothing.
fn set(inside: &[char]) -> Token {
    let (negated, members) = match inside.split_first() {
        Some(('!', members)) => (true, members),
        _ => (false, inside),
    };
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&low) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some('-'), Some(&high)) => {
                if low <= high {
                    ranges.push((low, high));
                }
                at += 3;
            }
            _ => {
                ranges.push((low, low));
                at += 1;
            }
        }
    }
    Token::Set { negated, ranges: ranges.into() }
}

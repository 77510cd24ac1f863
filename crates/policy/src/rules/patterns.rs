//! Lists of names and patterns, compiled: exact names by hash, patterns in their order.

use std::collections::HashMap;

use crate::{
    judgement::Entry,
    pattern::{self, Pattern},
};

/// What in a list is a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// A list of servers: every entry counts as a name too, `*` stands apart, every other special character makes a
    /// pattern.
    Servers,
    /// A list of tools in which only entries with `*` are patterns; `?` and `[` alone are letters.
    StarredTools,
    /// A list of tools in which every special character makes a pattern.
    Tools,
}

/// One list of names and patterns.
#[derive(Debug)]
pub(super) struct PatternList {
    written: Box<[Box<str>]>,
    exact: HashMap<Box<str>, usize>,
    star: Option<usize>,
    globs: Box<[(usize, Pattern)]>,
}

/// The lists of tools of one half of an agent's rules.
#[derive(Debug, Default)]
pub(super) struct ToolTable {
    lists: Box<[ToolList]>,
    by_name: HashMap<Box<str>, usize>,
    /// Keys that are patterns over servers, in their order.
    by_pattern: Box<[(Pattern, usize)]>,
}

/// The tools under one key.
#[derive(Debug)]
pub(super) struct ToolList {
    pub(super) key: Box<str>,
    pub(super) patterns: PatternList,
}

/// Whether the keys of a table are patterns over servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    Names,
    Patterns,
}

/// A name as it was given, and without what a server might overlook at its ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) given: &'a str,
    trimmed: &'a str,
}

// === impl Name ===

impl<'a> Name<'a> {
    /// A name that is compared as it was given.
    pub(super) const fn raw(given: &'a str) -> Self {
        Self { given, trimmed: given }
    }

    /// A name whose denials are looked for without invisible characters at its ends, too.
    pub(super) fn trimmed(given: &'a str) -> Self {
        Self { given, trimmed: given.trim_matches(is_invisible) }
    }

    /// Returns the spellings under which a denial is looked for; the first is the given one.
    pub(super) fn spellings(self) -> impl Iterator<Item = &'a str> {
        let differs = self.trimmed.len() != self.given.len();
        std::iter::once(self.given).chain(differs.then_some(self.trimmed))
    }
}

/// White space, control characters, and marks of no width.
pub(super) fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

// === impl PatternList ===

impl PatternList {
    pub(super) fn new(written: &[String], syntax: Syntax) -> Self {
        let mut exact = HashMap::new();
        let mut globs = Vec::new();
        for (index, text) in written.iter().enumerate() {
            let (is_name, is_glob) = match syntax {
                Syntax::Servers => (true, pattern::is_pattern(text) && text != "*"),
                Syntax::StarredTools => (!text.contains('*'), text.contains('*')),
                Syntax::Tools => (!text.contains('*'), pattern::is_pattern(text)),
            };
            if is_name {
                exact.entry(text.as_str().into()).or_insert(index);
            }
            if is_glob {
                globs.push((index, Pattern::new(text)));
            }
        }
        Self {
            star: written.iter().position(|text| text == "*"),
            written: written.iter().map(|text| text.as_str().into()).collect(),
            exact,
            globs: globs.into(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    pub(super) fn written(&self) -> impl Iterator<Item = Entry<'_>> {
        self.written.iter().enumerate().map(|(index, pattern)| Entry { index, pattern })
    }

    /// Returns the first entry that is this very name.
    pub(super) fn exact(&self, name: &str) -> Option<Entry<'_>> {
        self.exact.get(name).map(|&index| self.entry(index))
    }

    /// Returns the first `*` that stands alone.
    pub(super) fn star(&self) -> Option<Entry<'_>> {
        self.star.map(|index| self.entry(index))
    }

    /// Returns the first pattern that matches the name.
    pub(super) fn glob(&self, name: &str) -> Option<Entry<'_>> {
        self.globs.iter().find(|(_, glob)| glob.matches(name)).map(|&(index, _)| self.entry(index))
    }

    /// Tells whether the name is in the list in any way.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.star.is_some() || self.exact.contains_key(name) || self.glob(name).is_some()
    }

    fn entry(&self, index: usize) -> Entry<'_> {
        Entry { index, pattern: &self.written[index] }
    }
}

// === impl ToolTable ===

impl ToolTable {
    pub(super) fn new<'c>(
        lists: impl IntoIterator<Item = (&'c String, &'c Vec<String>)>,
        syntax: Syntax,
        keys: Keys,
    ) -> Self {
        let lists: Box<[ToolList]> = lists
            .into_iter()
            .map(|(key, written)| ToolList {
                key: key.as_str().into(),
                patterns: PatternList::new(written, syntax),
            })
            .collect();
        let numbered = || lists.iter().enumerate();
        let by_name = numbered().map(|(index, list)| (list.key.clone(), index)).collect();
        let is_pattern = |list: &ToolList| keys == Keys::Patterns && pattern::is_pattern(&list.key);
        let by_pattern = numbered()
            .filter(|(_, list)| is_pattern(list))
            .map(|(index, list)| (Pattern::new(&list.key), index))
            .collect();
        Self { by_name, by_pattern, lists }
    }

    pub(super) fn lists(&self) -> &[ToolList] {
        &self.lists
    }

    /// Returns every list that denies on the server: its own, and those whose key matches.
    pub(super) fn denying<'a>(&'a self, server: Name<'a>) -> impl Iterator<Item = &'a ToolList> {
        let own = server.spellings().filter_map(|name| self.own(name));
        own.chain(server.spellings().flat_map(|name| self.matching(name)))
    }

    /// Returns the lists that narrow the server: its own if it has one, else those whose key matches.
    pub(super) fn narrowing<'a>(&'a self, server: &'a str) -> impl Iterator<Item = &'a ToolList> {
        let own = self.own(server);
        own.into_iter().chain(own.is_none().then(|| self.matching(server)).into_iter().flatten())
    }

    fn own(&self, server: &str) -> Option<&ToolList> {
        self.by_name.get(server).map(|&index| &self.lists[index])
    }

    fn matching<'a>(&'a self, server: &'a str) -> impl Iterator<Item = &'a ToolList> {
        let matching = self.by_pattern.iter().filter(move |(glob, _)| glob.matches(server));
        matching.map(|&(_, index)| &self.lists[index])
    }
}

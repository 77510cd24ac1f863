//! Qualified names: unique, stable, at most 64 characters of `[A-Za-z0-9_-]` (what model APIs accept).
//! The mapping is recorded in the catalog; a qualified name is never taken apart again.

use aws_lc_rs::digest::{SHA256, digest};
use domain::{QualifiedName, ServerId, ToolName};

use crate::distinct::{Changes, Named};

/// Hex digits of the suffix that tells apart what would look the same.
const SUFFIX_DIGITS: usize = 8;

/// Longest qualified name, in characters. Built only within 16..=64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameLimit(usize);

impl NameLimit {
    /// The limit that all model APIs accept.
    pub const DEFAULT: Self = Self(64);

    /// Accepts a limit from 16 (room for a suffix and something readable) to 64.
    pub fn new(characters: usize) -> Option<Self> {
        (16..=64).contains(&characters).then_some(Self(characters))
    }
}

/// How server and tool are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamingStyle {
    /// `<server>__<tool>`
    #[default]
    ServerTool,
    /// `mcp-<server>-<tool>`
    McpServerTool,
}

/// The rule for qualified names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// How server and tool are joined.
    pub style: NamingStyle,
    /// Longest name.
    pub limit: NameLimit,
}

impl Default for Naming {
    fn default() -> Self {
        Self { style: NamingStyle::ServerTool, limit: NameLimit::DEFAULT }
    }
}

impl Naming {
    /// Returns the qualified name of a tool or prompt.
    ///
    /// It depends on nothing but server and tool, so adding a server never renames another's tools. A suffix from
    /// their hash is added when characters had to be replaced, when the name is too long, or when the join could be
    /// read in two ways.
    pub fn qualify(&self, server: &ServerId, tool: &ToolName) -> QualifiedName {
        let joined = match self.style {
            NamingStyle::ServerTool => format!("{server}__{tool}"),
            NamingStyle::McpServerTool => format!("mcp-{server}-{tool}"),
        };
        let clean: String = joined.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let exact = clean == joined && clean.len() <= self.limit.0 && !self.is_ambiguous(server);
        if exact { checked(clean) } else { self.with_suffix(&clean, &format!("{server}\0{tool}")) }
    }

    /// Returns the name after so many changes, for names that collide all the same: with a suffix from the hash, and
    /// where that was not enough with another one each time.
    pub(crate) fn distinguish(&self, (server, tool): Named<'_>, changes: Changes) -> QualifiedName {
        let name = self.qualify(server, tool);
        match changes.0 {
            0 => name,
            1 => self.with_suffix(name.as_str(), &format!("{server}\0{tool}")),
            more => self.with_suffix(name.as_str(), &format!("{server}\0{tool}\0{more}")),
        }
    }

    /// Shortens a name for a suffix from the hash of `text`, and adds that.
    fn with_suffix(&self, clean: &str, text: &str) -> QualifiedName {
        let room = self.limit.0 - SUFFIX_DIGITS - 1;
        let head: String = clean.chars().take(room).collect();
        checked(format!("{head}_{}", suffix(text)))
    }

    /// With `__` as separator, a server name without `__` inside or `_` at its end can be read in one way only.
    fn is_ambiguous(&self, server: &ServerId) -> bool {
        match self.style {
            NamingStyle::ServerTool => server.as_str().contains("__") || server.as_str().ends_with('_'),
            // Here a dash in a name is common and rarely ambiguous; true collisions are told apart by the catalog.
            NamingStyle::McpServerTool => false,
        }
    }
}

const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn suffix(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(SUFFIX_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

fn checked(name: String) -> QualifiedName {
    QualifiedName::new(name).expect("a qualified name is short and printable")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn qualified(style: NamingStyle, server: &str, tool: &str) -> String {
        let naming = Naming { style, ..Naming::default() };
        naming.qualify(&ServerId::new(server).unwrap(), &ToolName::new(tool).unwrap()).to_string()
    }

    #[test]
    fn names() {
        let name = |server: &str, tool: &str| qualified(NamingStyle::ServerTool, server, tool);
        assert_eq!(name("git", "log"), "git__log");
        assert_eq!(qualified(NamingStyle::McpServerTool, "git", "log"), "mcp-git-log");
        assert_eq!(name("git", "a.b"), "git__a_b_7e516e15");
        assert_ne!(name("git", "a.b"), name("git", "a/b"));
        assert_ne!(name("a__b", "c"), name("a", "b__c"));
        assert_eq!(name("s", &"x".repeat(100)).len(), 64);
        assert_ne!(name("s", &"x".repeat(100)), name("s", &"x".repeat(101)));
    }

    proptest! {
        #[test]
        fn names_are_safe_and_distinct(a in "[a-b_.é-]{1,5}", b in "[a-b_.é-]{1,70}", c in "[a-b_.é-]{1,5}", d in "[a-b_.é-]{1,70}") {
            let (first, second) = (qualified(NamingStyle::ServerTool, &a, &b), qualified(NamingStyle::ServerTool, &c, &d));
            prop_assert!(first.len() <= 64 && first.chars().all(is_plain));
            prop_assert_eq!((&a, &b) == (&c, &d), first == second);
        }
    }
}

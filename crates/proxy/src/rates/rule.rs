//! One checked rule: which calls it counts, and which of them share a counter.

use std::time::Duration;

use policy::Pattern;

use super::counters::RuleId;

/// Longest beginning of a name that tells counters apart, in bytes: as long as a checked name can be.
const MAX_NAME_BYTES: usize = 256;

/// A rule, checked: at least one call, a window above zero, patterns that can match something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitRule {
    selection: Selection,
    calls: u32,
    window: Duration,
}

/// Which calls a rule counts, and which of them share a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// One of these fits the agent.
    pub(crate) agents: Vec<Pattern>,
    /// One of these fits the server.
    pub(crate) servers: Vec<Pattern>,
    /// One of these fits the tool's own name.
    pub(crate) tools: Vec<Pattern>,
    /// Calls that differ in one of these have counters of their own. In order, each once.
    pub(crate) each: Vec<Part>,
}

/// One of the names that make up a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Who calls.
    Agent,
    /// The server of the tool.
    Server,
    /// The tool's own name.
    Tool,
}

/// The call that asks to be let through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) agent: &'a str,
    pub(super) server: &'a str,
    pub(super) tool: &'a str,
}

impl RateLimitRule {
    /// Makes a rule of checked parts.
    pub(crate) const fn new(selection: Selection, calls: u32, window: Duration) -> Self {
        Self { selection, calls, window }
    }

    /// Returns how many calls the rule lets through per window.
    pub const fn calls(&self) -> u32 {
        self.calls
    }

    /// Returns the length of the window.
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// Returns what tells its counters apart.
    pub(super) fn each(&self) -> &[Part] {
        &self.selection.each
    }

    /// Returns the length of the window in nanoseconds; a day has 47 bits of them.
    pub(super) fn window_nanos(&self) -> u64 {
        u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Tells whether both rules keep the same counters, so that one can go on with the other's.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        self.selection == other.selection && self.window == other.window
    }

    /// Tells whether the rule counts this call.
    pub(super) fn matches(&self, asked: &Asked<'_>) -> bool {
        let Selection { agents, servers, tools, each: _ } = &self.selection;
        let rows = [(agents, asked.agent), (servers, asked.server), (tools, asked.tool)];
        rows.iter().all(|(patterns, name)| patterns.iter().any(|pattern| pattern.matches(name)))
    }

    /// Returns the key of the counter for this call. Lengths stand before names, so two keys are equal only when the
    /// rule and every name are.
    pub(super) fn key(&self, id: RuleId, asked: &Asked<'_>) -> Vec<u8> {
        let names = || self.each().iter().map(|part| beginning(asked.name(*part)));
        let mut key = Vec::with_capacity(8 + names().map(|name| 2 + name.len()).sum::<usize>());
        key.extend_from_slice(&id.0.to_le_bytes());
        for name in names() {
            let length = u16::try_from(name.len()).expect("a beginning has at most 256 bytes");
            key.extend_from_slice(&length.to_le_bytes());
            key.extend_from_slice(name);
        }
        key
    }
}

impl<'a> Asked<'a> {
    pub(super) const fn name(&self, part: Part) -> &'a str {
        match part {
            Part::Agent => self.agent,
            Part::Server => self.server,
            Part::Tool => self.tool,
        }
    }
}

fn beginning(name: &str) -> &[u8] {
    &name.as_bytes()[..name.len().min(MAX_NAME_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(each: &[Part]) -> RateLimitRule {
        let names = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text)).collect();
        let selection = Selection {
            agents: names(&["dev*", "ci"]),
            servers: names(&["*"]),
            tools: names(&["delete_*"]),
            each: each.to_vec(),
        };
        RateLimitRule::new(selection, 1, Duration::from_secs(1))
    }

    fn asked<'a>(agent: &'a str, server: &'a str, tool: &'a str) -> Asked<'a> {
        Asked { agent, server, tool }
    }

    #[test]
    fn every_name_must_fit_one_pattern() {
        let rule = rule(&[]);
        assert!(rule.matches(&asked("developer", "git", "delete_branch")));
        assert!(rule.matches(&asked("ci", "git", "delete_branch")));
        assert!(!rule.matches(&asked("cindy", "git", "delete_branch")));
        assert!(!rule.matches(&asked("ci", "git", "list_branches")));
    }

    #[test]
    fn counters_are_told_apart_by_the_chosen_names_alone() {
        let key = |each: &[Part], asked: Asked<'_>| rule(each).key(RuleId(7), &asked);
        let (first, second) = (asked("ab", "c", "t"), asked("a", "bc", "u"));
        assert_eq!(key(&[], first), key(&[], second));
        assert_ne!(key(&[Part::Agent], first), key(&[Part::Agent], second));
        assert_ne!(key(&[Part::Agent, Part::Server], first), key(&[Part::Agent, Part::Server], second));
        assert_ne!(rule(&[]).key(RuleId(7), &first), rule(&[]).key(RuleId(8), &first));
        let long = "x".repeat(1_000_000);
        assert!(key(&[Part::Agent], asked(&long, "c", "t")).len() < 300);
    }
}

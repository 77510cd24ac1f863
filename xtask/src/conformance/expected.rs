//! The committed list of what may fail, or not be made through the gateway. Each entry has a reason and the one place it
//! excuses: a check listed as not made is a fault once it is made and fails. An entry that nothing is as it says for any
//! more is a fault, as is a failure without an entry. With only some rigs run, only their entries are judged.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::findings::{Finding, Place};
use super::rigs::RIGS;
use super::running::Run;

/// The file's content.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    entries: Vec<Entry>,
}

/// One thing that may fail in one place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    rig: String,
    /// A scenario, or `scenario:check`.
    scenario: String,
    place: Place,
    pub(crate) reason: String,
}

// === impl Expected ===

impl Expected {
    /// Reads the file; fails when an entry says nothing that can be enforced.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("cannot use {}", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let entries: Option<Vec<Entry>> = serde_saphyr::from_str(text)?;
        let entries = entries.unwrap_or_default();
        let mut seen = BTreeSet::new();
        for entry in &entries {
            let Entry { rig, scenario, place, reason } = entry;
            ensure!(RIGS.iter().any(|known| known.name == rig), "there is no rig `{rig}`");
            ensure!(!reason.trim().is_empty(), "{rig} {scenario} has no reason");
            ensure!(seen.insert((rig, scenario, place)), "{rig} {scenario} is listed twice in one place");
        }
        Ok(Self { entries })
    }

    /// Returns the entry that a finding has.
    pub(crate) fn entry_for(&self, rig: &str, finding: &Finding) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.rig == rig && entry.covers(finding))
    }

    /// Returns one line for each result that is not as the file says.
    pub(crate) fn faults(&self, runs: &[Run]) -> Vec<String> {
        runs.iter().flat_map(|run| self.faults_of(run.rig.name, &run.findings())).collect()
    }

    fn faults_of(&self, rig: &str, findings: &[Finding]) -> Vec<String> {
        let unlisted = findings.iter().filter(|finding| self.entry_for(rig, finding).is_none());
        let unlisted = unlisted.map(|finding| {
            let Finding { scenario, check, place, .. } = finding;
            format!("{rig} {scenario}:{check} {} and is not listed", place.words())
        });
        let entries = self.entries.iter().filter(|entry| entry.rig == rig);
        let stale = entries.filter(|entry| !findings.iter().any(|finding| entry.covers(finding)));
        let stale = stale.map(|entry| {
            let Entry { scenario, place, .. } = entry;
            format!(
                "{rig} {scenario} is listed as what {}, which it is no more: remove the entry",
                place.words()
            )
        });
        unlisted.chain(stale).collect()
    }
}

// === impl Entry ===

impl Entry {
    fn covers(&self, finding: &Finding) -> bool {
        let is_named = match self.scenario.split_once(':') {
            Some((scenario, check)) => scenario == finding.scenario && check == finding.check,
            None => self.scenario == finding.scenario,
        };
        is_named && self.place == finding.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::checks::Outcome;

    const RIG: &str = "server-2025-11-25";

    fn finding(scenario: &str, check: &str) -> Finding {
        let outcome = Outcome::of(check, "");
        Finding::all(scenario, &outcome, &outcome).remove(0)
    }

    fn entry(scenario: &str) -> String {
        entry_at(scenario, "fails-both-ways")
    }

    fn entry_at(scenario: &str, place: &str) -> String {
        format!("- rig: {RIG}\n  scenario: {scenario}\n  place: {place}\n  reason: because\n")
    }

    fn faults(text: &str, findings: &[Finding]) -> Vec<String> {
        Expected::parse(text).unwrap().faults_of(RIG, findings)
    }

    #[test]
    fn a_listed_failure_is_no_fault() {
        let findings = [finding("ping", "a"), finding("ping", "b")];
        assert_eq!(faults(&entry("ping"), &findings), [""; 0]);
        let both = entry("ping:a") + &entry("ping:b");
        assert_eq!(faults(&both, &findings), [""; 0]);
    }

    #[test]
    fn an_unlisted_failure_is_a_fault() {
        let faults = faults(&entry("ping:a"), &[finding("ping", "a"), finding("ping", "b")]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("ping:b fails without the gateway, too and is not listed"), "{faults:?}");
    }

    #[test]
    fn an_entry_that_nothing_fails_for_is_stale() {
        let faults = faults(&entry("ping:a"), &[]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("which it is no more: remove the entry"), "{faults:?}");
    }

    #[test]
    fn an_entry_excuses_its_own_place_alone() {
        let places = [
            ("fails-only-through", Place::FailsOnlyThrough),
            ("fails-only-without", Place::FailsOnlyWithout),
            ("fails-both-ways", Place::FailsBothWays),
            ("made-only-without", Place::MadeOnlyWithout),
        ];
        for (name, listed) in places {
            for (_, place) in places {
                for scenario in ["ping", "ping:a"] {
                    let found = Finding { place, ..finding("ping", "a") };
                    let count = if place == listed { 0 } else { 2 };
                    let faults = faults(&entry_at(scenario, name), &[found]);
                    assert_eq!(faults.len(), count, "{name} {place:?}: {faults:?}");
                }
            }
        }
    }

    #[test]
    fn a_check_listed_as_not_made_may_not_fail_through_the_gateway() {
        let direct = Outcome { successes: ["a".to_owned()].into(), ..Outcome::default() };
        let text = entry_at("ping:a", "made-only-without");
        let not_made = Finding::all("ping", &direct, &Outcome::default());
        assert_eq!(faults(&text, &not_made), [""; 0]);
        let failing = faults(&text, &Finding::all("ping", &direct, &Outcome::of("a", "lost")));
        assert_eq!(failing.len(), 2, "{failing:?}");
        assert!(
            failing[0].contains("ping:a fails only through the gateway and is not listed"),
            "{failing:?}"
        );
        assert!(failing[1].contains("ping:a is listed as what is made only without"), "{failing:?}");
    }

    #[test]
    fn a_listed_failure_does_not_excuse_a_check_that_is_not_made() {
        let direct = Outcome { successes: ["a".to_owned(), "b".to_owned()].into(), ..Outcome::default() };
        let found = Finding::all("ping", &direct, &Outcome::of("a", ""));
        for scenario in ["ping", "ping:a"] {
            let faults = faults(&entry_at(scenario, "fails-only-through"), &found);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains("ping:b is made only without the gateway and is not"), "{faults:?}");
        }
    }

    #[test]
    fn entries_of_rigs_that_did_not_run_are_not_judged() {
        let text = "- { rig: skills-2026-07-28, scenario: a, place: fails-both-ways, reason: because }";
        assert_eq!(faults(text, &[]), [""; 0]);
    }

    #[test]
    fn entries_that_cannot_be_enforced_are_refused() {
        let twice = entry("ping") + &entry("ping");
        let unknown = entry("ping").replace(RIG, "none");
        let unreasoned = entry("ping").replace("because", "''");
        let unread = entry("ping") + "  check: y\n";
        let unplaced = entry("ping").replace("  place: fails-both-ways\n", "");
        let misplaced = entry_at("ping", "anywhere");
        assert!(Expected::parse(&entry("ping")).is_ok());
        for text in [twice, unknown, unreasoned, unread, unplaced, misplaced] {
            assert!(Expected::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_file_expects_nothing_to_fail() {
        assert!(Expected::parse("# nothing\n").unwrap().entries.is_empty());
        assert!(Expected::parse("[]").unwrap().entries.is_empty());
    }
}

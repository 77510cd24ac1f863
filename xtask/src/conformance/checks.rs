//! The results the suite leaves in its output folder: one folder per scenario, with its checks as JSON.
//! Warnings count as failures: the gateway is not to be worse than what stands behind it in anything the suite sees.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Characters of a failure's message that are kept.
const MESSAGE_LIMIT: usize = 240;
/// What the suite appends to a scenario's name: `-2026-11-21T10-05-24-909Z`.
const STAMP_LENGTH: usize = 25;

/// How one scenario went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Empty when the scenario passed.
    pub(crate) failures: Vec<Failure>,
    /// The checks that succeeded, by the suite's names.
    pub(crate) successes: BTreeSet<String>,
}

/// A check that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The suite's name of the check, or one of ours.
    pub(crate) check: String,
    /// One printable line.
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    id: String,
    status: Status,
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default)]
    description: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Success,
    Failure,
    Warning,
    Skipped,
    Info,
}

/// Reads the outcome of a scenario from the suite's output folder.
pub(crate) fn outcome(folder: &Path, prefix: &str, scenario: &str) -> Result<Outcome> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name();
        if name.to_str().and_then(|name| scenario_in(name, prefix)) == Some(scenario) {
            return read(&entry.path().join("checks.json"));
        }
    }
    Ok(Outcome::of("not-run", "the suite left no results"))
}

/// Returns the scenario's name in a folder's.
fn scenario_in<'a>(folder: &'a str, prefix: &str) -> Option<&'a str> {
    let name = folder.strip_prefix(prefix)?;
    name.get(..name.len().checked_sub(STAMP_LENGTH)?)
}

fn read(file: &Path) -> Result<Outcome> {
    if !file.exists() {
        return Ok(Outcome::of("not-finished", "the suite gave the scenario up"));
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    judge(&text).with_context(|| format!("cannot understand {}", file.display()))
}

fn judge(text: &str) -> Result<Outcome> {
    let checks: Vec<Check> = serde_json::from_str(text)?;
    let failures: Vec<Failure> = checks.iter().filter_map(Check::failure).collect();
    let successes = checks.into_iter().filter(|check| check.status == Status::Success);
    let successes: BTreeSet<String> = successes.map(|check| check.id).collect();
    if failures.is_empty() && successes.is_empty() {
        return Ok(Outcome::of("nothing-checked", "no check was made"));
    }
    Ok(Outcome { failures, successes })
}

/// Returns text from elsewhere as one line of bounded length that can be printed.
pub(crate) fn printable(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let safe: String =
        words.chars().filter(|character| !character.is_control()).take(MESSAGE_LIMIT).collect();
    safe
}

// === impl Outcome ===

impl Outcome {
    /// Makes the outcome of a scenario that failed for a reason of ours.
    pub(crate) fn of(check: &str, message: &str) -> Self {
        let failures = vec![Failure { check: check.to_owned(), message: printable(message) }];
        Self { failures, successes: BTreeSet::new() }
    }

    /// Returns this outcome with one more failure, of ours; what the suite saw stays in it.
    pub(crate) fn and(mut self, check: &str, message: &str) -> Self {
        self.failures.extend(Self::of(check, message).failures);
        self
    }

    /// Returns the checks that succeeded in `other` and neither succeeded nor failed here, whatever else failed.
    pub(crate) fn not_made(&self, other: &Self) -> Vec<String> {
        let is_made = |check: &String| {
            self.successes.contains(check) || self.failures.iter().any(|failure| failure.check == *check)
        };
        other.successes.iter().filter(|check| !is_made(check)).cloned().collect()
    }

    pub(crate) fn is_passed(&self) -> bool {
        self.failures.is_empty()
    }
}

// === impl Check ===

impl Check {
    fn failure(&self) -> Option<Failure> {
        match self.status {
            Status::Success | Status::Skipped | Status::Info => None,
            Status::Failure | Status::Warning => {
                let message = self.error_message.as_deref().unwrap_or(&self.description);
                Some(Failure { check: self.id.clone(), message: printable(message) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> Vec<(String, String)> {
        judge(text).unwrap().failures.into_iter().map(|failure| (failure.check, failure.message)).collect()
    }

    #[test]
    fn failures_and_warnings_are_found() {
        let text = r#"[
            { "id": "a", "status": "SUCCESS", "description": "fine" },
            { "id": "b", "status": "FAILURE", "errorMessage": "too\n\u001blate" },
            { "id": "c", "status": "WARNING", "description": "should" },
            { "id": "d", "status": "SKIPPED" }, { "id": "e", "status": "INFO" }
        ]"#;
        let expected = [("b", "too late"), ("c", "should")];
        assert_eq!(failed(text), expected.map(|(check, message)| (check.to_owned(), message.to_owned())));
    }

    #[test]
    fn a_success_and_no_failure_is_a_pass() {
        assert!(judge(r#"[{ "id": "a", "status": "SUCCESS" }]"#).unwrap().is_passed());
    }

    #[test]
    fn a_scenario_without_any_check_has_not_passed() {
        assert_eq!(failed("[]")[0].0, "nothing-checked");
        assert_eq!(failed(r#"[{ "id": "a", "status": "SKIPPED" }]"#)[0].0, "nothing-checked");
    }

    #[test]
    fn a_check_that_is_made_only_without_the_gateway_is_noted() {
        let text = |status| {
            format!(r#"[{{ "id": "a", "status": "SUCCESS" }}, {{ "id": "b", "status": "{status}" }}]"#)
        };
        let (direct, through) = (judge(&text("SUCCESS")).unwrap(), judge(&text("SKIPPED")).unwrap());
        assert_eq!(through.not_made(&direct), ["b"]);
        assert_eq!(direct.not_made(&through), [""; 0]);
        assert_eq!(Outcome::of("c", "").not_made(&direct), ["a", "b"], "another failure does not say it");
        assert_eq!(Outcome::of("b", "").not_made(&direct), ["a"], "a check that fails is made");
    }

    #[test]
    fn a_failure_of_ours_leaves_what_the_suite_saw() {
        let text = r#"[{ "id": "a", "status": "SUCCESS" }, { "id": "b", "status": "FAILURE" }]"#;
        let outcome = judge(text).unwrap().and("c", "late");
        let failed: Vec<_> = outcome.failures.iter().map(|failure| &*failure.check).collect();
        assert_eq!((failed, outcome.successes.len()), (vec!["b", "c"], 1));
    }

    #[test]
    fn an_unknown_status_is_an_error() {
        assert!(judge(r#"[{ "id": "a", "status": "MAYBE" }]"#).is_err());
    }

    #[test]
    fn the_folders_name_holds_the_scenarios() {
        assert_eq!(
            scenario_in("server-server-initialize-2026-11-21T10-05-24-909Z", "server-"),
            Some("server-initialize")
        );
        assert_eq!(scenario_in("tools_call-2026-11-21T10-04-43-807Z", ""), Some("tools_call"));
        assert_eq!(scenario_in("short", ""), None);
    }
}

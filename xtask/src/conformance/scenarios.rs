//! Which scenarios a rig has, as the suite's own files and lists tell: the requirements of a revision are a file of it.
//! A scenario that is listed here and leaves no result counts as failed, so that nothing is passed by not being run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::rigs::{Choice, Leg, Rig};
use super::running::Tools;

/// A scenario of a rig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// It counts towards conformance to the revision.
    pub(crate) is_scored: bool,
}

/// A revision's file of requirements.
#[derive(Debug, Deserialize)]
struct Requirements {
    server: Vec<String>,
    client: Vec<String>,
    not_scored: Vec<NotScored>,
}

#[derive(Debug, Deserialize)]
struct NotScored {
    scenario: String,
    leg: String,
    reason: String,
}

/// The reason of [`NotScored`] for what the specification leaves optional.
const EXTENSION: &str = "extension";
/// Where the names of scenarios about authorization begin.
const AUTHORIZATION: &str = "auth/";

/// Returns the rig's scenarios in the suite's order.
pub(crate) fn of(rig: &Rig, tools: &Tools) -> Result<Vec<Scenario>> {
    let scenarios = match rig.choice {
        Choice::Required => required(&tools.requirements(rig.revision), rig.leg)?,
        Choice::Applicable => applicable(&tools.list(rig.leg, rig.revision)?),
        Choice::Named(names) => names.iter().map(|name| Scenario::unscored(name)).collect(),
    };
    ensure!(!scenarios.is_empty(), "the suite has no scenarios for the rig {}", rig.name);
    Ok(scenarios)
}

fn required(file: &Path, leg: Leg) -> Result<Vec<Scenario>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let requirements: Requirements =
        serde_saphyr::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))?;
    Ok(in_requirements(requirements, leg))
}

fn in_requirements(requirements: Requirements, leg: Leg) -> Vec<Scenario> {
    let scored = match leg {
        Leg::Server => requirements.server,
        Leg::Client => requirements.client,
    };
    let scored = scored.into_iter().map(|name| Scenario { name, is_scored: true });
    let unscored = requirements.not_scored.into_iter();
    let unscored = unscored.filter(|entry| entry.leg == leg.word() && entry.reason != EXTENSION);
    let unscored = unscored.map(|entry| Scenario::unscored(&entry.scenario));
    scored.chain(unscored).filter(|scenario| !scenario.name.starts_with(AUTHORIZATION)).collect()
}

/// Reads lines such as `  - ping [2025-06-18,2025-11-25]`.
fn applicable(list: &str) -> Vec<Scenario> {
    let names = list.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_whitespace().next());
    names.filter(|name| !name.starts_with(AUTHORIZATION)).map(Scenario::unscored).collect()
}

// === impl Scenario ===

impl Scenario {
    fn unscored(name: &str) -> Self {
        Self { name: name.to_owned(), is_scored: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
# words
server: [ping, caching]
client:
  - tools_call
  - auth/metadata-default
not_scored:
  - { scenario: auth/dpop, leg: client, reason: extension }
  - { scenario: tasks-lifecycle, leg: server, reason: extension }
  - scenario: server-sse-polling
    leg: server
    reason: pending
    note: >-
      on hold
";

    fn names(leg: Leg) -> Vec<(String, bool)> {
        let scenarios = in_requirements(serde_saphyr::from_str(FILE).unwrap(), leg);
        scenarios.into_iter().map(|scenario| (scenario.name, scenario.is_scored)).collect()
    }

    #[test]
    fn extensions_and_authorization_are_left_out() {
        let server = [("ping", true), ("caching", true), ("server-sse-polling", false)];
        assert_eq!(names(Leg::Server), server.map(|(name, scored)| (name.to_owned(), scored)));
        assert_eq!(names(Leg::Client), [("tools_call".to_owned(), true)]);
    }

    #[test]
    fn the_list_of_a_revision_is_read() {
        let list = "Server scenarios (test against a server):\n  - ping [2025-06-18]\n  - tools-list\n\n";
        let names: Vec<_> = applicable(list).into_iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, ["ping", "tools-list"]);
    }
}

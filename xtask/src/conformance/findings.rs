//! What failed, seen both ways: a check that fails without the gateway, too, is no fault of the gateway. A check that
//! the gateway keeps from being made counts as failed: nothing is passed by not being looked at.

use serde::Deserialize;

use super::checks::{Failure, Outcome};

/// A check of a scenario that failed with the gateway, without it, or both, or was made only without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) scenario: String,
    pub(crate) check: String,
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Where a check failed, or was not made; in the list of what may fail, one of these in kebab case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    FailsOnlyThrough,
    FailsOnlyWithout,
    FailsBothWays,
    /// It succeeded without the gateway and was not made through it.
    MadeOnlyWithout,
}

// === impl Finding ===

impl Finding {
    /// Returns the checks of a scenario that failed or are not made through the gateway, each once.
    pub(crate) fn all(scenario: &str, direct: &Outcome, through: &Outcome) -> Vec<Self> {
        let mut findings: Vec<Self> = Vec::new();
        for failure in through.failures.iter().chain(&direct.failures) {
            if findings.iter().any(|known| known.check == failure.check) {
                continue;
            }
            let has = |outcome: &Outcome| outcome.failures.iter().any(|other| other.check == failure.check);
            let place = match (has(direct), has(through)) {
                (true, true) => Place::FailsBothWays,
                (true, false) => Place::FailsOnlyWithout,
                (false, _) => Place::FailsOnlyThrough,
            };
            findings.push(Self::new(scenario, failure.clone(), place));
        }
        for check in through.not_made(direct) {
            if !findings.iter().any(|known| known.check == check) {
                let message = "the suite does not make this check through the gateway".to_owned();
                findings.push(Self::new(scenario, Failure { check, message }, Place::MadeOnlyWithout));
            }
        }
        findings
    }

    fn new(scenario: &str, Failure { check, message }: Failure, place: Place) -> Self {
        Self { scenario: scenario.to_owned(), check, place, message }
    }
}

// === impl Place ===

impl Place {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::FailsOnlyThrough => "fails only through the gateway",
            Self::FailsOnlyWithout => "fails only without the gateway",
            Self::FailsBothWays => "fails without the gateway, too",
            Self::MadeOnlyWithout => "is made only without the gateway",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_found_once_with_its_place() {
        let mut direct = Outcome::of("a", "");
        direct.failures.extend(Outcome::of("b", "").failures);
        let mut through = Outcome::of("b", "");
        through.failures.extend(Outcome::of("b", "again").failures);
        through.failures.extend(Outcome::of("c", "").failures);
        let found: Vec<_> = Finding::all("s", &direct, &through)
            .into_iter()
            .map(|finding| (finding.check, finding.place))
            .collect();
        let expected =
            [("b", Place::FailsBothWays), ("c", Place::FailsOnlyThrough), ("a", Place::FailsOnlyWithout)];
        assert_eq!(found, expected.map(|(check, place)| (check.to_owned(), place)));
    }

    #[test]
    fn a_check_that_is_not_made_through_the_gateway_is_found() {
        let direct = Outcome { successes: ["a".to_owned(), "b".to_owned()].into(), ..Outcome::default() };
        let through = Outcome { successes: ["a".to_owned()].into(), ..Outcome::default() };
        let found = Finding::all("s", &direct, &through);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].check, found[0].place), ("b", Place::MadeOnlyWithout));
        assert_eq!(Finding::all("s", &through, &direct), []);
    }

    #[test]
    fn a_failure_does_not_hide_that_another_check_is_not_made() {
        let successes = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let direct = Outcome { successes: successes.into(), ..Outcome::default() };
        let through = Outcome { successes: ["c".to_owned()].into(), ..Outcome::of("a", "") };
        let found = Finding::all("s", &direct, &through);
        let found: Vec<_> = found.iter().map(|finding| (&*finding.check, finding.place)).collect();
        assert_eq!(found, [("a", Place::FailsOnlyThrough), ("b", Place::MadeOnlyWithout)]);
    }

    #[test]
    fn a_check_that_fails_and_succeeds_without_the_gateway_is_found_once() {
        let direct = Outcome { successes: ["a".to_owned()].into(), ..Outcome::of("a", "") };
        let found = Finding::all("s", &direct, &Outcome::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].place, Place::FailsOnlyWithout);
    }
}

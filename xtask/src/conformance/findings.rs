//! What failed, seen both ways: a check that fails without the gateway, too, is no fault of the gateway. A check that
//! the gateway keeps from being made counts as failed: nothing is passed by not being looked at.

use super::checks::{Failure, Outcome};

/// A check of a scenario that failed with the gateway, without it, or both, or was made only without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) scenario: String,
    pub(crate) check: String,
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Where a check failed, or was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    OnlyThrough,
    OnlyDirect,
    Both,
    /// It succeeded without the gateway and was not made through it.
    NotMade,
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
                (true, true) => Place::Both,
                (true, false) => Place::OnlyDirect,
                (false, _) => Place::OnlyThrough,
            };
            findings.push(Self::new(scenario, failure.clone(), place));
        }
        let not_made = through.not_made(direct).into_iter();
        findings.extend(not_made.map(|check| {
            let message = "the suite does not make this check through the gateway".to_owned();
            Self::new(scenario, Failure { check, message }, Place::NotMade)
        }));
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
            Self::OnlyThrough => "fails only through the gateway",
            Self::OnlyDirect => "fails only without the gateway",
            Self::Both => "fails without the gateway, too",
            Self::NotMade => "is made only without the gateway",
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
        let expected = [("b", Place::Both), ("c", Place::OnlyThrough), ("a", Place::OnlyDirect)];
        assert_eq!(found, expected.map(|(check, place)| (check.to_owned(), place)));
    }

    #[test]
    fn a_check_that_is_not_made_through_the_gateway_is_found() {
        let direct = Outcome { successes: ["a".to_owned(), "b".to_owned()].into(), ..Outcome::default() };
        let through = Outcome { successes: ["a".to_owned()].into(), ..Outcome::default() };
        let found = Finding::all("s", &direct, &through);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].check, found[0].place), ("b", Place::NotMade));
        assert_eq!(Finding::all("s", &through, &direct), []);
    }
}

//! Finds out which of several topics a server refuses: what was refused together is asked for in halves, so that one
//! that the server does not know costs only itself. Decides alone; who asks is `subscription`.

use crate::watching::{
    WatchError,
    topic::{Kind, Topic},
};

/// Requests that may be made for each time that the topics can be halved. One that is refused takes two of them at
/// most; with more that are refused than this finds, the rest is refused with them and asked for another time.
const REQUESTS_PER_HALVING: u32 = 4;

/// What is still to be found out.
#[derive(Debug)]
pub(super) struct Narrowing {
    /// The last is next.
    suspects: Vec<Suspects>,
    /// What was asked for last.
    asked: Vec<Topic>,
    requests_left: u32,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for these beside what is agreed to, and say whether they are refused.
    Ask(Vec<Topic>),
    /// These are refused.
    Refuse(Vec<Topic>, WatchError),
}

/// Topics that are looked into together.
#[derive(Debug)]
struct Suspects {
    topics: Vec<Topic>,
    /// The refusal that they were a part of.
    error: WatchError,
    guilt: Guilt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guilt {
    /// Some of them are refused: they were, or what was refused with them was agreed to without them.
    Certain,
    /// They were refused with others that may have been the reason.
    Possible,
}

impl Narrowing {
    /// Begins with topics that were refused together.
    pub(super) fn of(topics: Vec<Topic>, error: WatchError) -> Self {
        let halvings = topics.len().next_power_of_two().ilog2();
        let suspects = vec![Suspects { topics, error, guilt: Guilt::Certain }];
        Self { suspects, asked: Vec::new(), requests_left: REQUESTS_PER_HALVING * halvings }
    }

    /// Returns the next step; `None` when all is found out.
    pub(super) fn next(&mut self) -> Option<Step> {
        loop {
            let Suspects { topics, error, guilt } = self.suspects.pop()?;
            if self.requests_left == 0 || guilt == Guilt::Certain && topics.len() <= 1 {
                return Some(Step::Refuse(topics, error));
            }
            match guilt {
                Guilt::Certain => self.halve(topics, error),
                Guilt::Possible => {
                    self.requests_left -= 1;
                    self.asked.clone_from(&topics);
                    return Some(Step::Ask(topics));
                }
            }
        }
    }

    /// Notes that the server refused what was asked for last; else it agreed to that, and what was refused with it
    /// remains.
    pub(super) fn refused(&mut self, error: WatchError) {
        if let Some(others) = self.suspects.last_mut() {
            others.guilt = Guilt::Possible;
        }
        let topics = std::mem::take(&mut self.asked);
        self.suspects.push(Suspects { topics, error, guilt: Guilt::Certain });
    }

    /// Puts topics, sorted, into two piles: resources and tasks, or halves of one kind. Tasks end, and then servers know
    /// nothing of them any more.
    fn halve(&mut self, mut topics: Vec<Topic>, error: WatchError) {
        let resources = topics.partition_point(|topic| topic.kind == Kind::Resource);
        let is_of_one_kind = resources == 0 || resources == topics.len();
        let rest = topics.split_off(if is_of_one_kind { topics.len() / 2 } else { resources });
        self.suspects.push(Suspects { topics: rest, error: error.clone(), guilt: Guilt::Certain });
        self.suspects.push(Suspects { topics, error, guilt: Guilt::Possible });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::ServerId;
    use proptest::prelude::*;

    use super::*;

    /// How it went with a server.
    #[derive(Debug, Default)]
    struct Found {
        agreed: BTreeSet<Topic>,
        refused: BTreeSet<Topic>,
        requests: usize,
    }

    fn error() -> WatchError {
        WatchError::Refused { server: ServerId::new("a").unwrap(), code: -32602 }
    }

    /// Asks a server that refuses every request that names one of `bad`.
    fn found(topics: &[Topic], bad: &BTreeSet<Topic>) -> Found {
        let mut narrowing = Narrowing::of(topics.to_vec(), error());
        let mut found = Found::default();
        while let Some(step) = narrowing.next() {
            match step {
                Step::Ask(topics) => {
                    found.requests += 1;
                    if topics.iter().any(|topic| bad.contains(topic)) {
                        narrowing.refused(error());
                    } else {
                        found.agreed.extend(topics);
                    }
                }
                Step::Refuse(topics, refusal) => {
                    assert_eq!(refusal, error());
                    found.refused.extend(topics);
                }
            }
        }
        found
    }

    fn topics(resources: usize, tasks: usize) -> Vec<Topic> {
        let resources = (0..resources).map(|number| Topic::resource(&format!("note://{number:04}")));
        resources.chain((0..tasks).map(|number| Topic::task(&format!("{number:04}")))).collect()
    }

    #[test]
    fn one_that_is_refused_costs_only_itself() {
        for (resources, tasks) in [(1, 0), (2, 0), (3, 0), (1, 1), (1000, 0), (4000, 96), (5, 7)] {
            let topics = topics(resources, tasks);
            for at in [0, topics.len() / 3, topics.len() / 2, topics.len() - 1] {
                let bad = BTreeSet::from([topics[at].clone()]);
                let found = found(&topics, &bad);
                assert_eq!(found.refused, bad, "{resources} {tasks}");
                assert_eq!(found.agreed.len(), topics.len() - 1);
                let halvings = topics.len().next_power_of_two().ilog2() as usize;
                assert!(found.requests <= 2 * halvings + 1, "{} for {}", found.requests, topics.len());
            }
        }
    }

    #[test]
    fn what_ended_costs_nobody_else() {
        // Every task has ended, and every resource is there.
        let topics = topics(500, 100);
        let bad: BTreeSet<Topic> = topics[500..].iter().cloned().collect();
        let found = found(&topics, &bad);
        assert_eq!((found.refused, found.agreed.len()), (bad, 500));
    }

    #[test]
    fn a_server_that_refuses_everything_is_not_asked_for_ever() {
        let topics = topics(4096, 0);
        let found = found(&topics, &topics.iter().cloned().collect());
        assert_eq!((found.refused.len(), found.requests), (4096, 48));
    }

    proptest! {
        #[test]
        fn each_is_agreed_to_or_refused(
            (resources, tasks) in (0_usize..40, 0_usize..10),
            picked in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let topics = topics(resources + 1, tasks);
            // Something was refused, or nothing were to be found out.
            let picked = picked.iter().map(|at| at.get(&topics).clone());
            let bad: BTreeSet<Topic> = picked.chain([topics[0].clone()]).collect();
            let found = found(&topics, &bad);
            prop_assert!(found.agreed.is_disjoint(&bad) && found.refused.is_superset(&bad));
            prop_assert_eq!(found.agreed.len() + found.refused.len(), topics.len());
        }
    }
}

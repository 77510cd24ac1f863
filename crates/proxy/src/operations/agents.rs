//! The tallies of each agent. Agents may be whatever callers claim to be, so names are made printable and short, and
//! their number is bounded.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;

use super::{Ending, Operation, latencies::Latencies, latencies::Spread};
use crate::error::shown;

/// Agents that are counted apart; the later ones are counted together. With every operation of each, 13 MiB.
pub const MAX_AGENTS: usize = 200;
/// The name under which agents are counted that come when [`MAX_AGENTS`] are known.
const OTHER: &str = "other";
/// Longest name that is counted as it is; [`shown`] cuts at as many characters.
const MAX_PLAIN_BYTES: usize = 80;

/// All agents, by the names they are shown under. Names that look the same when shown are one agent here.
#[derive(Debug, Default)]
pub(super) struct Agents {
    known: RwLock<HashMap<Arc<str>, Arc<Tallies>>>,
    other: Tallies,
}

/// The tallies of one agent, each made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Tallies([OnceLock<Box<Tally>>; Operation::ALL.len()]);

/// One operation of one agent.
#[derive(Debug, Default)]
pub(super) struct Tally {
    latencies: Latencies,
    errors: AtomicU64,
}

/// What one or several tallies said at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub(super) spread: Spread,
    pub(super) errors: u64,
}

/// What one agent did until one moment.
#[derive(Debug)]
pub(super) struct AgentReading {
    /// The name it is shown under.
    pub(super) agent: Arc<str>,
    /// The operations it used, in their order.
    pub(super) operations: Vec<(Operation, Reading)>,
}

// === impl Agents ===

impl Agents {
    /// Calls `count` with the tallies of this agent.
    pub(super) fn with(&self, agent: &str, count: impl FnOnce(&Tallies)) {
        let label = label(agent);
        if let Some(tallies) = self.known.read().get(&*label) {
            return count(tallies);
        }
        match self.introduce(&label) {
            Some(tallies) => count(&tallies),
            None => count(&self.other),
        }
    }

    /// Makes the tallies of a new agent, while there may be more.
    fn introduce(&self, label: &str) -> Option<Arc<Tallies>> {
        if label == OTHER || self.known.read().len() >= MAX_AGENTS {
            return None;
        }
        let mut known = self.known.write();
        if let Some(tallies) = known.get(label) {
            return Some(tallies.clone());
        }
        (known.len() < MAX_AGENTS).then(|| known.entry(label.into()).or_default().clone())
    }

    /// Reads all agents that did something, in the order of their names, `other` last.
    pub(super) fn readings(&self) -> Vec<AgentReading> {
        let known =
            self.known.read().iter().map(|(label, tallies)| (label.clone(), tallies.clone())).collect();
        let mut known: Vec<(Arc<str>, Arc<Tallies>)> = known;
        known.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let read =
            known.into_iter().map(|(agent, tallies)| AgentReading { agent, operations: tallies.readings() });
        let other = AgentReading { agent: OTHER.into(), operations: self.other.readings() };
        read.chain([other]).filter(|reading| !reading.operations.is_empty()).collect()
    }
}

/// Returns the name under which an agent is counted: the name itself, if it is short and plain.
fn label(agent: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !b"'\"\\".contains(&byte);
    if agent.len() <= MAX_PLAIN_BYTES && agent.bytes().all(is_plain) {
        return Cow::Borrowed(agent);
    }
    Cow::Owned(shown(agent))
}

// === impl Reading ===

impl Reading {
    /// Adds another reading to this one.
    pub(super) fn add(&mut self, other: &Self) {
        self.spread.add(&other.spread);
        self.errors += other.errors;
    }
}

// === impl Tallies ===

impl Tallies {
    /// Returns the tally of an operation.
    pub(super) fn of(&self, operation: Operation) -> &Tally {
        self.0[operation.index()].get_or_init(Box::default)
    }

    fn readings(&self) -> Vec<(Operation, Reading)> {
        let used = Operation::ALL
            .into_iter()
            .filter_map(|operation| Some((operation, self.0[operation.index()].get()?.read())));
        used.filter(|(_, reading)| reading.spread.count() > 0).collect()
    }
}

// === impl Tally ===

impl Tally {
    /// Counts one operation.
    pub(super) fn record(&self, took: Duration, ending: Ending) {
        self.latencies.record(took);
        match ending {
            Ending::Answered => {}
            Ending::Failed => {
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn read(&self) -> Reading {
        let mut reading = Reading { errors: self.errors.load(Ordering::Relaxed), ..Reading::default() };
        self.latencies.add_to(&mut reading.spread);
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(agents: &Agents) -> Vec<String> {
        agents.readings().iter().map(|reading| reading.agent.to_string()).collect()
    }

    fn call(agents: &Agents, agent: &str) {
        agents.with(agent, |tallies| tallies.of(Operation::Ping).record(Duration::ZERO, Ending::Answered));
    }

    #[test]
    fn agents_beyond_the_bound_are_counted_together() {
        let agents = Agents::default();
        for number in 0..MAX_AGENTS + 50 {
            call(&agents, &format!("agent-{number:03}"));
        }
        call(&agents, "agent-000");
        call(&agents, "other");
        let readings = agents.readings();
        assert_eq!(readings.len(), MAX_AGENTS + 1);
        let count = |at: usize| (&*readings[at].agent, readings[at].operations[0].1.spread.count());
        assert_eq!(count(0), ("agent-000", 2));
        assert_eq!(count(MAX_AGENTS), ("other", 51));
    }

    #[test]
    fn the_bound_holds_when_agents_come_at_once() {
        let (agents, start) = (Agents::default(), std::sync::Barrier::new(8));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (agents, start) = (&agents, &start);
                scope.spawn(move || {
                    start.wait();
                    (0..MAX_AGENTS).for_each(|number| call(agents, &format!("{number} of {thread}")));
                });
            }
        });
        assert_eq!(agents.readings().len(), MAX_AGENTS + 1);
    }

    #[test]
    fn names_are_short_and_printable() {
        let agents = Agents::default();
        for name in ["dev team", "ünal", "a\n\"b\"", &"x".repeat(300), &format!("{}y", "x".repeat(299))] {
            call(&agents, name);
        }
        assert_eq!(names(&agents), [r#"a\n\"b\""#, "dev team", &"x".repeat(80), "ünal"]);
    }

    #[test]
    fn a_plain_name_is_shown_as_it_is() {
        let plain: String = (' '..='~').filter(|c| !"'\"\\".contains(*c)).take(80).collect();
        assert!(matches!(label(&plain), Cow::Borrowed(_)));
        assert_eq!(label(&plain), shown(&plain));
    }
}

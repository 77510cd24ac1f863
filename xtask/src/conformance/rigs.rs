//! What is run: each rig is one leg of the suite at one revision, with servers that speak the era of that revision.
//! Every rig runs twice, with and without the gateway. Scenarios of authorization are not among them.

use clap::ValueEnum;

/// Which side of the protocol the suite plays the other side of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Leg {
    /// The suite is the client.
    Server,
    /// The suite is the server.
    Client,
}

/// Which scenarios a rig has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Those that the revision's requirements list, scored or not; extensions have rigs of their own.
    Required,
    /// All that apply to the revision, for revisions without a list of requirements.
    Applicable,
    /// These.
    Named(&'static [&'static str]),
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rig {
    pub(crate) name: &'static str,
    pub(crate) leg: Leg,
    pub(crate) revision: &'static str,
    /// What the fixture is told to speak; the gateway then speaks it on both sides.
    pub(crate) era: &'static str,
    pub(crate) choice: Choice,
}

const TASKS: &[&str] = &[
    "tasks-lifecycle",
    "tasks-capability-negotiation",
    "tasks-wire-fields",
    "tasks-request-state-removal",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-dispatch-and-envelope",
    "tasks-status-notifications",
    "tasks-required-task-error",
    "tasks-mrtr-composition",
];

const SKILLS: &[&str] =
    &["sep-2640-skills-enumeration", "sep-2640-skills-manifest", "sep-2640-skills-directory"];

/// All rigs, the longest first, so that two of them side by side end at about the same time.
pub(crate) const RIGS: &[Rig] = &[
    rig("tasks-2026-07-28", Leg::Server, "2026-07-28", "modern", Choice::Named(TASKS)),
    rig("server-2026-07-28", Leg::Server, "2026-07-28", "modern", Choice::Required),
    rig("client-2026-07-28", Leg::Client, "2026-07-28", "modern", Choice::Required),
    rig("client-2025-11-25", Leg::Client, "2025-11-25", "legacy", Choice::Required),
    rig("server-2025-11-25", Leg::Server, "2025-11-25", "legacy", Choice::Required),
    rig("server-2025-06-18", Leg::Server, "2025-06-18", "legacy", Choice::Applicable),
    rig("server-2025-03-26", Leg::Server, "2025-03-26", "legacy", Choice::Applicable),
    rig("skills-2026-07-28", Leg::Server, "2026-07-28", "modern", Choice::Named(SKILLS)),
];

const fn rig(name: &'static str, leg: Leg, revision: &'static str, era: &'static str, choice: Choice) -> Rig {
    Rig { name, leg, revision, era, choice }
}

// === impl Leg ===

impl Leg {
    /// Returns the word the suite has for it, as a subcommand and in its lists.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    /// Returns what the suite puts before a scenario's name in its output folder.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Server => "server-",
            Self::Client => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rig_has_a_name_of_its_own() {
        let names: BTreeSet<_> = RIGS.iter().map(|rig| rig.name).collect();
        assert_eq!(names.len(), RIGS.len());
    }
}

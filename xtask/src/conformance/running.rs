//! Runs the rigs: each starts servers of its own on free ports, hands the suite their address and reads what it leaves.
//! A rig that cannot be run gives failed scenarios, so that one table still shows all the others.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::checks::{self, Outcome};
use super::limited::{self, End};
use super::rigs::{Choice, Leg, Rig};
use super::scenarios::{self, Scenario};
use super::{findings::Finding, launched};
use crate::{environment, workspace};

/// Runs side by side: two cores are what CI has.
const WORKERS: usize = 2;
/// For one run of the suite over many scenarios, each of which the suite itself gives 30 s.
const SET_LIMIT: Duration = Duration::from_secs(300);
/// For one run of the suite over one scenario.
const SCENARIO_LIMIT: Duration = Duration::from_secs(60);
/// Tells the client to put a gateway before the suite's server.
const GATEWAY: &str = "TOOLGATE_BIN";

/// What stands between the suite and the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Gateway,
}

/// A rig with its results.
pub(crate) struct Run {
    pub(crate) rig: &'static Rig,
    pub(crate) scenarios: Vec<Scenario>,
    /// In the order of the scenarios, as is `through`.
    pub(crate) direct: Vec<Outcome>,
    pub(crate) through: Vec<Outcome>,
}

/// The programs.
pub(crate) struct Tools {
    node: PathBuf,
    suite: PathBuf,
    binaries: PathBuf,
    logs: PathBuf,
}

/// Runs every rig with and without the gateway.
pub(crate) fn all(rigs: &[&'static Rig], tools: &Tools) -> Result<Vec<Run>> {
    let runs = rigs.iter().map(|rig| Run::prepare(rig, tools)).collect::<Result<Vec<_>>>()?;
    let jobs: VecDeque<(usize, Way)> =
        (0..runs.len()).flat_map(|index| [(index, Way::Direct), (index, Way::Gateway)]).collect();
    let waiting = Mutex::new(jobs);
    let done = Mutex::new(runs);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let lock = || done.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        while let Some((index, way)) = next() {
            let (rig, scenarios) = {
                let runs = lock();
                (runs[index].rig, runs[index].scenarios.clone())
            };
            let outcomes = observed(rig, &scenarios, way, tools);
            *lock()[index].outcomes_mut(way) = outcomes;
        }
    };
    thread::scope(|scope| (0..WORKERS).for_each(|_| _ = scope.spawn(work)));
    let mut runs = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|run| run.rig.name);
    Ok(runs)
}

/// Runs a rig one way and says so.
fn observed(rig: &Rig, scenarios: &[Scenario], way: Way, tools: &Tools) -> Vec<Outcome> {
    let (title, started) = (format!("{} {}", rig.name, way.words()), Instant::now());
    println!("conformance: {title} ...");
    let outcomes = once(rig, scenarios, way, tools).unwrap_or_else(|error| {
        let outcome = Outcome::of("not-run", &format!("{error:#}"));
        vec![outcome; scenarios.len()]
    });
    let failed = outcomes.iter().filter(|outcome| !outcome.is_passed()).count();
    let seconds = started.elapsed().as_secs();
    println!("conformance: {title}: {} scenarios, {failed} failed, {seconds} s", outcomes.len());
    outcomes
}

fn once(rig: &Rig, scenarios: &[Scenario], way: Way, tools: &Tools) -> Result<Vec<Outcome>> {
    let folder = tools.logs.join(rig.name).join(way.folder());
    fs::create_dir_all(folder.join("out")).with_context(|| format!("cannot create {}", folder.display()))?;
    match rig.leg {
        Leg::Server => servers(rig, scenarios, way, tools, &folder),
        Leg::Client => {
            scenarios.iter().map(|scenario| client(rig, &scenario.name, way, tools, &folder)).collect()
        }
    }
}

fn servers(
    rig: &Rig,
    scenarios: &[Scenario],
    way: Way,
    tools: &Tools,
    folder: &Path,
) -> Result<Vec<Outcome>> {
    let fixture = launched::fixture(&tools.binaries.join("conformance-server"), rig.era, folder)?;
    let gateway = match way {
        Way::Direct => None,
        Way::Gateway => Some(launched::gateway(&tools.binaries.join("toolgate"), fixture.url(), folder)?),
    };
    let url = gateway.as_ref().map_or(fixture.url(), launched::Launched::url);
    let common = ["server", "--url", url];
    match rig.choice {
        Choice::Required => tools.set(&[&common[..], &["--requirements", rig.revision]].concat(), folder)?,
        Choice::Applicable => {
            let all = ["--suite", "all", "--spec-version", rig.revision];
            tools.set(&[&common[..], &all].concat(), folder)?;
        }
        Choice::Named(_) => {
            let one = |scenario: &Scenario| {
                let words = [&common[..], &["--scenario", &scenario.name]].concat();
                tools.scenario(&words, rig, &scenario.name, way, folder)
            };
            return scenarios.iter().map(one).collect();
        }
    }
    let read = |scenario: &Scenario| checks::outcome(&folder.join("out"), rig.leg.prefix(), &scenario.name);
    scenarios.iter().map(read).collect()
}

fn client(rig: &Rig, scenario: &str, way: Way, tools: &Tools, folder: &Path) -> Result<Outcome> {
    // The suite splits the command at spaces, so that it must be one that has none: it runs in the binary's folder.
    let words = ["client", "--command", "./conformance-client", "--scenario", scenario];
    let words = [&words[..], &["--spec-version", rig.revision]].concat();
    tools.scenario(&words, rig, scenario, way, folder)
}

// === impl Way ===

impl Way {
    fn folder(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Gateway => "gateway",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Direct => "without the gateway",
            Self::Gateway => "through the gateway",
        }
    }
}

// === impl Run ===

impl Run {
    fn prepare(rig: &'static Rig, tools: &Tools) -> Result<Self> {
        let scenarios = scenarios::of(rig, tools)?;
        Ok(Self { rig, scenarios, direct: Vec::new(), through: Vec::new() })
    }

    fn outcomes_mut(&mut self, way: Way) -> &mut Vec<Outcome> {
        match way {
            Way::Direct => &mut self.direct,
            Way::Gateway => &mut self.through,
        }
    }

    /// Returns everything that failed either way or was not made through the gateway, in the order of the scenarios.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let outcomes = self.direct.iter().zip(&self.through);
        let named = self.scenarios.iter().zip(outcomes);
        named
            .flat_map(|(scenario, (direct, through))| Finding::all(&scenario.name, direct, through))
            .collect()
    }
}

// === impl Tools ===

impl Tools {
    /// Names the programs, built and installed before.
    pub(crate) fn find(logs: &Path) -> Self {
        let modules = environment::conformance_folder().join("node_modules");
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace::root().join("target"), |folder| workspace::root().join(folder));
        Self {
            node: modules.join(".bin/node"),
            suite: modules.join("@modelcontextprotocol/conformance"),
            binaries: target.join("debug"),
            logs: logs.to_owned(),
        }
    }

    /// Returns the suite's file with the requirements of a revision.
    pub(crate) fn requirements(&self, revision: &str) -> PathBuf {
        self.suite.join("requirements").join(revision).with_extension("yaml")
    }

    /// Returns the suite's list of the scenarios that apply to a revision.
    pub(crate) fn list(&self, leg: Leg, revision: &str) -> Result<String> {
        let log = self.logs.join(format!("list-{}-{revision}.log", leg.word()));
        let mut command = self.command(&["list", &format!("--{}", leg.word()), "--spec-version", revision]);
        let end = limited::run(&mut command, &log, SCENARIO_LIMIT)?;
        ensure!(end == End::Succeeded, "the suite lists no scenarios; see {}", log.display());
        fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.node);
        command.arg(self.suite.join("dist/index.js")).args(words).current_dir(&self.binaries);
        command.env_remove(GATEWAY);
        command
    }

    /// Runs many scenarios; what they left tells how they went.
    fn set(&self, words: &[&str], folder: &Path) -> Result<()> {
        let mut command = self.command(words);
        command.arg("-o").arg(folder.join("out"));
        let end = limited::run(&mut command, &folder.join("suite.log"), SET_LIMIT)?;
        ensure!(end != End::Stopped, "the suite took longer than {} s", SET_LIMIT.as_secs());
        Ok(())
    }

    /// Runs one scenario; the suite's own verdict counts, too: a client that fails is in no check.
    fn scenario(&self, words: &[&str], rig: &Rig, name: &str, way: Way, folder: &Path) -> Result<Outcome> {
        let mut command = self.command(words);
        command.arg("-o").arg(folder.join("out"));
        if way == Way::Gateway {
            command.env(GATEWAY, self.binaries.join("toolgate"));
        }
        let log = folder.join(format!("{name}.log"));
        let end = limited::run(&mut command, &log, SCENARIO_LIMIT)?;
        let outcome = checks::outcome(&folder.join("out"), rig.leg.prefix(), name)?;
        Ok(match end {
            End::Stopped => outcome.and("not-finished", "the scenario took too long"),
            End::Failed if outcome.is_passed() => {
                outcome.and("client-failed", "the client ended with an error")
            }
            End::Succeeded | End::Failed => outcome,
        })
    }
}

//! Prepares `.test-env`: the foreign clients and servers of the end-to-end tests, and the cargo tools CI runs.
//! Everything is pinned by the lock files in `tests/env`; a part whose lock has not changed is left as it is.
//! Missing Python or npm is a failure that names what to install, never a skip.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::workspace;

mod node;
mod python;
mod tools;

/// The part with the conformance suite.
const CONFORMANCE: &str = "conformance";

/// Returns the folder that holds all of it; it may be deleted at any time.
pub(crate) fn folder() -> PathBuf {
    workspace::root().join(".test-env")
}

/// Returns the folders with programs that are to follow those of the machine on `PATH`.
pub(crate) fn tool_folders() -> impl Iterator<Item = PathBuf> {
    tools::folders()
}

/// Returns the folder with the lock files.
fn locks() -> PathBuf {
    workspace::root().join("tests/env")
}

/// Returns the folder with the conformance suite.
pub(crate) fn conformance_folder() -> PathBuf {
    folder().join(CONFORMANCE)
}

/// Makes sure that every part is installed as its lock says; does nothing when it is.
pub(crate) fn prepare() -> Result<()> {
    prepare_those(|_| true)
}

/// Makes sure that the conformance suite is installed as its lock says.
pub(crate) fn prepare_conformance() -> Result<()> {
    prepare_those(|part| part.name == CONFORMANCE)
}

fn prepare_those(wanted: impl Fn(&Part) -> bool) -> Result<()> {
    fs::create_dir_all(folder().join("log")).context("cannot create .test-env")?;
    let alone = File::create(folder().join("lock")).context("cannot create .test-env/lock")?;
    alone.lock().context("cannot wait for another set-up")?;
    let missing = parts()?.into_iter().filter(|part| wanted(part) && !part.is_ready()).collect::<Vec<_>>();
    install(missing)
}

fn parts() -> Result<Vec<Part>> {
    let mut parts = python::parts()?;
    parts.extend(node::parts()?);
    parts.extend(tools::parts());
    Ok(parts)
}

/// Installs the parts side by side: they wait for the network most of the time.
fn install(parts: Vec<Part>) -> Result<()> {
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|part| scope.spawn(|| part.install())).collect();
        running.into_iter().map(|thread| thread.join().expect("an installation does not panic")).collect()
    });
    let failures: Vec<String> =
        outcomes.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    if !failures.is_empty() {
        bail!("the test environment is incomplete:\n{}", failures.join("\n"));
    }
    Ok(())
}

/// Installs a part into its empty folder (the first path); what the tools say goes to the log (the second).
type Recipe = Box<dyn Fn(&Path, &Path) -> Result<()> + Send + Sync>;

/// One part of the environment, installed as a whole or not at all.
struct Part {
    /// The name of its folder, too.
    name: &'static str,
    /// Everything that decides what is installed. A copy stands in the folder once it is complete.
    wanted: String,
    recipe: Recipe,
}

// === impl Part ===

impl Part {
    fn place(&self) -> PathBuf {
        folder().join(self.name)
    }

    fn stamp(&self) -> PathBuf {
        self.place().join("installed-as")
    }

    fn is_ready(&self) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|installed| installed == self.wanted)
    }

    fn install(&self) -> Result<()> {
        let started = Instant::now();
        println!("setup: {} ...", self.name);
        let log = folder().join("log").join(format!("{}.log", self.name));
        fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
        empty(&self.place())?;
        (self.recipe)(&self.place(), &log).with_context(|| format!("cannot install {}", self.name))?;
        fs::write(self.stamp(), &self.wanted)
            .with_context(|| format!("cannot note that {} is complete", self.name))?;
        println!("setup: {} is ready after {} s", self.name, started.elapsed().as_secs());
        Ok(())
    }
}

/// Makes an empty folder, whatever was there.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Reads one of the lock files.
fn lock(name: impl AsRef<Path>) -> Result<String> {
    let path = locks().join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

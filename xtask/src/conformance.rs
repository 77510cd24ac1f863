//! `cargo xtask conformance`: the official conformance suite, once against our own servers and clients and once with the
//! gateway between. What is run stands in `rigs`, how in `running`; `tests/conformance/expected-failures.yaml` lists what
//! may fail, and anything else that fails, or no longer does, fails the command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::process::{cargo, run};
use crate::{environment, workspace};

mod checks;
mod expected;
mod findings;
mod launched;
mod limited;
mod report;
mod rigs;
mod running;
mod scenarios;

use expected::Expected;
use rigs::{Leg, Rig};
use running::Tools;

/// What to run.
#[derive(Args)]
pub(crate) struct Request {
    /// Run only the rigs that test servers, or those that test clients
    #[arg(long)]
    only: Option<Leg>,
    /// Run only this rig
    #[arg(long, conflicts_with = "only")]
    rig: Option<String>,
    /// Keep the logs even when nothing is wrong
    #[arg(long)]
    keep: bool,
    /// Leave .test-env as it is
    #[arg(long)]
    no_setup: bool,
    /// Run the programs that were built last
    #[arg(long)]
    no_build: bool,
}

/// Runs the suite and prints the table; fails when a result differs from what is expected.
pub(crate) fn run_suite(request: &Request) -> Result<()> {
    let rigs = chosen(request)?;
    let expected = Expected::read(&workspace::root().join("tests/conformance/expected-failures.yaml"))?;
    if !request.no_setup {
        environment::prepare_conformance()?;
    }
    if !request.no_build {
        build()?;
    }
    let logs = emptied_logs()?;
    let tools = Tools::find(&logs);
    let runs = running::all(&rigs, &tools)?;
    println!("\n{}", report::table(&runs));
    print!("{}", report::failures(&runs, &expected));
    let faults = expected.faults(&runs);
    settle(&faults, &logs, request.keep)
}

fn chosen(request: &Request) -> Result<Vec<&'static Rig>> {
    let wanted = |rig: &&'static Rig| {
        request.only.is_none_or(|leg| rig.leg == leg)
            && request.rig.as_ref().is_none_or(|name| rig.name == name)
    };
    let rigs: Vec<_> = rigs::RIGS.iter().filter(wanted).collect();
    let names = || rigs::RIGS.iter().map(|rig| rig.name).collect::<Vec<_>>().join(", ");
    ensure!(!rigs.is_empty(), "there is no such rig; there are {}", names());
    Ok(rigs)
}

/// Builds the gateway alone, as it is shipped, and then what stands before and behind it.
fn build() -> Result<()> {
    let root = workspace::root();
    run("building the gateway", cargo().args(["build", "--package", "toolgate"]).current_dir(&root))?;
    let others = ["build", "--package", "fixtures", "--package", "conformance-client"];
    run("building the fixtures", cargo().args(others).current_dir(&root))
}

fn emptied_logs() -> Result<PathBuf> {
    let logs = environment::folder().join("log/conformance");
    remove(&logs)?;
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    Ok(logs)
}

fn remove(logs: &Path) -> Result<()> {
    if logs.exists() {
        fs::remove_dir_all(logs).with_context(|| format!("cannot remove {}", logs.display()))?;
    }
    Ok(())
}

fn settle(faults: &[String], logs: &Path, keep: bool) -> Result<()> {
    if faults.is_empty() {
        println!("conformance: everything is as expected");
        return if keep { announce(logs) } else { remove(logs) };
    }
    announce(logs)?;
    bail!("conformance: {} results differ from what is expected:\n  {}", faults.len(), faults.join("\n  "))
}

fn announce(logs: &Path) -> Result<()> {
    println!("conformance: the logs are in {}", logs.display());
    Ok(())
}

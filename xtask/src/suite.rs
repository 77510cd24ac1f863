//! `cargo xtask test`: the environment, the binaries of the gateway and of the fixture, then every test of the workspace.
//! Doctests run first and nextest last, so that the last lines are the count that matters.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::process::{cargo, run};
use crate::{environment, workspace};

/// Tests that run side by side. Each end-to-end test starts several programs of its own.
const TEST_THREADS: &str = "2";

/// What to run.
#[derive(Args)]
pub(crate) struct Request {
    /// Run only the tests whose name contains this (and no doctests)
    filter: Option<String>,
    /// More arguments for `cargo nextest run`
    #[arg(last = true)]
    nextest: Vec<String>,
    /// Leave .test-env as it is
    #[arg(long)]
    no_setup: bool,
}

/// Prepares what the tests need and runs them; fails when one fails.
pub(crate) fn run_tests(request: &Request) -> Result<()> {
    if !request.no_setup {
        environment::prepare()?;
    }
    run(
        "building the gateway and the fixture",
        cargo()
            .args(["build", "--package", "toolgate", "--package", "fixtures"])
            .current_dir(workspace::root()),
    )?;
    if request.filter.is_none() && request.nextest.is_empty() {
        run(
            "the doctests",
            cargo().args(["test", "--doc", "--workspace", "--quiet"]).current_dir(workspace::root()),
        )?;
    }
    nextest(request)
}

fn nextest(request: &Request) -> Result<()> {
    let mut command = cargo();
    command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--test-threads", TEST_THREADS]);
    command.args(&request.filter).args(&request.nextest);
    command.env("PATH", path_with_tools()?);
    command.env("TOOLGATE_BIN", gateway()).env("TOOLGATE_TEST_ENV", environment::folder());
    run("the tests", command.current_dir(workspace::root()))
}

/// Returns `PATH` with the tools of the environment after those of the machine.
fn path_with_tools() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(environment::tool_folders());
    env::join_paths(places).context("PATH cannot be extended by the test environment")
}

/// Returns the binary that `cargo build` has just made.
fn gateway() -> PathBuf {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace::root().join("target"), PathBuf::from);
    target.join("debug/toolgate")
}

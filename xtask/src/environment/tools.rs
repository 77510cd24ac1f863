//! The cargo tools that CI and the tests run: cargo-deny, and cargo-nextest where the machine has none.
//! They are built from source with little optimisation: they run for seconds, and building them takes minutes.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Part, folder};
use crate::process::{cargo, is_present, run_logged};

const DENY: (&str, &str) = ("cargo-deny", "0.20.2");
const NEXTEST: (&str, &str) = ("cargo-nextest", "0.9.143");

/// Settings of the tools' release profile that make them quick to build.
const QUICK_BUILD: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "false"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

/// Returns the folders that hold the tools' programs, present or not.
pub(super) fn folders() -> impl Iterator<Item = PathBuf> {
    [DENY, NEXTEST].into_iter().map(|(tool, _)| folder().join(tool).join("bin"))
}

/// Returns one part per tool that this machine lacks.
pub(super) fn parts() -> Vec<Part> {
    let missing = [DENY, NEXTEST].into_iter().filter(|(tool, _)| !is_present(tool));
    missing.map(|(tool, version)| part(tool, version)).collect()
}

fn part(tool: &'static str, version: &'static str) -> Part {
    let wanted = format!("{tool} {version}\n");
    Part { name: tool, wanted, recipe: Box::new(move |place, log| install(tool, version, place, log)) }
}

fn install(tool: &str, version: &str, place: &Path, log: &Path) -> Result<()> {
    let mut command = cargo();
    command.args(["install", "--locked", "--version", version, "--root"]).arg(place).arg(tool);
    // Outside the workspace, so that its settings do not reach into the tool's build.
    command.current_dir(std::env::temp_dir()).envs(QUICK_BUILD.iter().copied());
    run_logged("cargo install", &mut command, log)
}

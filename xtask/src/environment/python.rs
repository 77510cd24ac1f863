//! The two Python environments: SDK 1.x and SDK 2.x exclude each other, so each has its own, with the fastmcp that fits.
//! The locks are complete `pip freeze` lists, so nothing is resolved here.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::{Part, lock, locks};
use crate::process::{run_logged, version};

/// Each environment and its lock file.
const ENVIRONMENTS: &[(&str, &str)] =
    &[("sdk1", "requirements-sdk1.lock"), ("sdk2", "requirements-sdk2.lock")];

const DEBIAN: &str = "(Debian: `apt-get install python3 python3-venv`)";

/// Modules of the standard library that Debian packages apart.
const NEEDED: &str = "import sys, venv, ensurepip; assert sys.version_info >= (3, 10)";

/// Returns one part per environment.
pub(super) fn parts() -> Result<Vec<Part>> {
    // An environment belongs to the interpreter that made it.
    let python = version("python3").unwrap_or_default();
    ENVIRONMENTS.iter().map(|(name, file)| part(name, file, &python)).collect()
}

fn part(name: &'static str, file: &'static str, python: &str) -> Result<Part> {
    let wanted = format!("{python}\n{}", lock(file)?);
    Ok(Part { name, wanted, recipe: Box::new(move |place, log| install(file, place, log)) })
}

fn install(file: &str, place: &Path, log: &Path) -> Result<()> {
    check_python()?;
    run_logged("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(place), log)?;
    let pip = place.join("bin/pip");
    let requirements = locks().join(file);
    let arguments = ["install", "--disable-pip-version-check", "--no-deps", "--requirement"];
    run_logged("pip install", Command::new(&pip).args(arguments).arg(requirements), log)?;
    run_logged("pip check", Command::new(&pip).arg("check"), log)
}

fn check_python() -> Result<()> {
    let found =
        Command::new("python3").args(["-c", NEEDED]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        bail!("python3 is missing, too old or incomplete: install Python 3.10 or newer with venv {DEBIAN}");
    }
    Ok(())
}

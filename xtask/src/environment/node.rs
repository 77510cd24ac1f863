//! The Node folder: the TypeScript SDKs, the Inspector, the reference servers, and a Node 22 for what needs it.
//! Any npm will do to install it; what runs afterwards is the Node of the folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Part, lock, locks};
use crate::process::{run_logged, version};

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

/// Returns the one part.
pub(super) fn part() -> Result<Part> {
    let wanted = format!("{}\n{}", lock(MANIFEST)?, lock(LOCK)?);
    Ok(Part { name: "node", wanted, recipe: Box::new(install) })
}

fn install(place: &Path, log: &Path) -> Result<()> {
    version("npm").context("npm is missing: install Node.js with npm (Debian: `apt-get install npm`)")?;
    for file in [MANIFEST, LOCK] {
        fs::copy(locks().join(file), place.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let arguments = ["ci", "--no-audit", "--no-fund", "--no-update-notifier"];
    run_logged("npm ci", Command::new("npm").args(arguments).current_dir(place), log)?;
    run_logged("node", Command::new(place.join("node_modules/.bin/node")).arg("--version"), log)
}

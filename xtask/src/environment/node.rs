//! The Node folders, each with a Node 22 for what needs it: one with the TypeScript SDKs, the Inspector and the reference
//! servers, one with the conformance suite. Any npm will do to install them; what runs afterwards is the folder's Node.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Part, lock, locks};
use crate::process::{run_logged, version};

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

/// Each folder and where its manifest and lock are, below the folder with the locks.
const FOLDERS: &[(&str, &str)] = &[("node", ""), (super::CONFORMANCE, "conformance")];

/// Returns one part per folder.
pub(super) fn parts() -> Result<Vec<Part>> {
    FOLDERS.iter().map(|(name, source)| part(name, source)).collect()
}

fn part(name: &'static str, source: &'static str) -> Result<Part> {
    let read = |file: &str| lock(Path::new(source).join(file));
    let wanted = format!("{}\n{}", read(MANIFEST)?, read(LOCK)?);
    Ok(Part { name, wanted, recipe: Box::new(move |place, log| install(source, place, log)) })
}

fn install(source: &str, place: &Path, log: &Path) -> Result<()> {
    version("npm").context("npm is missing: install Node.js with npm (Debian: `apt-get install npm`)")?;
    for file in [MANIFEST, LOCK] {
        fs::copy(locks().join(source).join(file), place.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    let arguments = ["ci", "--no-audit", "--no-fund", "--no-update-notifier"];
    run_logged("npm ci", Command::new("npm").args(arguments).current_dir(place), log)?;
    run_logged("node", Command::new(place.join("node_modules/.bin/node")).arg("--version"), log)
}

//! `cargo xtask tidy`: the rules of ARCHITECTURE.md and STYLE.md that a compiler cannot check.
//! It reports every fault at once and changes nothing. The rules: `layers`, `tidy/sources`, `tidy/hosts`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{layers, workspace};

mod hosts;
mod sources;

/// Checks all rules; fails when one is broken.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let mut faults = layers::faults(&workspace::packages()?);
    let files = files(&root)?;
    for file in &files {
        let Some(text) = text_of(&root.join(file))? else { continue };
        faults.extend(sources::faults(file, &text));
        faults.extend(hosts::faults(file, &text));
    }
    if faults.is_empty() {
        println!("tidy: {} files, nothing to complain of", files.len());
        return Ok(());
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    bail!("{} broken rules", faults.len());
}

/// Returns the files git tracks or would track, relative to the workspace.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run `git ls-files`")?;
    ensure!(output.status.success(), "`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let files = names.split_terminator('\0').map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

/// Returns a file's text, or nothing for what is not text.
fn text_of(path: &Path) -> Result<Option<String>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}

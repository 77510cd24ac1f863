//! `cargo xtask image`: the content of the container image without a container engine. Builds the static binary as the
//! Dockerfile does and has the container tests run it with the image's folders as its root.
//! What the image is made of stands in the Dockerfile; what is tested, in `crates/toolgate/tests/container.rs`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::{cargo, run};
use crate::workspace;

/// How to build.
#[derive(Args)]
pub(crate) struct Request {
    /// The profile of the static binary; `dev` is built in a fraction of the time
    #[arg(long, default_value = "release", value_parser = ["release", "dev"])]
    profile: String,
}

/// Builds the static binary and tests it as the image's content.
pub(crate) fn build(request: &Request) -> Result<()> {
    let host = host()?;
    // A folder of its own: other flags would have cargo build everything anew at each change between the two.
    let folder = target_folder().join("image");
    run(
        "building the static binary",
        cargo()
            .args(["build", "--locked", "--package", "toolgate", "--profile", &request.profile])
            .args(["--target", &host, "--target-dir"])
            .arg(&folder)
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .current_dir(workspace::root()),
    )?;
    let profile_folder = if request.profile == "dev" { "debug" } else { &request.profile };
    let binary = folder.join(host).join(profile_folder).join("toolgate");
    run(
        "the container tests",
        cargo()
            .args(["test", "--locked", "--package", "toolgate", "--test", "container"])
            .env("TOOLGATE_IMAGE_BINARY", &binary)
            .current_dir(workspace::root()),
    )?;
    println!("the static binary: {}", binary.display());
    Ok(())
}

/// Returns the platform that the compiler runs on, for example `x86_64-unknown-linux-gnu`.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    ensure!(output.status.success(), "`rustc -vV` failed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace::root().join("target"), PathBuf::from)
}

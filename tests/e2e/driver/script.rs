//! Clients that are scripts in `tests/clients`: the Python and TypeScript SDKs and fastmcp.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Driver, Era, LIMIT, Target};
use crate::environment;
use crate::plan::Plan;
use crate::process::run as run_to_end;

/// Runs the client's script and returns what it printed.
#[track_caller]
pub(super) fn run(driver: Driver, era: Era, target: &Target, folder: &Path, plan: &Plan) -> Value {
    let (interpreter, script) = program(driver);
    let steps = serde_json::to_string(plan.steps()).expect("a plan is JSON");
    let mut command = Command::new(interpreter);
    command.arg(environment::own_file(script)).args(["--mode", mode(era), "--plan", &steps]);
    match target {
        Target::Url(url) => command.args(["--url", url]),
        Target::Stdio(words) => command.arg("--stdio").args(words),
    };
    command.env("TOOLGATE_TEST_ENV", environment::home()).current_dir(folder);
    let ended = run_to_end(&mut command, LIMIT);
    let report: Option<Value> = serde_json::from_str(&ended.stdout).ok().filter(|_| ended.status.success());
    let mut report = report.unwrap_or_else(|| panic!("{driver:?} failed: {ended}"));
    report["stderr"] = Value::String(ended.stderr);
    report
}

fn program(driver: Driver) -> (PathBuf, &'static str) {
    match driver {
        Driver::PythonSdk1 => (environment::python("sdk1"), "clients/sdk1_client.py"),
        Driver::PythonSdk2 => (environment::python("sdk2"), "clients/sdk2_client.py"),
        Driver::Fastmcp3 => (environment::python("sdk1"), "clients/fastmcp_client.py"),
        Driver::Fastmcp4 => (environment::python("sdk2"), "clients/fastmcp_client.py"),
        Driver::TypescriptSdk1 => (environment::node(), "clients/sdk1_client.mjs"),
        Driver::TypescriptSdk2 => (environment::node(), "clients/sdk2_client.mjs"),
        Driver::Inspector | Driver::Rmcp => panic!("{driver:?} is no script"),
    }
}

fn mode(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Auto => "auto",
        Era::Modern => "2026-07-28",
    }
}

//! Real upstreams of the real table: children, a server inside the process, and all that may go wrong with them.
//! This binary plays every part: launcher and watchdog (through `child_main`), the servers, and the gateway.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected comes back")]

#[path = "upstreams/bad_output.rs"]
mod bad_output;
#[path = "upstreams/builtin.rs"]
mod builtin;
#[path = "upstreams/calls.rs"]
mod calls;
#[path = "upstreams/changed.rs"]
mod changed;
#[path = "upstreams/eras.rs"]
mod eras;
#[path = "upstreams/http.rs"]
mod http;
#[path = "upstreams/lives.rs"]
mod lives;
#[path = "upstreams/stage.rs"]
mod stage;
#[path = "upstreams/stub.rs"]
mod stub;
#[path = "upstreams/watching.rs"]
mod watching;

use std::{env::args_os, process::ExitCode};

use libtest_mimic::{Arguments, Trial, run};

fn main() -> ExitCode {
    if let Some(code) = upstream::child::child_main(args_os()) {
        return code;
    }
    if let Some(code) = stub::play(args_os()) {
        return code;
    }
    let tests = [
        bad_output::TESTS,
        builtin::TESTS,
        calls::TESTS,
        changed::TESTS,
        eras::TESTS,
        http::TESTS,
        lives::TESTS,
        watching::TESTS,
    ]
    .concat();
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    run(&Arguments::from_args(), trials.collect()).exit_code()
}

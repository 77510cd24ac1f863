//! Real child processes of the real launcher. This binary plays every part: it is the launcher and the watchdog
//! (through `child_main`), the gateway that is killed, and the children; so it has a `main` of its own.

#![expect(
    clippy::unwrap_used,
    reason = "all of this is tests; only the lint does not see it without the usual harness"
)]

#[path = "child/ends.rs"]
mod ends;
#[path = "child/failures.rs"]
mod failures;
#[path = "child/lifeline.rs"]
mod lifeline;
#[path = "child/orphans.rs"]
mod orphans;
#[path = "child/parts.rs"]
mod parts;
#[path = "child/stage.rs"]
mod stage;
#[path = "child/stderr.rs"]
mod stderr;
#[path = "child/surroundings.rs"]
mod surroundings;

use std::{env::args_os, process::ExitCode};

use libtest_mimic::{Arguments, Trial, run};

fn main() -> ExitCode {
    if let Some(code) = upstream::child::child_main(args_os()) {
        return code;
    }
    if let Some(code) = parts::play(args_os()) {
        return code;
    }
    let tests = [ends::TESTS, failures::TESTS, orphans::TESTS, stderr::TESTS, surroundings::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    run(&Arguments::from_args(), trials.collect()).exit_code()
}

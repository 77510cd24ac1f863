//! The program. Everything it does is in the library; here only what a process needs before anything else.

use std::process::ExitCode;

use toolgate::{cli, telemetry};

/// No sampling profiler inside, and quick with many small allocations of many sizes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Our own executable also plays the launcher and the watchdog of children; those roles come before everything.
    if let Some(code) = upstream::child::child_main(std::env::args_os()) {
        return code;
    }
    telemetry::start_logging();
    cli::run(cli::parse())
}

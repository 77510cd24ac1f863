//! A closed-loop load generator for MCP endpoints. See `bench::load`.

use std::process::ExitCode;

use clap::Parser;

/// Calls one tool in a closed loop and reports latency, rate, and the CPU of processes per call
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  load --url http://127.0.0.1:4711/mcp --connections 16 --pretty\n  load --url http://127.0.0.1:8787/mcp --era modern --tool stub__bytes --size 1048576 --pid 4242"
)]
struct Cli {
    #[command(flatten)]
    load: bench::load::LoadArgs,
}

fn main() -> ExitCode {
    match bench::load::run(&Cli::parse().load) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

//! The scenario runner. See `bench::scenario`. The other parts are inside, so that one build is enough.

use std::process::ExitCode;

use bench::{load::LoadArgs, pass::PassArgs, scenario::RunArgs, stub::StubArgs};
use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  The stub, nginx (if on the path) and the bare hop, both eras, five loads (about eight minutes):
    cargo run --release -p bench --bin run
  The same with a gateway, samples and medians kept:
    cargo run --release -p bench --bin run -- --gateway target/release/toolgate --output bench.json
  One figure, quickly: CPU of an echo at 16 connections, against the bare hop:
    cargo run --release -p bench --bin run -- --gateway target/release/toolgate --only echo16 --era legacy --pass multi --seconds 2

The gateway is started as `PATH serve --config FILE --listen 127.0.0.1:0`, once with the stub behind HTTP and once
with the stub as its child (`gateway stdio`), and must print its endpoint (http://127.0.0.1:PORT/mcp) in a line on
stdout or stderr. Everything that was started is ended at the end, also after Ctrl-C.
What each figure means: bench/README.md.";

/// Measures hops in front of one stub in turn and prints their medians
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<PartCommand>,
    #[command(flatten)]
    run: RunArgs,
}

/// The parts that the runner starts from its own executable.
#[derive(Debug, Subcommand)]
enum PartCommand {
    /// The stub upstream
    #[command(hide = true)]
    Stub(StubArgs),
    /// The bare hop
    #[command(hide = true)]
    Pass(PassArgs),
    /// The load generator
    #[command(hide = true)]
    Load(LoadArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.part {
        Some(PartCommand::Stub(args)) => bench::stub::run(&args).map_err(|error| error.to_string()),
        Some(PartCommand::Pass(args)) => bench::pass::run(args).map_err(|error| error.to_string()),
        Some(PartCommand::Load(args)) => bench::load::run(&args).map_err(|error| error.to_string()),
        None => bench::scenario::run(&cli.run).map_err(|error| error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

//! The project's own commands: `cargo xtask tidy`, `setup`, `test`, `conformance` and `image`.
//! Each command is a module; this file only reads the command line.
//! Nothing here is part of the gateway, and no crate of the gateway may depend on it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod conformance;
mod environment;
mod image;
mod layers;
mod process;
mod suite;
mod tidy;
mod workspace;

const EXAMPLES: &str = "Examples:
  cargo xtask tidy              check layers, file headers, names and sizes
  cargo xtask setup             prepare .test-env (Python, Node, cargo tools); instant if nothing changed
  cargo xtask test              prepare, build the gateway, run every test
  cargo xtask test clients::    run only the tests with this in their name
  cargo xtask test -- --test e2e
                                run one test binary: what follows `--` is for nextest
  cargo xtask test --no-setup   run with .test-env as it is
  cargo xtask conformance       run the official conformance suite with and without the gateway
  cargo xtask conformance --rig client-2025-11-25
                                one rig of it; --only server or --only client runs a side
  cargo xtask image             build the static binary of the container image and test it as the image's content
  cargo xtask image --profile dev
                                the same in less time";

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Commands for work on Toolgate itself", after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the rules of ARCHITECTURE.md and STYLE.md that a compiler cannot
    Tidy,
    /// Prepare what the end-to-end tests need, under .test-env
    Setup,
    /// Prepare, build the gateway, run every test
    Test(suite::Request),
    /// Prepare, build, run the official conformance suite with and without the gateway
    Conformance(conformance::Request),
    /// Build the static binary of the container image, and test the image's content
    Image(image::Request),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Tidy => tidy::run(),
        Command::Setup => environment::prepare(),
        Command::Test(request) => suite::run_tests(&request),
        Command::Conformance(request) => conformance::run_suite(&request),
        Command::Image(request) => image::build(&request),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

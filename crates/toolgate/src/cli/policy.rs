//! `toolgate policy`: what the rules say, before it matters. `test` asks about one call or many, `explain` about an
//! agent. The rules are those that `serve` would use; how they are judged is the crate `policy`'s.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::{CliError, options::Peer};

mod batch;
mod explain;
mod setting;
mod test;

/// No decision: scripts must not take a broken file for a denial.
const EXIT_NO_ANSWER: u8 = 3;

/// Options of `policy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate policy test --agent backend --server postgres --tool query
  toolgate policy explain --agent backend")]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether an agent may use a server or a tool, and which rule decides
    #[command(after_help = "\
Examples:
  toolgate policy test --agent backend --server postgres --tool query
  toolgate policy test --server postgres                 A caller that names no agent
  toolgate policy test --batch expected.jsonl -o json

Nothing need exist: neither the agent, nor the server, nor the tool.

Each line of a batch is an object with `agent`, `server` and perhaps `tool`; with `expect`, \"allow\" or \"deny\", the
decision is compared.

Exit codes: 0 allowed (a batch: as expected), 1 denied (a batch: not as expected), 2 wrong usage,
3 no answer: the configuration, the rules or a line of the batch cannot be used.")]
    Test(test::Options),
    /// Say what an agent may use, server by server, and by which rules
    #[command(after_help = "\
Examples:
  toolgate policy explain --agent backend
  toolgate policy explain --agent backend --server postgres -o json")]
    Explain(explain::Options),
}

/// Where the rules are.
#[derive(Debug, Clone, Args)]
struct Where {
    /// Configuration [default: as `serve` finds it]
    #[arg(long, value_name = "FILE", env = "TOOLGATE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Rules of agent-mcp-gateway [default: as `serve` finds them]
    #[arg(long, value_name = "FILE", env = "TOOLGATE_RULES", hide_env_values = true)]
    rules: Option<PathBuf>,
    /// Read rules as another gateway does, holes included
    #[arg(long, value_name = "GATEWAY", env = "TOOLGATE_COMPAT", hide_env_values = true)]
    compat: Option<Peer>,
    #[command(flatten)]
    state: super::StateOptions,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    match &options.command {
        Command::Test(options) => or_no_answer(test::run(options)),
        Command::Explain(options) => explain::run(options),
    }
}

/// Tells of what fails under an exit code of its own.
fn or_no_answer(answered: Result<ExitCode, CliError>) -> Result<ExitCode, CliError> {
    match answered {
        // Nobody reads the answer any more.
        Err(error @ CliError::Output(_)) => Err(error),
        Err(error) => {
            error.report();
            Ok(ExitCode::from(EXIT_NO_ANSWER))
        }
        Ok(code) => Ok(code),
    }
}

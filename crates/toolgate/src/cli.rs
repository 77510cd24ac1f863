//! The command line: what can be typed, and which file answers it. Each command has a file in `cli/`.
//! Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 done but not everything is usable
//! (`validate`, `import`, `init`), or no answer (`policy test`, where 1 is a denial).

use std::{fs::File, os::fd::AsFd as _, os::unix::fs::FileTypeExt as _, process::ExitCode};

use clap::{Parser, Subcommand};

mod audit;
mod completions;
mod demo;
mod error;
mod health;
mod import;
mod init;
mod install;
mod lifetime;
mod logs;
mod options;
mod output;
mod policy;
mod schema;
mod serve;
mod status;
mod stdio;
mod token;
mod tools;
mod typed;
mod uninstall;
mod validate;

use crate::peer_variables::PeerTransport;

pub use error::CliError;
pub use options::{GatewayOptions, ServeOptions, StateOptions};
pub use typed::parse;

const EXAMPLES: &str = "\
Examples:
  toolgate                      Serve the servers of ./toolgate.yaml or ./.mcp.json
  toolgate serve --stdio        Serve HTTP clients, and the program that launched us
  toolgate init                 Find the servers of your clients, and write a configuration
  toolgate validate             Check the configuration without starting anything
  toolgate token create --agent reviewer --server github
  toolgate audit tail -f

Without a command: `stdio` if standard input is a pipe or a socket, else `serve`.";

/// A gateway between agents and MCP servers: one endpoint, checked calls, an audit trail.
#[derive(Debug, Parser)]
#[command(name = "toolgate", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Options of the command that is meant when none is named.
    #[command(flatten)]
    pub gateway: GatewayOptions,
    /// Write agent-mcp-gateway's two files into ~/.config/agent-mcp-gateway, as its own --init does
    #[arg(long)]
    pub init: bool,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve clients over HTTP
    #[command(after_help = "\
Examples:
  toolgate serve
  toolgate serve --config ./toolgate.yaml
  toolgate serve --listen 127.0.0.1:9000 --ops-listen 127.0.0.1:9001      (beside another gateway)
  toolgate serve --listen 0.0.0.0:8787        (asks every caller for a token)")]
    Serve(ServeOptions),
    /// Serve the program that launched us, on standard input and output
    #[command(after_help = "\
Examples:
  toolgate stdio
  toolgate stdio --agent researcher --config ~/project/.mcp.json

In a client's file:
  {\"mcpServers\": {\"toolgate\": {\"command\": \"toolgate\", \"args\": [\"stdio\"]}}}")]
    Stdio(GatewayOptions),
    /// Create, list and revoke access tokens
    Token(token::Options),
    /// List tools, and find them by what they are for
    Tools(tools::Options),
    /// Check or follow the audit trail
    Audit(audit::Options),
    /// Show which calls were made, and what became of them
    Logs(logs::Options),
    /// Show the servers of a running gateway
    #[command(after_help = "\
Examples:
  toolgate status
  toolgate status --ops-listen 127.0.0.1:9001 -o json")]
    Status(status::Options),
    /// Print the JSON Schema of toolgate.yaml
    #[command(after_help = "\
Examples:
  toolgate schema > toolgate.schema.json

In toolgate.yaml, for editors:
  # yaml-language-server: $schema=./toolgate.schema.json")]
    Schema,
    /// Check a configuration, and try its servers if asked to
    #[command(after_help = "\
Examples:
  toolgate validate
  toolgate validate .mcp.json -o json
  toolgate validate --connect --timeout 20     starts every server, and ends it again

Exit codes: 0 everything is usable, 1 the file is refused, 3 the file is good and a server of it is not.")]
    Validate(validate::Options),
    /// Put the gateway into an MCP client's file
    Install(install::Options),
    /// Take the gateway out of an MCP client's file
    Uninstall(uninstall::Options),
    /// Ask the rules who may use what
    Policy(policy::Options),
    /// Find the servers of your clients, ask who may use which, and write a configuration
    Init(init::Options),
    /// Write toolgate.yaml from the files of MCP clients and of agent-mcp-gateway
    Import(import::Options),
    /// Ask whether a gateway answers, for health checks
    #[command(after_help = "\
Examples:
  toolgate health
  toolgate health --listen 127.0.0.1:9000

Exit codes: 0 it answers, 1 it does not.")]
    Health(health::Options),
    /// Print the completions of commands and options for a shell
    Completions(completions::Options),
    /// Make one call per outcome against the built-in server, and show what audit says
    #[command(after_help = "\
Example:
  toolgate demo")]
    Demo,
}

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        None if cli.init => init::run_like_peer(),
        None if is_meant_for_stdio() => stdio::run(&cli.gateway),
        None => serve::run(&ServeOptions { gateway: cli.gateway, stdio: false }),
        Some(Command::Serve(options)) => serve::run(&options),
        Some(Command::Stdio(options)) => stdio::run(&options),
        Some(Command::Token(options)) => token::run(options),
        Some(Command::Tools(options)) => tools::run(&options),
        Some(Command::Audit(options)) => audit::run(options),
        Some(Command::Logs(options)) => logs::run(options),
        Some(Command::Status(options)) => status::run(&options),
        Some(Command::Schema) => schema::run(),
        Some(Command::Validate(options)) => validate::run(&options),
        Some(Command::Install(options)) => install::run(&options),
        Some(Command::Uninstall(options)) => uninstall::run(&options),
        Some(Command::Policy(options)) => policy::run(&options),
        Some(Command::Init(options)) => init::run(&options),
        Some(Command::Import(options)) => import::run(&options),
        Some(Command::Health(options)) => health::run(&options),
        Some(Command::Completions(options)) => completions::run(&options),
        Some(Command::Demo) => demo::run(),
    };
    done.unwrap_or_else(|error| error.report())
}

/// Tells what the bare command means: what agent-mcp-gateway's variable says, else whether a client launched us.
fn is_meant_for_stdio() -> bool {
    match options::transport_of_peer() {
        Some(PeerTransport::Stdio) => true,
        Some(PeerTransport::Http) => false,
        None => launched_by_client(),
    }
}

/// Tells whether standard input is a pipe or a socket, as it is when an MCP client starts a server.
fn launched_by_client() -> bool {
    let input = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let kind = input.and_then(|input| input.metadata()).map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let mut commands = vec![Cli::command()];
        while let Some(mut command) = commands.pop() {
            commands.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{help}");
        }
    }

    #[test]
    fn options_stand_with_or_without_a_command() {
        let cli = Cli::parse_from(["toolgate", "--config", "a.yaml", "--agent", "x"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.gateway.config.as_deref(), Some(std::path::Path::new("a.yaml")));
        let cli = Cli::parse_from(["toolgate", "serve", "--listen", "127.0.0.1:0", "--stdio"]);
        assert!(matches!(cli.command, Some(Command::Serve(ServeOptions { stdio: true, .. }))));
        assert!(Cli::try_parse_from(["toolgate", "serve", "--listen", "localhost"]).is_err());
        assert!(Cli::try_parse_from(["toolgate", "token", "create"]).is_err());
    }
}

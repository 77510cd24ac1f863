//! `toolgate completions SHELL`: the script with which a shell completes our commands and options.
//! The scripts are clap's; the commands they know are those of [`super::Cli`].

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, CliError, output};

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate completions bash > ~/.local/share/bash-completion/completions/toolgate
  toolgate completions zsh > ~/.zfunc/_toolgate      (with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc)
  toolgate completions fish > ~/.config/fish/completions/toolgate.fish
  toolgate completions elvish >> ~/.config/elvish/rc.elv
  toolgate completions powershell >> $PROFILE

A new shell knows them.")]
pub struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

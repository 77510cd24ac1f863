//! From what was typed to a command. Options are `clap`'s; what it does not say well is mended here: a value that comes
//! from the environment is blamed on its variable, and `help --help` is help.

use std::{env, ffi::OsString};

use clap::{
    Command, CommandFactory as _, Parser as _,
    error::{ContextKind, ContextValue, Error},
};

use super::Cli;

/// Reads the command line and the environment. Whatever is no command ends the program here, with help or with exit
/// code 2.
pub fn parse() -> Cli {
    let typed = without_help_of_help(env::args_os().collect());
    Cli::try_parse_from(&typed).unwrap_or_else(|error| blame(error, Cli::command(), &typed).exit())
}

/// Reads options that nobody types from the environment alone.
///
/// # Errors
/// [`Error`], which names the variable.
pub(super) fn from_environment<T: clap::Args>() -> Result<T, Error> {
    let typed = [OsString::from("toolgate")];
    let command = T::augment_args(Command::new("toolgate"));
    let matches = command.clone().try_get_matches_from(&typed);
    matches.and_then(|matches| T::from_arg_matches(&matches)).map_err(|error| blame(error, command, &typed))
}

/// `toolgate help --help` is `toolgate help`.
fn without_help_of_help(typed: Vec<OsString>) -> Vec<OsString> {
    let asks_for_help = typed.get(1).is_some_and(|command| command == "help");
    let is_help = |word: &OsString| word == "--help" || word == "-h";
    typed.into_iter().filter(|word| !asks_for_help || !is_help(word)).collect()
}

/// Names the variable in place of the option, where the value was not typed.
fn blame(mut error: Error, mut command: Command, typed: &[OsString]) -> Error {
    command.build();
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && let Some(variable) = variable_of(&command, option, typed)
    {
        let named = format!("{variable} of the environment");
        error.insert(ContextKind::InvalidArg, ContextValue::String(named));
    }
    error
}

/// Returns the variable that stands for the option, as `clap` shows it, if the option itself was not typed.
fn variable_of(command: &Command, option: &str, typed: &[OsString]) -> Option<String> {
    let own = command.get_arguments().find(|argument| argument.to_string() == option);
    let Some(argument) = own else {
        return command.get_subcommands().find_map(|command| variable_of(command, option, typed));
    };
    let long = format!("--{}", argument.get_long()?);
    let is_typed = |word: &OsString| {
        let word = word.to_string_lossy();
        word.strip_prefix(&long).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let variable = argument.get_env().filter(|_| !typed.iter().any(is_typed))?;
    Some(variable.to_string_lossy().into_owned())
}

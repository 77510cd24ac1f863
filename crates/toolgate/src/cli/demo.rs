//! `toolgate demo`.

use std::process::ExitCode;

use super::CliError;

pub(super) fn run() -> Result<ExitCode, CliError> {
    Err(CliError::Gateway("`demo` is not wired yet".to_owned()))
}

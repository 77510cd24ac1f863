//! `toolgate schema`: prints the JSON Schema of `toolgate.yaml`.

use std::process::ExitCode;

use super::{CliError, output};
use crate::config;

pub(super) fn run() -> Result<ExitCode, CliError> {
    output::print_json(&config::schema())?;
    Ok(ExitCode::SUCCESS)
}

//! `toolgate stdio`: what an MCP client launches.

use std::process::ExitCode;

use super::{CliError, GatewayOptions, serve};
use crate::service::Doors;

pub(super) fn run(options: &GatewayOptions) -> Result<ExitCode, CliError> {
    serve::start(options, Doors::Stdio)
}

//! `toolgate serve`: the HTTP door, and the stdio door beside it if wanted.

use std::process::ExitCode;

use tokio::runtime::Builder;

use super::{CliError, GatewayOptions, ServeOptions, output};
use crate::{
    config::{Loaded, Source},
    service::{self, Doors},
};

pub(super) fn run(options: &ServeOptions) -> Result<ExitCode, CliError> {
    let doors = if options.stdio { Doors::Both } else { Doors::Http };
    start(&options.gateway, doors)
}

/// Loads the configuration, says what is odd about it, and runs the gateway.
pub(super) fn start(options: &GatewayOptions, doors: Doors) -> Result<ExitCode, CliError> {
    let origin = options.origin()?;
    let loaded = origin.load()?;
    report(&loaded);
    // Listeners, children and the publisher share this thread; HTTP clients have worker threads of their own.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Gateway(error.to_string()))?;
    let ended = runtime.block_on(service::run(loaded, doors, origin));
    // A read of standard input cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    ended.map_err(|error| CliError::Gateway(error.to_string()))
}

/// Says on stderr what is odd about the configuration. None of it stops the gateway.
fn report(loaded: &Loaded) {
    output::warn_of_faults(loaded);
    // The lines at the start list the warnings of adopted files.
    if !matches!(loaded.source, Source::Adopted(_)) {
        output::warn(loaded);
    }
    let has_servers_of_its_own = matches!(loaded.source, Source::Adopted(_));
    if has_servers_of_its_own && loaded.config.policy.rules().is_none() && loaded.config.tokens.is_empty() {
        eprintln!("There is no policy: callers on this machine may use every tool of every server.\n");
    }
}

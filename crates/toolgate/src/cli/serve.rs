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
    report(&loaded, doors);
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
fn report(loaded: &Loaded, doors: Doors) {
    output::warn_of_faults(loaded);
    match loaded.source {
        // The lines at the start list their warnings, and whether there are rules.
        Source::Adopted(_) => {}
        Source::Own(_) => {
            output::warn(loaded);
            // With an HTTP door, what is announced with it says so.
            if doors == Doors::Stdio && loaded.config.policy.rules().is_none() {
                eprintln!(
                    "There is no policy: callers on this machine may use every tool of every server.\n"
                );
            }
        }
        Source::Builtin => output::warn(loaded),
    }
}

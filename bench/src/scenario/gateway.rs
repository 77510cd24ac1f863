//! The gateway under test: a generated configuration with the stub as its one server, state in a folder of its own.

use std::{fs, path::Path};

use tokio::process::Command;

use crate::{
    era::Era,
    scenario::{RunArgs, RunError, parts::Serving},
};

/// How the gateway reaches the stub.
#[derive(Debug, Clone, Copy)]
pub(super) enum Upstream<'a> {
    /// At this endpoint.
    Http(&'a str),
    /// As a child that speaks this era.
    Stdio(Era),
}

/// Starts `program` as `name`, with its files in `folder`.
pub(super) async fn start(
    name: &str,
    args: &RunArgs,
    program: &Path,
    upstream: Upstream<'_>,
    folder: &Path,
) -> Result<Serving, RunError> {
    fs::create_dir_all(folder)?;
    let config = folder.join("toolgate.yaml");
    let more = args.gateway_config.as_ref().map(fs::read_to_string).transpose()?.unwrap_or_default();
    fs::write(&config, format!("{}{more}", configuration(upstream)?))?;
    let program =
        fs::canonicalize(program).map_err(|source| RunError::Start { part: name.to_owned(), source })?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(&config).args(["--listen", "127.0.0.1:0"]);
    command.current_dir(folder).env("XDG_STATE_HOME", folder.join("state"));
    let endpoint = match upstream {
        Upstream::Http(endpoint) => Some(endpoint),
        Upstream::Stdio(_) => None,
    };
    Serving::start(name, &mut command, endpoint).await
}

/// Strings are written as JSON, which YAML reads.
fn configuration(upstream: Upstream<'_>) -> Result<String, RunError> {
    let server = match upstream {
        Upstream::Http(endpoint) => format!("    url: {}\n", quoted(endpoint)),
        Upstream::Stdio(era) => {
            let program = std::env::current_exe()?;
            let program = quoted(&program.to_string_lossy());
            format!("    command: {program}\n    args: [stub, stdio, --era, {}]\n", era.name())
        }
    };
    Ok(format!("version: 1\nlisten:\n  operations: \"127.0.0.1:0\"\nservers:\n  stub:\n{server}"))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

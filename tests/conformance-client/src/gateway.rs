//! A gateway of this client's own: started in an empty folder with the suite's server as its one upstream, and ended
//! with SIGTERM. What it says goes to standard error, which the suite keeps.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// The upstream's name, and so the last part of the endpoint's path.
const SERVER: &str = "fixture";
/// Where the system chooses the port.
const ANY_PORT: &str = "127.0.0.1:0";
/// From the start of the process to the line with its address, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(10);
/// From SIGTERM to SIGKILL.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// A gateway that listens.
pub(crate) struct Gateway {
    child: Child,
    endpoint: String,
    _folder: TempDir,
}

// === impl Gateway ===

impl Gateway {
    /// Starts the gateway before the server at `url` and waits until it has told its address.
    pub(crate) async fn start(binary: &OsStr, url: &str) -> Result<Self> {
        let folder = TempDir::new().context("cannot make a folder")?;
        let config = folder.path().join("toolgate.yaml");
        let servers = serde_json::json!({ "version": 1, "servers": { SERVER: { "url": url } } });
        tokio::fs::write(&config, servers.to_string()).await.context("cannot write the configuration")?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", ANY_PORT, "--ops-listen", ANY_PORT]);
        command.arg("--config").arg(&config).arg("--state-dir").arg(folder.path().join("state"));
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start the gateway")?;
        let stderr = child.stderr.take().context("the gateway has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let address = timeout(START_LIMIT, address(&mut lines)).await;
        let address = address.context("the gateway told no address in time")??;
        tokio::spawn(pass_on(lines));
        Ok(Self { child, endpoint: format!("{address}/{SERVER}"), _folder: folder })
    }

    /// Returns the URL of the one server, under its own names.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Ends the gateway and waits for it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.context("the gateway has ended before its time")?;
        kill_process(pid, Signal::TERM).context("cannot end the gateway")?;
        match timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => status.map(|_| ()).context("cannot wait for the gateway"),
            Err(_) => {
                eprintln!("the gateway did not end within {STOP_LIMIT:?} of SIGTERM");
                self.child.kill().await.context("cannot end the gateway")
            }
        }
    }
}

async fn address(lines: &mut Lines<BufReader<ChildStderr>>) -> Result<String> {
    while let Some(line) = lines.next_line().await.context("the gateway's standard error broke")? {
        eprintln!("{line}");
        if let Some(address) = address_in(&line) {
            return Ok(address.to_owned());
        }
    }
    bail!("the gateway ended before it told its address")
}

fn address_in(line: &str) -> Option<&str> {
    let line = &line[line.find("http://127.0.0.1:")?..];
    Some(&line[..line.find("/mcp")? + "/mcp".len()])
}

async fn pass_on(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_within_a_line() {
        assert_eq!(address_in("  at http://127.0.0.1:80/mcp, all"), Some("http://127.0.0.1:80/mcp"));
        assert_eq!(address_in("status at http://127.0.0.1:80/"), None);
    }
}

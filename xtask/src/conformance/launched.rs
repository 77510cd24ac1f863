//! A server that a rig has started: the fixture, or the gateway before it. It tells its address in a line of its output
//! and is ended with SIGTERM when it is dropped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use super::limited;

/// From the start to the line with the address, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);
/// From SIGTERM to SIGKILL.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Where the system chooses the port.
const ANY_PORT: &str = "127.0.0.1:0";
/// The fixture's name in the gateway's configuration, and so the last part of the endpoint's path.
const SERVER: &str = "fixture";

/// A server that listens.
pub(crate) struct Launched {
    child: Child,
    url: String,
}

/// Starts the fixture; it speaks one era.
pub(crate) fn fixture(binary: &Path, era: &str, folder: &Path) -> Result<Launched> {
    let mut command = Command::new(binary);
    // Its input stays open as long as we live: the fixture does not outlive us, however we end.
    command.args(["--era", era, "--port", "0", "--until-stdin-closes"]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(log(folder, "fixture-stderr.log")?);
    let log = log(folder, "fixture.log")?;
    let mut child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
    let output = child.stdout.take().expect("standard output is piped");
    Launched::listening(child, output, log)
}

/// Starts the gateway before the server at `url`; the endpoint is that of this one server.
pub(crate) fn gateway(binary: &Path, url: &str, folder: &Path) -> Result<Launched> {
    let config = folder.join("toolgate.yaml");
    let servers = serde_json::json!({ "version": 1, "servers": { SERVER: { "url": url } } });
    fs::write(&config, servers.to_string()).with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = Command::new(binary);
    command.args(["serve", "--listen", ANY_PORT, "--ops-listen", ANY_PORT]);
    command.arg("--config").arg(&config).arg("--state-dir").arg(folder.join("state")).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let log = log(folder, "gateway.log")?;
    let mut child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
    let output = child.stderr.take().expect("standard error is piped");
    let mut gateway = Launched::listening(child, output, log)?;
    gateway.url = format!("{}/{SERVER}", gateway.url);
    Ok(gateway)
}

fn log(folder: &Path, name: &str) -> Result<File> {
    let path = folder.join(name);
    File::create(&path).with_context(|| format!("cannot write {}", path.display()))
}

// === impl Launched ===

impl Launched {
    /// Returns the URL of the endpoint.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits for the address in the output, which is kept in the log until its end.
    fn listening(child: Child, output: impl Read + Send + 'static, log: File) -> Result<Self> {
        let (told, address) = channel();
        thread::spawn(move || keep(output, log, &told));
        let mut launched = Self { child, url: String::new() };
        launched.url = first_address(&address)?;
        Ok(launched)
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if let Ok(None) | Err(_) = limited::wait(&mut self.child, STOP_LIMIT) {
            eprintln!("conformance: the server at {} did not end within {STOP_LIMIT:?}", self.url);
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}

fn first_address(lines: &Receiver<String>) -> Result<String> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let line = line.map_err(|error| anyhow!("a server told no address: {error}"))?;
        if let Some(address) = address_in(&line) {
            return Ok(address.to_owned());
        }
    }
}

fn address_in(line: &str) -> Option<&str> {
    let line = &line[line.find("http://127.0.0.1:")?..];
    Some(&line[..line.find("/mcp")? + "/mcp".len()])
}

fn keep(output: impl Read, mut log: File, lines: &Sender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        _ = writeln!(log, "{line}");
        // Nobody listens any more once the address is known.
        _ = lines.send(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_within_a_line() {
        assert_eq!(address_in("listening on http://127.0.0.1:8/mcp"), Some("http://127.0.0.1:8/mcp"));
        assert_eq!(address_in("operations on http://127.0.0.1:9/"), None);
    }
}

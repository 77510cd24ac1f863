//! `toolgate status`: asks a running gateway through its operations port and shows its servers.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    CliError, GatewayOptions,
    output::{self, Format},
};
use crate::config::Wanted;

/// A gateway on this machine answers within a moment, or not at all.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer; a thousand servers need less than one.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// Lines of a child's standard error that are shown for a server that is not ready.
const SHOWN_STDERR_LINES: usize = 5;

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Options {
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    gateway: GatewayOptions,
}

/// What the operations port tells. Members that this version does not know are left aside.
#[derive(Debug, Deserialize)]
struct Status {
    version: String,
    revision: u64,
    sessions: u64,
    servers: Vec<Server>,
    #[serde(default)]
    reload: Option<Reload>,
}

/// What became of the last reload of each part.
#[derive(Debug, Deserialize)]
struct Reload {
    mcp_config: Reloaded,
    gateway_rules: Reloaded,
}

#[derive(Debug, Deserialize)]
struct Reloaded {
    last_attempt: Option<String>,
    last_error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Server {
    name: String,
    /// A server that is not started has none.
    transport: Option<String>,
    state: String,
    reason: Option<String>,
    era: Option<String>,
    tools: Option<u64>,
    in_flight: Option<u64>,
    restarts: Option<u64>,
    #[serde(default)]
    stderr: Vec<String>,
    #[serde(default)]
    findings: Vec<String>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let address = match options.gateway.ops_listen {
        Some(address) => address,
        None => options.gateway.whereabouts(Wanted::Operations)?.operations,
    };
    let no_gateway = |reason: String| CliError::NoGateway { address, reason };
    let body = fetch(address).map_err(|error| no_gateway(error.to_string()))?;
    match options.output {
        Format::Json => {
            let json: &RawValue = serde_json::from_str(&body).map_err(|_| no_gateway(not_ours()))?;
            output::print(json.get())?;
        }
        Format::Text => {
            let status: Status = serde_json::from_str(&body).map_err(|_| no_gateway(not_ours()))?;
            output::print(&status.text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn not_ours() -> String {
    "the answer is not a status".to_owned()
}

/// Asks for `/status` in HTTP/1.0, which has neither chunks nor a second answer on the same connection.
fn fetch(address: SocketAddr) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /status HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    body_of(&answer).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}

fn body_of(answer: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(answer).map_err(|_| not_ours())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(not_ours)?;
    let code = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    match code {
        "200" => Ok(body.to_owned()),
        _ => Err(format!("it answers with HTTP status {}", output::printable(code))),
    }
}

impl Status {
    fn text(&self) -> String {
        let heads = ["server", "state", "transport", "era", "tools", "in flight", "restarts", "reason"];
        let mut text = format!(
            "Toolgate {}, revision {}, {}",
            output::printable(&self.version),
            self.revision,
            output::counted(self.sessions, "session")
        );
        text.push_str(&self.refused_reloads());
        if self.servers.is_empty() {
            text.push_str("\nno servers");
            return text;
        }
        text.push_str("\n\n");
        text.push_str(&output::table(&heads, self.servers.iter().map(Server::row).collect()));
        for server in &self.servers {
            text.push_str(&server.remarks());
        }
        text
    }
}

impl Status {
    /// Returns a line for each part of the configuration whose last change was refused.
    fn refused_reloads(&self) -> String {
        let Some(reload) = &self.reload else { return String::new() };
        let parts = [("configuration", &reload.mcp_config), ("rules", &reload.gateway_rules)];
        let line = |(part, reloaded): (&str, &Reloaded)| {
            let (error, time) = (reloaded.last_error.as_ref()?, reloaded.last_attempt.as_deref());
            let (error, time) = (output::printable(error), output::printable(time.unwrap_or("-")));
            Some(format!("\na change of the {part} was refused ({time}): {error}"))
        };
        parts.into_iter().filter_map(line).collect()
    }
}

impl Server {
    fn row(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.name.clone(),
            self.state.clone(),
            word(&self.transport),
            word(&self.era),
            number(self.tools),
            number(self.in_flight),
            number(self.restarts),
            word(&self.reason),
        ]
    }

    /// Returns what the table has no room for: findings, and the last words of a server that is not ready.
    fn remarks(&self) -> String {
        let shown = if self.state == "ready" { 0 } else { SHOWN_STDERR_LINES };
        let said = &self.stderr[self.stderr.len().saturating_sub(shown)..];
        let lines = self.findings.iter().chain(said);
        lines
            .map(|line| format!("\n{}: {}", output::printable(&self.name), output::printable(line)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_shown_as_a_table() {
        let status: Status = serde_json::from_str(
            r#"{"version": "0.1.0", "revision": 3, "settled": true, "sessions": 2, "servers": [
                {"name": "git", "transport": "stdio", "state": "ready", "reason": null, "era": "modern", "tools": 12,
                 "in_flight": 1, "restarts": 0, "pid": 7, "stderr": ["hello"], "findings": []},
                {"name": "db", "transport": "stdio", "state": "failed", "reason": "exited with 1", "era": null,
                 "tools": 0, "in_flight": 0, "restarts": 4, "stderr": ["boom\u001b[2J"], "findings": ["two tools t"]}
            ]}"#,
        )
        .expect("known members");
        let expected = "\
Toolgate 0.1.0, revision 3, 2 sessions

SERVER  STATE   TRANSPORT  ERA     TOOLS  IN FLIGHT  RESTARTS  REASON
git     ready   stdio      modern  12     1          0         -
db      failed  stdio      -       0      0          4         exited with 1
db: two tools t
db: boom\\u{1b}[2J";
        assert_eq!(status.text(), expected);
    }

    #[test]
    fn only_a_good_answer_counts() {
        assert_eq!(body_of(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n{}"), Ok("{}".to_owned()));
        assert_eq!(
            body_of(b"HTTP/1.0 403 Forbidden\r\n\r\n"),
            Err("it answers with HTTP status 403".to_owned())
        );
        assert_eq!(body_of(b"SSH-2.0"), Err(not_ours()));
    }
}

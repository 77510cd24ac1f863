//! The real binary, started as a person or a client would start it, each time in an empty folder of its own.
//! It is ended when the test drops it: SIGTERM first, SIGKILL when it does not go.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::driver::Target;
use crate::environment::{self, word};
use crate::process::pid;

/// From the start of the process to the line with its address, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// From SIGTERM to SIGKILL: the grace for calls and for stubborn children together, on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How often the end of the process is looked for, once it has closed standard error.
const LOOK: Duration = Duration::from_millis(5);
/// Where a server lets the system choose the port.
const ANY_PORT: &str = "127.0.0.1:0";

/// An empty folder with at most a configuration in it, from which gateways are started.
pub(crate) struct Place {
    folder: TempDir,
    configured: bool,
    /// Words of the command line beside those that say where things are.
    words: Vec<String>,
}

/// A gateway that listens.
pub(crate) struct Gateway {
    child: Child,
    endpoint: String,
    said: Arc<Mutex<String>>,
    /// Closed when the gateway's standard error is.
    lines: Receiver<String>,
}

// === impl Place ===

impl Place {
    /// Makes a place without any configuration: the gateway serves its demo.
    pub(crate) fn unconfigured() -> Self {
        Self {
            folder: TempDir::new().expect("a temp folder can be made"),
            configured: false,
            words: Vec::new(),
        }
    }

    /// Makes a place with a `toolgate.yaml` for these servers.
    pub(crate) fn with_servers(servers: &Value) -> Self {
        let place = Self { configured: true, ..Self::unconfigured() };
        let config = serde_json::json!({ "version": 1, "servers": servers });
        std::fs::write(place.config(), config.to_string()).expect("the config can be written");
        place
    }

    /// Makes a place with the two files of agent-mcp-gateway, which the gateway finds by itself.
    pub(crate) fn with_adopted(servers: &Value, rules: &Value) -> Self {
        let place = Self::unconfigured();
        let mcp = serde_json::json!({ "mcpServers": servers });
        std::fs::write(place.folder().join(".mcp.json"), mcp.to_string()).expect("the file can be written");
        std::fs::write(place.folder().join(".mcp-gateway-rules.json"), rules.to_string())
            .expect("the file can be written");
        place
    }

    /// Adds words to the command line.
    pub(crate) fn saying(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder().join("toolgate.yaml")
    }

    /// Returns the command with which a client launches the gateway.
    pub(crate) fn stdio(&self) -> Target {
        Target::Stdio(
            [word(environment::gateway()), "stdio".to_owned()].into_iter().chain(self.options()).collect(),
        )
    }

    /// Starts the gateway's listener and waits until it has told its address.
    #[track_caller]
    pub(crate) fn serve(&self) -> Gateway {
        let mut command = Command::new(environment::gateway());
        command.args(["serve", "--listen", ANY_PORT, "--ops-listen", ANY_PORT]).args(self.options());
        command.current_dir(self.folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the gateway can be started");
        let stderr = child.stderr.take().expect("stderr is piped");
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let kept = Arc::clone(&said);
        thread::spawn(move || listen(stderr, &kept, &sender));
        let mut gateway = Gateway { child, endpoint: String::new(), said, lines };
        gateway.endpoint = gateway.await_endpoint();
        gateway
    }

    fn options(&self) -> Vec<String> {
        let state = ["--state-dir".to_owned(), word(self.folder().join("state"))];
        let config = ["--config".to_owned(), word(self.config())];
        let config = config.into_iter().filter(|_| self.configured);
        state.into_iter().chain(config).chain(self.words.clone()).collect()
    }
}

// === impl Gateway ===

impl Gateway {
    /// Returns the target with all servers behind it.
    pub(crate) fn all(&self) -> Target {
        Target::Url(self.endpoint.clone())
    }

    /// Returns the target with one server, under its own names.
    pub(crate) fn only(&self, server: &str) -> Target {
        Target::Url(format!("{}/{server}", self.endpoint))
    }

    /// Returns the target with all servers for a client of revision 2024-11-05, which opens an event stream.
    pub(crate) fn stream(&self) -> Target {
        let host = self.endpoint.strip_suffix("/mcp").expect("the endpoint's path");
        Target::Url(format!("{host}/sse"))
    }

    /// Returns the same for one server, under its own names.
    pub(crate) fn stream_of(&self, server: &str) -> Target {
        Target::Url(format!("{}/{server}/sse", self.endpoint))
    }

    /// Returns what the gateway has written to standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().map(|said| said.clone()).unwrap_or_default()
    }

    #[track_caller]
    fn await_endpoint(&self) -> String {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match endpoint_in(&line) {
                    Some(endpoint) => return endpoint,
                    None => continue,
                },
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the gateway told no address within {START_LIMIT:?}")
                }
                Err(RecvTimeoutError::Disconnected) => panic!("the gateway ended before it told its address"),
            }
        }
    }

    /// Waits for the end: first for that of standard error, then for the moment until the system knows it too.
    fn has_ended(&mut self) -> bool {
        let deadline = Instant::now() + STOP_LIMIT;
        while self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {}
        loop {
            let ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            if ended || Instant::now() > deadline {
                return ended;
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        _ = kill_process(pid(&self.child), Signal::TERM);
        let ended = self.has_ended();
        if !ended {
            _ = self.child.kill();
            _ = self.child.wait();
        }
        if thread::panicking() {
            let said = self.said();
            eprintln!("--- the gateway said:\n{said}--- ended by SIGTERM: {ended}");
        } else {
            assert!(ended, "the gateway did not end within {STOP_LIMIT:?} of SIGTERM");
        }
    }
}

/// Keeps every line and passes it on, until the pipe is closed.
fn listen(stderr: ChildStderr, said: &Mutex<String>, lines: &Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Ok(mut said) = said.lock() {
            said.push_str(&line);
            said.push('\n');
        }
        // Nobody listens any more once the address is known; the log is kept all the same.
        _ = lines.send(line);
    }
}

fn endpoint_in(line: &str) -> Option<String> {
    let from = line.find("http://127.0.0.1:")?;
    let until = line[from..].find("/mcp")? + from + "/mcp".len();
    Some(line[from..until].to_owned())
}

//! The foreign servers: how the gateway is told to start each, and those that are started beforehand and listen on HTTP.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::driver::{Era, Target};
use crate::environment::{conformance_server, node, node_file, own_file, python, python_program, word};

/// Until a server that was started beforehand listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a server is started on a port that somebody else may have taken meanwhile.
const ATTEMPTS: usize = 3;

/// A server that listens on HTTP until it is dropped.
pub(crate) struct Listening {
    child: Child,
    url: String,
}

/// How a script is reached.
#[derive(Clone, Copy)]
enum Transport {
    Http,
    Sse,
}

/// Which fastmcp runs the fixture.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fastmcp {
    /// On the SDK 1.x: legacy only.
    V3,
    /// On the SDK 2.x: both eras.
    V4,
}

/// Returns the entry of `@modelcontextprotocol/server-everything`.
pub(crate) fn everything() -> Value {
    reference_server("everything", &[])
}

/// Returns the entry of `@modelcontextprotocol/server-filesystem` that may use one folder.
pub(crate) fn filesystem(folder: &Path) -> Value {
    reference_server("filesystem", &[word(folder)])
}

/// Returns the entry of `@modelcontextprotocol/server-memory` that keeps its graph in a file.
pub(crate) fn memory(file: &Path) -> Value {
    let mut entry = reference_server("memory", &[]);
    entry["env"] = json!({ "MEMORY_FILE_PATH": word(file) });
    entry
}

/// Returns the entry of `mcp-server-git` for one repository.
pub(crate) fn git(repository: &Path) -> Value {
    let program = word(python_program("sdk1", "mcp-server-git"));
    json!({ "command": program, "args": ["--repository", word(repository)] })
}

/// Returns the entry of `mcp-server-time`.
pub(crate) fn time() -> Value {
    json!({ "command": word(python_program("sdk1", "mcp-server-time")), "args": ["--local-timezone", "Europe/Berlin"] })
}

/// Returns the entry of the fixture on fastmcp.
pub(crate) fn fixture(fastmcp: Fastmcp) -> Value {
    json!({ "command": word(fastmcp.python()), "args": [word(own_file("servers/fixture.py"))] })
}

/// Returns the entry of the server on the Python SDK 1.x whose tools ask their client.
pub(crate) fn asking() -> Value {
    json!({ "command": word(python("sdk1")), "args": [word(own_file("servers/asking.py"))] })
}

/// Returns the entry of one of our small servers on fastmcp.
pub(crate) fn own(script: &str) -> Value {
    json!({ "command": word(Fastmcp::V3.python()), "args": [word(own_file(script))] })
}

/// Returns the command of the server of `tests/fixtures` over stdio.
pub(crate) fn conformance(era: Era) -> Vec<String> {
    [word(conformance_server()), "--era".to_owned(), spoken(era).to_owned(), "--stdio".to_owned()].into()
}

/// Returns the era in the server's words; what a client asks for first speaks both.
fn spoken(era: Era) -> &'static str {
    match era {
        Era::Legacy => "legacy",
        Era::Auto => "both",
        Era::Modern => "modern",
    }
}

fn reference_server(name: &str, arguments: &[String]) -> Value {
    let script = word(node_file(&format!("@modelcontextprotocol/server-{name}"), "dist/index.js"));
    let words: Vec<String> = [script].into_iter().chain(arguments.iter().cloned()).collect();
    json!({ "command": word(node()), "args": words })
}

// === impl Fastmcp ===

impl Fastmcp {
    fn python(self) -> std::path::PathBuf {
        python(match self {
            Self::V3 => "sdk1",
            Self::V4 => "sdk2",
        })
    }
}

// === impl Listening ===

impl Listening {
    /// Starts the fixture on HTTP.
    #[track_caller]
    pub(crate) fn fixture(fastmcp: Fastmcp) -> Self {
        Self::script(&fastmcp.python(), "servers/fixture.py", Transport::Http)
    }

    /// Starts the fixture on HTTP+SSE.
    #[track_caller]
    pub(crate) fn older_fixture() -> Self {
        Self::script(&Fastmcp::V3.python(), "servers/fixture.py", Transport::Sse)
    }

    /// Starts the server on the Python SDK 1.x whose tools ask their client.
    #[track_caller]
    pub(crate) fn asking() -> Self {
        Self::script(&python("sdk1"), "servers/asking.py", Transport::Http)
    }

    /// Starts the same server on HTTP+SSE.
    #[track_caller]
    pub(crate) fn older_asking() -> Self {
        Self::script(&python("sdk1"), "servers/asking.py", Transport::Sse)
    }

    /// Starts the server of `tests/fixtures` on HTTP.
    #[track_caller]
    pub(crate) fn conformance(era: Era) -> Self {
        let mut command = Command::new(conformance_server());
        command.args(["--era", spoken(era), "--port", "0"]).stdout(Stdio::piped());
        let (child, line) =
            start(command, |child| first_line(child.stdout.take().expect("stdout is piped"), "/mcp"));
        let url = line.strip_prefix("listening on ").expect("the server says its address").to_owned();
        Self { child, url }
    }

    /// Starts one of our scripts, which says its address on its first line.
    #[track_caller]
    fn script(python: &Path, script: &str, transport: Transport) -> Self {
        let (flag, path) = match transport {
            Transport::Http => ("--http", "/mcp"),
            Transport::Sse => ("--sse", "/sse"),
        };
        let mut command = Command::new(python);
        command.arg(own_file(script)).arg(flag).stdout(Stdio::piped());
        let (child, url) =
            start(command, |child| first_line(child.stdout.take().expect("stdout is piped"), path));
        Self { child, url }
    }

    /// Starts `@modelcontextprotocol/server-everything` on HTTP.
    #[track_caller]
    pub(crate) fn everything() -> Self {
        let found = (0..ATTEMPTS).find_map(|_| {
            let port = free_port();
            let mut command = Command::new(node());
            command
                .arg(node_file("@modelcontextprotocol/server-everything", "dist/index.js"))
                .arg("streamableHttp");
            command.env("PORT", port.to_string()).stderr(Stdio::piped());
            let pipe = |child: &mut Child| child.stderr.take().expect("stderr is piped");
            let (child, _) = try_start(&mut command, |child| first_line(pipe(child), "listening on port"))?;
            Some(Self { child, url: format!("http://127.0.0.1:{port}/mcp") })
        });
        found.unwrap_or_else(|| panic!("the server did not say in {ATTEMPTS} attempts that it listens"))
    }

    /// Returns the target with which a client reaches the server itself.
    pub(crate) fn target(&self) -> Target {
        Target::Url(self.url.clone())
    }

    /// Returns the entry with which the gateway finds the server.
    pub(crate) fn entry(&self) -> Value {
        json!({ "url": self.url })
    }

    /// Returns the entry that says that the server speaks HTTP+SSE.
    pub(crate) fn older_entry(&self) -> Value {
        json!({ "url": self.url, "type": "sse" })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[track_caller]
fn start(mut command: Command, line: impl Fn(&mut Child) -> Option<String>) -> (Child, String) {
    let started = try_start(&mut command, line);
    started.unwrap_or_else(|| panic!("{command:?} did not say within {START_LIMIT:?} that it listens"))
}

/// The same; `None` when the server ended, or did not say in time that it listens.
fn try_start(command: &mut Command, line: impl Fn(&mut Child) -> Option<String>) -> Option<(Child, String)> {
    let mut child = command.stdin(Stdio::null()).spawn().expect("the server can be started");
    let line = line(&mut child);
    if line.is_none() {
        _ = child.kill();
        _ = child.wait();
    }
    Some((child, line?))
}

/// Waits for the first line that contains `sign`; drains the pipe for as long as the server lives.
fn first_line(pipe: impl std::io::Read + Send + 'static, sign: &'static str) -> Option<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        lines.filter(|line| line.contains(sign)).for_each(|line| _ = sender.send(line));
    });
    lines.recv_timeout(START_LIMIT).ok()
}

/// Returns a port that was free a moment ago, for a server that cannot tell which one it got.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound socket has an address").port()
}

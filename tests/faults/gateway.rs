//! The real binary with a configuration of the test's own, in an empty folder, on free ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::FakeServer;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::client::{Client, Door};
use crate::environment;
use crate::limit::eventually;
use crate::pipe::Pipe;
use crate::trail::Trail;
use crate::wire::{Request, Wire};

/// Where the system chooses the port.
const ANY_PORT: &str = "127.0.0.1:0";
/// From the start of the process to the line with its address, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// An empty folder with a configuration, from which gateways are started.
pub(crate) struct Place {
    folder: Arc<TempDir>,
    environment: Vec<(String, String)>,
    listen: String,
}

/// A gateway that listens.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
    pub(crate) trail: Trail,
    said: Arc<Said>,
    /// Keeps the folder for as long as the gateway writes to it.
    _folder: Arc<TempDir>,
}

/// What the gateway wrote to its terminal.
#[derive(Debug)]
struct Said {
    text: Mutex<String>,
    lines: watch::Sender<u64>,
}

/// Returns the configuration of a fake child.
pub(crate) fn child(arguments: &[&str]) -> Value {
    json!({"command": env!("CARGO_BIN_EXE_fake-stdio"), "args": arguments})
}

/// Returns the configuration of a fake HTTP server.
pub(crate) fn http(server: &FakeServer) -> Value {
    json!({"url": server.url()})
}

// === impl Place ===

impl Place {
    /// Makes a place with these servers and everything else at its default.
    pub(crate) fn new(servers: Value) -> Self {
        Self::configured(json!({"servers": servers}))
    }

    /// Makes a place with this configuration.
    pub(crate) fn configured(mut config: Value) -> Self {
        config["version"] = json!(1);
        let folder = Arc::new(TempDir::new().expect("a temp folder can be made"));
        let place = Self { folder, environment: Vec::new(), listen: ANY_PORT.to_owned() };
        std::fs::write(place.file("toolgate.yaml"), config.to_string()).expect("the config can be written");
        place
    }

    /// Sets a variable of the gateway's environment.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the gateway listen on another address.
    pub(crate) fn listening_on(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// Returns the path of a file in the place.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.file("state")
    }

    /// Returns the audit trail at its usual place.
    pub(crate) fn trail(&self) -> Trail {
        Trail::new(self.state().join("audit.jsonl"), Arc::clone(&self.folder))
    }

    /// Returns a command of the program that finds this place's state and nothing of ours.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(environment::gateway());
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).env("TOOLGATE_STATE_DIR", self.state()).kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    /// Creates a token and returns it with its id.
    pub(crate) async fn token(&self, options: &[&str]) -> (String, String) {
        let arguments = [&["token", "create", "-o", "json"], options].concat();
        let output = self.command(&arguments).output().await.expect("the program can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let created: Value = serde_json::from_slice(&output.stdout).expect("a token as JSON");
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        (text("token"), text("id"))
    }

    /// Starts the gateway's listeners and waits until it has told where they are.
    pub(crate) async fn serve(&self) -> Gateway {
        self.start(self.serving()).await
    }

    /// The same, for an address that somebody else may have taken meanwhile; fails with what was said when the gateway
    /// ends at once.
    pub(crate) async fn try_serve(&self) -> Result<Gateway, String> {
        self.try_start(self.serving()).await
    }

    fn serving(&self) -> Command {
        let mut command = Command::new(environment::gateway());
        command.args(self.serve_arguments());
        command
    }

    /// Returns the arguments of `serve` in this place.
    pub(crate) fn serve_arguments(&self) -> [&str; 5] {
        ["serve", "--listen", &self.listen, "--ops-listen", ANY_PORT]
    }

    /// Starts `command`, which ends up as `toolgate serve`.
    pub(crate) async fn start(&self, command: Command) -> Gateway {
        self.try_start(command).await.unwrap_or_else(|said| panic!("the gateway ended at once: {said}"))
    }

    async fn try_start(&self, mut command: Command) -> Result<Gateway, String> {
        self.prepare(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the gateway can be started");
        let said = Arc::new(Said { text: Mutex::default(), lines: watch::Sender::new(0) });
        tokio::spawn(keep(child.stdout.take().expect("stdout is piped"), Arc::clone(&said)));
        let errors = tokio::spawn(keep(child.stderr.take().expect("stderr is piped"), Arc::clone(&said)));
        let started = async {
            tokio::select! {
                addresses = said.until(addresses) => Some(addresses),
                _ = child.wait() => None,
            }
        };
        let started = tokio::time::timeout(START_LIMIT, started).await;
        let started =
            started.unwrap_or_else(|_| panic!("no address within {START_LIMIT:?}: {}", said.text()));
        let Some((address, operations)) = started else {
            errors.await.expect("what it said last is read");
            return Err(said.text());
        };
        let (trail, folder) = (self.trail(), Arc::clone(&self.folder));
        Ok(Gateway { child, address, operations, trail, said, _folder: folder })
    }

    /// Launches the gateway as a client does, with these arguments.
    pub(crate) fn launch_with(&self, arguments: &[&str]) -> Pipe {
        Pipe::launch(self.command(arguments), Arc::clone(&self.folder))
    }

    /// Launches the gateway as a client does.
    pub(crate) fn launch(&self) -> Pipe {
        self.launch_with(&["stdio", "--exposure", "direct"])
    }
}

// === impl Gateway ===

impl Gateway {
    /// Returns the door with all servers.
    pub(crate) fn door(&self) -> Door {
        Door::new(self.address)
    }

    /// Opens a client with all servers.
    pub(crate) async fn client(&self, era: protocol::Era) -> Client {
        self.door().open(era).await
    }

    /// Returns the gateway's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("the gateway runs")
    }

    /// Returns what the operations port says of the gateway.
    pub(crate) async fn status(&self) -> Value {
        let answer = Wire::connect(self.operations).await.ask(&Request::plain("GET", "/status")).await;
        serde_json::from_slice(&answer.body).expect("the status is JSON")
    }

    /// Returns what the operations port says of a server.
    pub(crate) async fn server(&self, name: &str) -> Value {
        let status = self.status().await;
        let servers = status["servers"].as_array().expect("servers").iter();
        servers
            .clone()
            .find(|server| server["name"] == name)
            .unwrap_or_else(|| panic!("no {name}: {status}"))
            .clone()
    }

    /// Waits until a server is in a state.
    pub(crate) async fn until_server(&self, name: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let server = self.server(name).await;
            if holds(&server) {
                return server;
            }
            tokio::time::sleep(crate::limit::LOOK_AGAIN).await;
        }
    }

    /// Waits until every server is ready.
    pub(crate) async fn ready(&self) {
        eventually(|| async {
            let status = self.status().await;
            let servers = status["servers"].as_array()?;
            servers.iter().all(|server| server["state"] == "ready").then_some(())
        })
        .await;
    }

    /// Returns the sum of a metric over its labels, of those series that hold `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let answer = Wire::connect(self.operations).await.ask(&Request::plain("GET", "/metrics")).await;
        let text = String::from_utf8(answer.body).expect("metrics are text");
        let series = text.lines().filter(|line| {
            let series = line.split(' ').next().unwrap_or_default();
            series.split('{').next() == Some(name) && series.contains(label)
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Returns everything that the gateway wrote to its terminal.
    pub(crate) fn said(&self) -> String {
        self.said.text()
    }

    /// Waits until the gateway has written this to its terminal: what it writes arrives a moment later.
    pub(crate) async fn until_said(&self, text: &str) {
        let said = self.said.until(|said| said.contains(text).then_some(()));
        let said = tokio::time::timeout(START_LIMIT, said).await;
        said.unwrap_or_else(|_| panic!("{text:?} is not said: {}", self.said()));
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("the gateway can be signalled");
    }

    /// Kills the gateway.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the gateway can be killed");
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.expect("the gateway can be waited for")
    }

    /// Ends the gateway in order, and returns how it ended and what it said.
    pub(crate) async fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        (status, self.said())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let tail: String = said.chars().rev().take(6_000).collect::<Vec<_>>().into_iter().rev().collect();
            eprintln!("--- the gateway said:\n{tail}---");
        }
    }
}

// === impl Said ===

impl Said {
    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn until<T>(&self, mut look: impl FnMut(&str) -> Option<T>) -> T {
        let mut lines = self.lines.subscribe();
        loop {
            let found = look(&self.text());
            if let Some(found) = found {
                return found;
            }
            // The sender lives in `self`, so waiting cannot fail.
            let _ = lines.changed().await;
        }
    }
}

async fn keep(pipe: impl AsyncRead + Unpin, said: Arc<Said>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        said.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
        said.lines.send_modify(|lines| *lines += 1);
        line.clear();
    }
}

/// Finds the two addresses in the announcement.
fn addresses(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let address = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name))?;
        line.split("http://").nth(1)?.split('/').next()?.trim().parse().ok()
    };
    Some((address("endpoint")?, address("operations")?))
}

/// Returns the folder of a path as text.
pub(crate) fn text_of(path: &Path) -> &str {
    path.to_str().expect("temp folders are UTF-8")
}

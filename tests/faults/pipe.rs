//! The gateway as a client launches it: on its standard input and output.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use protocol::{Era, Version, meta};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::client;

/// A launched gateway and the client's side of its pipes.
pub(crate) struct Pipe {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    said: JoinHandle<String>,
    next_id: u64,
    /// Keeps the folder for as long as the gateway writes to it.
    _folder: Arc<TempDir>,
}

impl Pipe {
    /// Launches `command`, which is `toolgate stdio` with its options.
    pub(crate) fn launch(mut command: Command, folder: Arc<TempDir>) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the gateway can be started");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let said = tokio::spawn(async move {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said).await;
            String::from_utf8_lossy(&said).into_owned()
        });
        let input = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let output = Some(BufReader::with_capacity(64 * 1024, stdout));
        Self { child, input, output, said, next_id: 1, _folder: folder }
    }

    /// Opens the legacy session.
    pub(crate) async fn initialize(&mut self) {
        let answer = self.ask(Era::Legacy, "initialize", client::initialize()).await;
        assert!(answer.get("result").is_some(), "{answer}");
        self.send(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }

    /// Sends a line.
    pub(crate) async fn send(&mut self, line: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(line).await.expect("the gateway reads");
        input.write_all(b"\n").await.expect("the gateway reads");
        input.flush().await.expect("the gateway reads");
    }

    /// Reads a line as it came, without its end; `None` when the gateway closed its side.
    pub(crate) async fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let output = self.output.as_mut().expect("the output is open");
        output.read_until(b'\n', &mut line).await.expect("the pipe can be read");
        line.pop().map(|_| line)
    }

    /// Reads a message.
    pub(crate) async fn message(&mut self) -> Value {
        let line = self.line().await.expect("the gateway says something");
        serde_json::from_slice(&line).unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&line)))
    }

    /// Waits for the answer with this id and passes over notifications.
    pub(crate) async fn answer(&mut self, id: &str) -> Value {
        loop {
            let message = self.message().await;
            if message.get("method").is_none() {
                assert_eq!(message["id"].to_string(), id, "{message}");
                return message;
            }
        }
    }

    /// Sends a request of an era and returns its id.
    pub(crate) async fn begin(&mut self, era: Era, method: &str, params: Value) -> String {
        self.next_id += 1;
        let id = self.next_id.to_string();
        self.send(request(era, &id, method, params).as_bytes()).await;
        id
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&mut self, era: Era, method: &str, params: Value) -> Value {
        let id = self.begin(era, method, params).await;
        self.answer(&id).await
    }

    /// Calls a tool and waits for the answer.
    pub(crate) async fn call(&mut self, era: Era, tool: &str, arguments: Value) -> Value {
        self.ask(era, "tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Closes the client's side.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    /// Calls a tool and waits for its answer; an answer to `passed_over` may come before it.
    pub(crate) async fn call_passing_over(&mut self, era: Era, tool: &str, passed_over: &str) -> Value {
        let id = self.begin(era, "tools/call", json!({"name": tool, "arguments": {}})).await;
        loop {
            let message = self.message().await;
            let answered = message["id"].to_string();
            if answered == id {
                return message;
            }
            assert!(message.get("method").is_some() || answered == passed_over, "{message}");
        }
    }

    /// Sends a request if the gateway still reads.
    pub(crate) async fn try_begin(&mut self, era: Era, method: &str, params: Value) -> io::Result<()> {
        self.next_id += 1;
        let line = request(era, &self.next_id.to_string(), method, params) + "\n";
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(line.as_bytes()).await?;
        input.flush().await
    }

    /// Closes the client's end of the gateway's output.
    pub(crate) fn close_output(&mut self) {
        self.output = None;
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("the gateway can be signalled");
    }

    /// Waits for the end; returns what was said on stderr too.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().await.expect("the gateway can be waited for");
        (status, self.said.await.expect("stderr was read"))
    }

    /// Closes the client's side and waits for the end; returns what was said on stderr too.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        self.close();
        self.ended().await
    }

    /// Returns the gateway's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("the gateway runs")
    }
}

/// Writes a request of an era.
pub(crate) fn request(era: Era, id: &str, method: &str, mut params: Value) -> String {
    if era == Era::Modern {
        let mut members = params["_meta"].take();
        members[meta::PROTOCOL_VERSION] = json!(Version::LATEST_MODERN.as_str());
        members[meta::CLIENT_CAPABILITIES] = json!({});
        params["_meta"] = members;
    }
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

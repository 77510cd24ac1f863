//! A gateway that runs: started by a case, stopped with it, and read line by line.

use std::{
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStderr, Command, Stdio},
};

use serde_json::Value;

use super::home::Home;

pub(crate) struct Gateway {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    operations: String,
}

impl Gateway {
    /// Starts `toolgate serve` in the project, on free ports.
    #[track_caller]
    pub(crate) fn start(home: &Home) -> Self {
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("runs");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut gateway = Self { child, lines, operations: String::new() };
        let seen = gateway.read_until("  operations ");
        let address = seen.last().and_then(|line| line.rsplit_once("http://"));
        gateway.operations = address.expect("an address").1.trim().to_owned();
        gateway
    }

    /// Reads what the gateway says, up to a line with this text; returns all of it.
    #[track_caller]
    pub(crate) fn read_until(&mut self, text: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while !seen.last().is_some_and(|line| line.contains(text)) {
            let line = self.lines.next().unwrap_or_else(|| panic!("no {text:?} in {seen:?}"));
            seen.push(line.expect("text"));
        }
        seen
    }

    pub(crate) fn hang_up(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Returns what the operations port tells of the last change of each part that was refused.
    pub(crate) fn refused(&self) -> [Value; 2] {
        let mut connection = TcpStream::connect(&self.operations).expect("it listens");
        write!(connection, "GET /status HTTP/1.0\r\nHost: {}\r\n\r\n", self.operations).expect("written");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("HTTP");
        let status: Value = serde_json::from_str(body).expect("JSON");
        ["mcp_config", "gateway_rules"].map(|part| status["reload"][part]["last_error"].clone())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

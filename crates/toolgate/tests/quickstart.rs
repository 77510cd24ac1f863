//! What the README promises to somebody who has just cloned the repository, run as that person would.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const README: &str = include_str!("../../../README.md");

fn toolgate(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolgate"));
    command.current_dir(folder.path()).env("TOOLGATE_STATE_DIR", folder.path().join("state"));
    command.stdin(Stdio::null());
    command
}

/// A gateway that is ended when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_printed_curl_line_works() {
    let folder = TempDir::new().unwrap();
    let mut serving = toolgate(&folder);
    serving.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]).stderr(Stdio::piped());
    let mut gateway = Running(serving.spawn().unwrap());
    let stderr = BufReader::new(gateway.0.stderr.take().unwrap());
    let curl =
        stderr.lines().map(Result::unwrap).find(|line| line.trim_start().starts_with("curl ")).unwrap();
    let output = Command::new("sh").args(["-c", &curl]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).expect("curl is installed and prints JSON");
    assert_eq!(answer["result"]["structuredContent"]["sum"], 5, "{curl}\n{answer}");
}

#[test]
fn a_pipe_on_standard_input_means_stdio() {
    let folder = TempDir::new().unwrap();
    let request = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":{"server":"demo","tool":"add","args":{"a":2,"b":3}},"#,
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
        r#""io.modelcontextprotocol/clientCapabilities":{}}}}"#,
        "\n"
    );
    let mut child = toolgate(&folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), request.as_bytes()).unwrap();
    let mut answer = String::new();
    child.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    assert!(child.wait().unwrap().success());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["result"]["structuredContent"]["sum"], 5, "{answer}");
}

#[test]
fn the_demo_shows_one_call_per_outcome() {
    let folder = TempDir::new().unwrap();
    let output = toolgate(&folder).arg("demo").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for outcome in ["outcome=\"ok\"", "outcome=\"denied\"", "outcome=\"tool_error\"", "outcome=\"timeout\""] {
        assert!(text.contains(outcome), "{outcome}\n{text}");
    }
}

#[test]
fn the_configuration_in_the_readme_is_good() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("toolgate.yaml"), block("```yaml")).unwrap();
    let output = toolgate(&folder).arg("validate").env("SEARCH_TOKEN", "x").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_str::<Value>(block("```json")).unwrap();
}

#[test]
fn every_command_in_the_readme_exists() {
    let folder = TempDir::new().unwrap();
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `toolgate "));
    let commands: Vec<&str> = rows.filter_map(|row| row.split([' ', '`']).next()).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let output = toolgate(&folder).args([command, "--help"]).output().unwrap();
        assert!(output.status.success(), "{command}");
    }
}

fn block(fence: &str) -> &'static str {
    README.split(fence).nth(1).and_then(|rest| rest.split("```").next()).expect("the README has such a block")
}

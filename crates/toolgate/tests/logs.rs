//! `toolgate logs` and `toolgate completions` of the real binary, on trails of the real writer and on broken ones.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

#[path = "binary/answer.rs"]
mod answer;

use answer::Answer;

const CALL: &str = r#""operation":"execute_tool","server":"git","target":"log""#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn add(&self, name: &str, lines: &[String]) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).expect("writable");
        lines.iter().for_each(|line| writeln!(file, "{line}").expect("written"));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolgate"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env_clear().env("TZ", "UTC").env("TOOLGATE_STATE_DIR", self.0.path());
        command
    }

    fn logs(&self, arguments: &[&str]) -> Answer {
        Answer::of(&self.command(&[&["logs"], arguments].concat()).output().expect("the binary is there"))
    }
}

impl Answer {
    /// Returns the calls shown with `-o json`, by their id and outcome.
    fn calls(&self) -> Vec<String> {
        assert_eq!(self.code, Some(0), "{}", self.errors);
        let call = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            format!("{} {}", line["call"].as_str().expect("an id"), line["outcome"].as_str().unwrap_or("-"))
        };
        self.output.lines().map(call).collect()
    }
}

fn begin(second: u32, call: &str) -> String {
    format!(
        r#"{{"phase":"begin","timestamp":"2026-11-21T02:04:{second:02}.5+00:00","call":"{call}","agent_id":"ci",{CALL}}}"#
    )
}

fn end(second: u32, call: &str, outcome: &str) -> String {
    let begin = begin(second, call).replace("begin", "end");
    format!(r#"{},"outcome":"{outcome}","latency_ms":1.5}}"#, begin.trim_end_matches('}'))
}

fn started(second: u32) -> String {
    format!(
        r#"{{"phase":"event","timestamp":"2026-11-21T02:04:{second:02}+00:00","event":"started","details":{{}}}}"#
    )
}

#[test]
fn the_last_matching_calls_of_all_gateways_are_shown_by_time() {
    let place = Place::new();
    place.add("audit.jsonl", &[started(0), begin(1, "a"), end(2, "a", "ok"), end(6, "d", "denied")]);
    place.add("audit-77.jsonl", &[end(3, "b", "ok"), end(4, "c", "denied")]);
    place.add("audit-old.jsonl", &[end(5, "x", "ok")]);
    assert_eq!(place.logs(&["-o", "json"]).calls(), ["a ok", "b ok", "c denied", "d denied"]);
    assert_eq!(place.logs(&["-o", "json", "-n", "2"]).calls(), ["c denied", "d denied"]);
    assert_eq!(place.logs(&["-o", "json", "-n", "1", "--outcome", "ok"]).calls(), ["b ok"]);
    assert_eq!(
        place.logs(&["-o", "json", "-n", "all", "--until", "2026-11-21T02:04:04Z"]).calls(),
        ["a ok", "b ok"]
    );
    assert_eq!(place.logs(&["-o", "json", "audit-77.jsonl", "-n", "all"]).calls(), ["b ok", "c denied"]);
    assert_eq!(place.logs(&["--agent", "nobody"]).output, "");
    let text = place.logs(&["--tool", "l*", "--outcome", "denied"]);
    let expected = "\
TIME                     AGENT     SERVER    TOOL/OPERATION    OUTCOME      LATENCY  CODE/RULE
2026-11-21 02:04:04.500  ci        git       log               denied        1.50ms  -
2026-11-21 02:04:06.500  ci        git       log               denied        1.50ms  -
";
    assert_eq!(text.output, expected, "{}", text.errors);
}

#[test]
fn open_calls_run_until_their_gateway_is_known_to_be_gone() {
    let place = Place::new();
    place.add(
        "audit.jsonl",
        &[begin(1, "dead"), begin(2, "done"), end(3, "done", "ok"), started(4), begin(5, "live")],
    );
    let outcomes = |arguments: &[&str]| {
        let answer = place.logs(arguments);
        let rows = answer.output.lines().skip(1).map(|row| row.split_whitespace().nth(5).map(str::to_owned));
        rows.collect::<Option<Vec<String>>>().expect("columns")
    };
    // A gateway holds the lock of its file.
    let held = OpenOptions::new().append(true).open(place.path("audit.jsonl")).expect("there");
    held.lock().expect("free");
    assert_eq!(outcomes(&[]), ["unfinished", "ok", "running"]);
    assert_eq!(outcomes(&["-n", "all", "--outcome", "unfinished"]), ["unfinished"]);
    assert_eq!(place.logs(&["--outcome", "running", "-o", "json"]).calls(), ["live -"]);
    drop(held);
    assert_eq!(outcomes(&[]), ["unfinished", "ok", "unfinished"]);
    assert_eq!(place.logs(&["--outcome", "running"]).output, "");
}

#[test]
fn a_file_beside_is_not_written_for_ever() {
    let place = Place::new();
    place.add("audit.jsonl", &[end(1, "a", "ok")]);
    place.add("audit-2.jsonl", &[started(2), begin(3, "killed")]);
    let held = OpenOptions::new().append(true).open(place.path("audit-2.jsonl")).expect("there");
    held.lock().expect("free");
    assert_eq!(place.logs(&["--outcome", "running", "-o", "json"]).calls(), ["killed -"]);
    drop(held);
    assert_eq!(place.logs(&["--outcome", "running", "-o", "json"]).calls(), Vec::<String>::new());
    assert_eq!(place.logs(&["--outcome", "unfinished", "-o", "json"]).calls(), ["killed -"]);
}

#[test]
fn broken_lines_are_counted_and_passed_over() {
    let place = Place::new();
    let endless = "\0".repeat(300_000);
    place.add("audit.jsonl", &[end(1, "a", "ok"), "{\"phase\":".to_owned(), endless, end(2, "b", "ok")]);
    fs::write(place.path("torn.jsonl"), "{\"phase\":\"end\"").expect("written");
    let answer = place.logs(&["-o", "json"]);
    assert_eq!(answer.calls(), ["a ok", "b ok"]);
    assert!(
        answer.errors.contains("2 lines are broken and left out, the first one line 2 of `"),
        "{}",
        answer.errors
    );
    let torn = place.logs(&["torn.jsonl"]);
    assert_eq!((torn.code, torn.errors.as_str()), (Some(0), ""), "a line being written is no broken one");
    let missing = place.logs(&["missing.jsonl"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.errors.contains("cannot read `missing.jsonl`"), "{}", missing.errors);
    assert_eq!(place.logs(&["--since", "soon"]).code, Some(2));
}

#[test]
fn names_do_not_steer_the_terminal() {
    let place = Place::new();
    place.add("audit.jsonl", &[end(1, "a", "ok").replace("\"log\"", r#""\u001b]0;owned\u0007\nlog""#)]);
    let answer = place.logs(&[]);
    assert!(answer.output.contains(r"\u{1b}]0;owned\u{7}\nlog"), "{}", answer.output);
    assert_eq!(answer.output.lines().count(), 2);
}

struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn following_goes_on_in_new_files() {
    let place = Place::new();
    place.add("audit.jsonl", &[end(1, "a", "ok"), end(2, "b", "denied")]);
    let mut command = place.command(&["logs", "-f", "-n", "1", "-o", "json", "--outcome", "ok"]);
    let mut following = Following(command.stdout(Stdio::piped()).spawn().expect("runs"));
    let mut lines = BufReader::new(following.0.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("it goes on").expect("text");
    assert_eq!(next(), end(1, "a", "ok"));
    place.add("audit.jsonl", &[end(3, "c", "denied"), end(4, "d", "ok")]);
    assert_eq!(next(), end(4, "d", "ok"));
    fs::rename(place.path("audit.jsonl"), place.path("audit.jsonl.1")).expect("renamed");
    place.add("audit.jsonl", &[end(5, "e", "ok")]);
    assert_eq!(next(), end(5, "e", "ok"));
    place.add("audit-9.jsonl", &[end(6, "f", "ok")]);
    assert_eq!(next(), end(6, "f", "ok"));
}

#[test]
fn what_a_gateway_writes_can_be_read() {
    let place = Place::new();
    fs::write(
        place.path("toolgate.yaml"),
        "version: 1\nservers: { demo: { builtin: demo } }\naudit: { file: trail.jsonl }\n",
    )
    .expect("written");
    let request = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":{"server":"demo","tool":"add","args":{"a":2,"b":3}},"#,
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
        r#""io.modelcontextprotocol/clientCapabilities":{}}}}"#,
        "\n"
    );
    let mut command = place.command(&["stdio", "--agent", "reader"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    child.stdin.take().expect("piped").write_all(request.as_bytes()).expect("written");
    assert!(child.wait_with_output().expect("it ends").status.success());
    for arguments in [&["--agent", "reader"][..], &["--server", "demo", "trail.jsonl"]] {
        let answer = place.logs(arguments);
        let row: Vec<&str> = answer.output.lines().nth(1).expect("a call").split_whitespace().collect();
        assert_eq!(row[2..4], ["reader", "demo"], "{} {}", answer.output, answer.errors);
        assert!(
            !row.contains(&"unfinished") && answer.errors.is_empty(),
            "{} {}",
            answer.output,
            answer.errors
        );
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let place = Place::new();
    let script = Answer::of(&place.command(&["completions", "bash"]).output().expect("runs"));
    fs::write(place.path("toolgate.bash"), &script.output).expect("written");
    let check = Command::new("bash")
        .args(["-n", "toolgate.bash"])
        .current_dir(place.0.path())
        .output()
        .expect("bash");
    assert!(check.status.success(), "{}", Answer::of(&check).errors);
    let complete = |words: &str| {
        let program = format!(
            "source ./toolgate.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); \
             _toolgate toolgate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output =
            Command::new("bash").args(["-c", &program]).current_dir(place.0.path()).output().expect("bash");
        Answer::of(&output).output.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("toolgate comp"), ["completions"]);
    assert!(complete("toolgate ''").contains(&"logs".to_owned()));
    assert_eq!(complete("toolgate logs --fol"), ["--follow"]);
    assert_eq!(complete("toolgate logs --outcome tool"), ["tool_error"]);
}

#[test]
fn every_shell_has_completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Answer::of(&place.command(&["completions", shell]).output().expect("runs"));
        assert!(script.code == Some(0) && script.output.contains("toolgate"), "{shell}: {}", script.errors);
    }
    assert_eq!(place.command(&["completions", "tcsh"]).output().expect("runs").status.code(), Some(2));
}

//! Commands about a gateway that runs, while its file is broken or gone: what they need of the file is enough.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread::{self, JoinHandle},
};

use super::home::{Answer, Home};

const STATUS: &str = r#"{"version":"9","revision":4,"sessions":1,"servers":[]}"#;
const LINE: &str = r#"{"phase":"end","timestamp":"2026-11-21T02:04:01.5+00:00","call":"c","agent_id":"ci","operation":"tools/call","server":"git","target":"log","outcome":"ok","latency_ms":1}"#;

/// Plays a gateway's port: answers one request.
fn port(body: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let serving = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a client");
        let lines = BufReader::new(&connection).lines().map(|line| line.expect("text"));
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    });
    (address, serving)
}

/// A file that is refused, and says all the same where its gateway is.
fn broken(section: &str) -> Home {
    Home::new().with("project/toolgate.yaml", &format!("version: 1\nservres: {{}}\n{section}\n"))
}

#[track_caller]
fn warns(answer: &Answer, key: &str) {
    let expected = format!("as its `{key}` says");
    assert!(answer.errors.contains("warning: the configuration is refused: "), "{}", answer.errors);
    assert!(
        answer.errors.contains("(toolgate.yaml:2:1)") && answer.errors.contains(&expected),
        "{}",
        answer.errors
    );
}

#[test]
fn status_and_health_ask_where_the_broken_file_says() {
    let (address, serving) = port(STATUS);
    let answer = broken(&format!("listen: {{ operations: '{address}' }}")).ends(0, &["status"]);
    serving.join().expect("it answered");
    assert!(answer.output.starts_with("Toolgate 9, revision 4, 1 session\n"), "{}", answer.output);
    warns(&answer, "listen.operations");

    let (address, serving) = port("{}");
    let answer =
        broken(&format!("listen: {{ address: '{address}', operations: nowhere }}")).ends(0, &["health"]);
    serving.join().expect("it answered");
    warns(&answer, "listen.address");
}

#[test]
fn programs_get_the_answer_alone() {
    let (address, serving) = port(STATUS);
    let home = broken(&format!("listen: {{ operations: '{address}' }}"));
    assert_eq!(home.ends(0, &["status", "-o", "json"]).json()["version"], "9");
    serving.join().expect("it answered");
}

#[test]
fn logs_and_audit_read_what_the_broken_file_names() {
    let home = broken("audit: { file: ./trail.jsonl }").with("project/trail.jsonl", &format!("{LINE}\n"));
    for arguments in [&["logs", "-o", "json"][..], &["audit", "tail"]] {
        let answer = home.ends(0, arguments);
        assert_eq!(answer.output, home.text("project/trail.jsonl"), "{arguments:?}");
        warns(&answer, "audit.file");
    }
}

#[test]
fn a_slip_elsewhere_in_the_file_costs_no_section() {
    let slips = [("servers: [\n", ""), ("", "servers:\n  a: {\n"), ("version: 1\n a: b: c\n", "x: [\n")];
    for (before, after) in slips {
        let file = format!("{before}# Ours.\naudit:\n  # There.\n  file: trail.jsonl\n{after}");
        let home = Home::new().with("project/toolgate.yaml", &file);
        home.write("project/trail.jsonl", format!("{LINE}\n"));
        let answer = home.ends(0, &["audit", "tail"]);
        assert_eq!(answer.output, format!("{LINE}\n"), "{file}");
        assert!(answer.errors.contains("as its `audit.file` says"), "{file}: {}", answer.errors);
    }
}

#[test]
fn what_cannot_be_read_at_all_is_the_default() {
    let home = Home::new()
        .with("project/toolgate.yaml", "version: 1\nlisten: [\n")
        .with("state/audit.jsonl", &format!("{LINE}\n"));
    let answer = home.ends(0, &["logs", "-o", "json"]);
    assert_eq!(answer.output, format!("{LINE}\n"));
    assert!(answer.errors.contains("the default of `audit.file`"), "{}", answer.errors);
    let named = home.ends(0, &["logs", "-o", "json", "--config", "gone.yaml"]);
    assert!(named.errors.contains("cannot read `gone.yaml`"), "{}", named.errors);
}

#[test]
fn without_a_file_the_default_is_asked_and_that_is_said() {
    let home = Home::new().with("state/audit.jsonl", &format!("{LINE}\n"));
    let answer = home.ends(0, &["audit", "tail"]);
    assert_eq!(answer.output, format!("{LINE}\n"));
    assert!(answer.errors.contains("no configuration file here") && answer.errors.contains("the default"));
}

//! A gateway that cannot start says why, and what to do.

use std::net::TcpListener;

use super::home::Home;

#[test]
fn a_port_that_is_taken_is_named_with_its_option() {
    let home = Home::new();
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("bound").to_string();
    let operations = home.ends(1, &["serve", "--listen", "127.0.0.1:0", "--ops-listen", &taken]).errors;
    let expected = format!("cannot listen on {taken} for metrics and status");
    assert!(operations.contains(&expected) && operations.contains("`--ops-listen`"), "{operations}");
    let clients = home.ends(1, &["serve", "--listen", &taken, "--ops-listen", "127.0.0.1:0"]).errors;
    let expected = format!("cannot listen on {taken} for clients");
    assert!(clients.contains(&expected) && clients.contains("`--listen`"), "{clients}");
}

#[test]
fn a_trail_that_cannot_be_opened_says_why() {
    let home = Home::new().with("project/file", "");
    let refused = home.ends(1, &["stdio", "--state-dir", "file/state"]).errors;
    assert!(refused.contains("Not a directory"), "{refused}");
    assert!(refused.contains("`--state-dir`") && refused.contains("`audit.file`"), "{refused}");
}

#[test]
fn paths_have_no_steps_that_lead_nowhere() {
    let home = Home::new().with(
        "project/toolgate.yaml",
        "version: 1\nservers: { demo: { builtin: demo } }\naudit: { file: ./trail.jsonl }\n",
    );
    let arguments = ["serve", "--stdio", "--config", "./toolgate.yaml", "--listen", "127.0.0.1:0"];
    let started = home.ends(0, &[&arguments[..], &["--ops-listen", "127.0.0.1:0"]].concat()).errors;
    assert!(started.contains("/project/trail.jsonl") && !started.contains("/./"), "{started}");
}

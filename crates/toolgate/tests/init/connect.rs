//! `validate --connect`: every server is tried, and none is left running.

use serde_json::Value;

use super::home::Home;

const CONFIG: &str = r#"
version: 1
servers:
  demo: {builtin: demo}
  lazy: {builtin: demo, startup: lazy}
  absent: {command: ./no-such-program}
  loud: {command: sh, args: ["-c", "echo out of order >&2; exit 7"]}
  deaf: {command: sh, args: ["-c", "echo $$ > pid; exec sleep 600"]}
"#;

#[test]
fn every_server_is_tried_and_ended() {
    let home = Home::new().with("project/toolgate.yaml", CONFIG);
    let answer = home.ends(3, &["validate", "--connect", "--timeout", "2", "-o", "json"]);
    let json = answer.json();
    let server = |name: &str| -> Value {
        let servers = json["servers"].as_array().unwrap();
        servers.iter().find(|server| server["name"] == name).unwrap().clone()
    };
    for name in ["demo", "lazy"] {
        assert_eq!((&server(name)["ready"], &server(name)["tools"]), (&true.into(), &7.into()), "{json}");
    }
    assert!(server("absent")["reason"].as_str().unwrap().contains("not found"), "{json}");
    assert_eq!(server("loud")["stderr"], serde_json::json!(["out of order"]));
    assert!(server("deaf")["reason"].as_str().unwrap().contains("within 2 s"), "{json}");
    for name in ["demo", "lazy", "absent", "loud", "deaf"] {
        assert!(answer.errors.contains(&format!(" {name}: ")), "{}", answer.errors);
    }
    let pid = home.text("project/pid").trim().to_owned();
    assert!(!std::path::Path::new("/proc").join(&pid).exists(), "{pid} is still running");
    assert!(!home.path("state/audit.jsonl").exists(), "trying is no call");
}

#[test]
fn all_ready_is_a_success() {
    let home = Home::new().with("project/toolgate.yaml", "version: 1\nservers: {demo: {builtin: demo}}\n");
    let answer = home.ends(0, &["validate", "--connect"]);
    assert!(answer.output.contains("1 server usable, 1 ready"), "{}", answer.output);
    home.ends(2, &["validate", "--timeout", "2"]);
}

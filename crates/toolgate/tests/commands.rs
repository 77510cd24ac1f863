//! The small commands of the real binary: what they answer, and with which exit code.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

#[path = "binary/answer.rs"]
mod answer;
#[path = "binary/json.rs"]
mod json;

use answer::Answer;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.0.path().join(name), text).expect("writable");
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolgate"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.0.path()).env("TOOLGATE_STATE_DIR", self.state_dir());
        command
    }

    fn state_dir(&self) -> std::path::PathBuf {
        self.0.path().join("state")
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(&self.command(arguments).output().expect("the binary is there"))
    }
}

#[test]
fn tokens_are_created_listed_and_revoked() {
    let place = Place::new();
    assert_eq!(place.run(&["token", "list", "-o", "json"]).json(), Value::Array(vec![]));
    let created =
        place.run(&["token", "create", "--agent", "reviewer", "--server", "github", "--expires", "30d"]);
    assert_eq!(created.code, Some(0), "{}", created.errors);
    let token = created.output.trim_end();
    assert!(token.starts_with("tg_") && token.len() > 50, "{token}");
    assert!(!created.errors.contains(token) && created.errors.contains("need a token"), "{}", created.errors);

    let listed = place.run(&["token", "list", "-o", "json"]).json();
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        (listed[0]["agent"].as_str(), listed[0]["servers"][0].as_str()),
        (Some("reviewer"), Some("github"))
    );
    assert!(place.run(&["token", "list"]).output.contains(&id));

    let missing = place.run(&["token", "revoke", "nobody"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.errors.contains("there is no access token `nobody`"), "{}", missing.errors);
    assert_eq!(
        place.run(&["token", "revoke", &id, "-o", "json"]).json()["revoked"].as_str(),
        Some(id.as_str())
    );
    assert_eq!(place.run(&["token", "list", "-o", "json"]).json(), Value::Array(vec![]));
}

#[test]
fn a_new_token_in_json_carries_its_hash() {
    let created = Place::new().run(&["token", "create", "--agent", "a", "-o", "json"]).json();
    let token = created["token"].as_str().expect("a token");
    assert_eq!(created["hash"].as_str(), Some(identity::TokenHash::of(token).to_string().as_str()));
    assert_eq!(created["servers"], Value::Null);
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let place = Place::new();
    for arguments in
        [&["token", "create"][..], &["token", "create", "--agent", "a", "--expires", "soon"], &["frobnicate"]]
    {
        assert_eq!(place.run(arguments).code, Some(2), "{arguments:?}");
    }
    assert_eq!(place.run(&["token", "create", "--agent", "a\nb"]).code, Some(1));
}

#[test]
fn validate_tells_by_its_exit_code() {
    let sound = Place::new().with("toolgate.yaml", "version: 1\nservers: { a: { builtin: demo } }\n");
    assert_eq!(sound.run(&["validate"]).code, Some(0));
    let refused = sound.with("bad.yaml", "version: 1\nservres: {}\n");
    let answer = refused.run(&["validate", "bad.yaml"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.output.contains("--> bad.yaml:2:1") && answer.output.contains("did you mean `servers`?"));
    let json = refused.run(&["validate", "bad.yaml", "-o", "json"]).json();
    assert_eq!(json["faults"][0]["position"]["line"], 2);
    assert_eq!(json["refused"], true);
    let partly = refused.with("part.yaml", "version: 1\nservers: { a: { builtin: demo }, b: {} }\n");
    let answer = partly.run(&["validate", "part.yaml"]);
    assert_eq!(answer.code, Some(3));
    assert!(answer.output.ends_with(
        "part.yaml: 1 server usable\n  usable: a (builtin)\n  left out: b (`servers.b`: nothing says how to reach this server)\n\
         no rules: callers on this machine may use every tool of every server\n"
    ), "{}", answer.output);
    assert_eq!(partly.run(&["validate", "none.yaml"]).code, Some(1));
}

#[test]
fn validate_lists_servers_and_agents() {
    let place = Place::new()
        .with(".mcp.json", r#"{"mcpServers": {"db": {"command": "x"}, "web": {"url": "https://a.example/mcp"}}}"#)
        .with(
            ".mcp-gateway-rules.json",
            r#"{"agents": {"a": {"allow": {"servers": ["db"]}}, "b": {"allow": {"servers": ["nope"]}}}, "defaults": {"deny_on_missing_agent": false}}"#,
        );
    let answer = place.run(&["validate", "--compat", "agent-mcp-gateway"]);
    assert_eq!(answer.code, Some(0), "{}", answer.errors);
    assert!(answer.output.contains(r#"Agent "b" allow.servers references undefined server "nope""#));
    assert!(
        answer.output.ends_with(
            ".mcp.json: 2 servers usable\n  usable: db (stdio)\n  usable: web (http)\n\
             .mcp-gateway-rules.json: 2 agents, others may use everything, read as agent-mcp-gateway does\n  agent: a\n  agent: b\n"
        ),
        "{}",
        answer.output
    );
    let json = place.run(&["validate", "-o", "json"]).json();
    assert_eq!(json["servers"][1], serde_json::json!({"name": "web", "transport": "http"}));
    assert_eq!(
        json["rules"],
        serde_json::json!({"source": ".mcp-gateway-rules.json", "agents": ["a", "b"], "unknown_agents": "deny", "compat": null})
    );
}

#[test]
fn validate_names_the_transport_that_is_configured() {
    let place = Place::new()
        .with(".mcp.json", r#"{"mcpServers": {"old": {"type": "sse", "url": "https://a.example/sse"}}}"#);
    let answer = place.run(&["validate"]);
    assert!(answer.output.contains("usable: old (sse)"), "{}", answer.output);
    assert_eq!(answer.errors, "", "nothing is wrong with it");
    let json = place.run(&["validate", "-o", "json"]).json();
    assert_eq!(json["servers"][0], serde_json::json!({"name": "old", "transport": "sse"}));
    assert_eq!(json["warnings"], serde_json::json!([]));
}

#[test]
fn what_the_other_gateway_refuses_is_refused_in_its_words() {
    let place = Place::new().with(".mcp.json", r#"{"mcpServers": {"db": {}}}"#);
    let expected = "Invalid configuration: Server \"db\" must specify either \"command\" (stdio) or \"url\" (HTTP) transport";
    for command in ["stdio", "serve", "validate"] {
        let answer = place.run(&[command, "--compat", "agent-mcp-gateway"]);
        assert_eq!((answer.code, answer.errors), (Some(1), format!("ERROR: {expected}\n")), "{command}");
    }
    let json = place.run(&["validate", "--compat", "agent-mcp-gateway", "-o", "json"]).json();
    assert_eq!(
        (&json["refused"], json["faults"][0]["problem"].as_str()),
        (&Value::Bool(true), Some(expected))
    );
    let place = Place::new();
    let output = place
        .command(&["stdio"])
        .env("TOOLGATE_COMPAT", "agent-mcp-gateway")
        .env("GATEWAY_MCP_CONFIG", "none.json")
        .output();
    let answer = Answer::of(&output.expect("runs"));
    assert_eq!(
        (answer.code, answer.errors.as_str()),
        (Some(1), "ERROR: Configuration file not found: none.json\n")
    );
}

#[test]
fn adopted_files_start_with_the_other_gateways_lines() {
    let place = Place::new()
        .with(".mcp.json", r#"{"mcpServers": {"db": {"command": "cat"}, "bad": {"url": "${NONE}"}}}"#)
        .with(".mcp-gateway-rules.json", r#"{"agents": {"a": {"allow": {"servers": ["db", "nope"]}}}}"#);
    let mut command = place.command(&["stdio"]);
    let output = command
        .env("GATEWAY_DEFAULT_AGENT", "a")
        .env("GATEWAY_DEBUG", "1")
        .env("GATEWAY_AUDIT_LOG", "~/a.jsonl")
        .output();
    let answer = Answer::of(&output.expect("runs"));
    assert_eq!((answer.code, answer.output.as_str()), (Some(0), ""), "{}", answer.errors);
    let expected = [
        "Loading MCP server configuration from: .mcp.json",
        "Loading gateway rules from: .mcp-gateway-rules.json",
        "Audit log will be written to: ",
        "Default agent for fallback chain: a",
        "Debug mode: ENABLED (get_gateway_status tool available)",
        r#"  - Agent "a" allow.servers references undefined server "nope" (.mcp-gateway-rules.json:1:"#,
        "  - 1 proxy client(s) initialized",
        "    * db: starting",
        "    * bad: left out: environment variable is not set: NONE",
        "  - 2 MCP server(s) configured",
        "  - 1 agent(s) configured",
        "  - Default policy: deny unknown agents",
        "  - 4 gateway tools available: list_servers, get_server_tools, execute_tool, get_gateway_status",
        "Gateway is ready. Running with stdio transport...",
    ];
    let mut lines = answer.errors.lines();
    for start in expected {
        assert!(
            lines.any(|line| line.starts_with(start)),
            "{start} is missing or too early:\n{}",
            answer.errors
        );
    }
    assert!(place.0.path().join("a.jsonl").is_file());
}

#[test]
fn a_variable_that_cannot_be_used_is_named() {
    let place = Place::new();
    let output = place.command(&["stdio"]).env("GATEWAY_INIT_STRATEGY", "later").output().expect("runs");
    let answer = Answer::of(&output);
    assert_eq!(
        (answer.code, answer.errors.as_str()),
        (Some(1), "error: GATEWAY_INIT_STRATEGY: write `eager` or `lazy`\n")
    );
}

#[test]
fn variables_stand_for_options() {
    let place = Place::new().with("chosen.yaml", "version: 1\nagnt: x\n");
    let output = place.command(&["validate"]).env("TOOLGATE_CONFIG", "chosen.yaml").output().expect("runs");
    assert!(Answer::of(&output).output.contains("chosen.yaml:2:1"));
}

#[test]
fn the_schema_is_printed() {
    let schema = Place::new().run(&["schema"]).json();
    assert_eq!(schema["$schema"].as_str(), Some("https://json-schema.org/draft/2020-12/schema"));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_reader_that_has_enough_is_no_fault() {
    let mut child = Place::new().command(&["schema"]).stdout(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_trail_that_is_none_is_not_sound() {
    let place = Place::new().with("trail.jsonl", "{}\n").with("empty.jsonl", "");
    let answer = place.run(&["audit", "verify", "trail.jsonl"]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.errors.contains("`trail.jsonl` is not sound: line 1:"), "{}", answer.errors);
    assert_eq!(place.run(&["audit", "verify", "empty.jsonl", "-o", "json"]).json()["lines"], 0);
    let missing = place.run(&["audit", "verify"]);
    assert!(missing.errors.contains("state/audit.jsonl`: No such file"), "{}", missing.errors);
    assert_eq!(place.run(&["audit", "tail", "trail.jsonl"]).output, "{}\n");
}

#[test]
fn status_asks_the_operations_port() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a client");
        let mut request = String::new();
        let mut lines = BufReader::new(&connection).lines();
        while let Some(line) = lines.next().map(|line| line.expect("text")).filter(|line| !line.is_empty()) {
            request.push_str(&line);
            request.push('\n');
        }
        let body = r#"{"version":"9","revision":4,"sessions":0,"servers":[{"name":"git","transport":"stdio","state":"ready"}]}"#;
        write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .expect("written");
        request
    });
    let place = Place::new();
    let answer = place.run(&["status", "--ops-listen", &address]);
    let request = server.join().expect("the server saw a request");
    assert!(request.starts_with("GET /status HTTP/1.0\n") && request.contains(&format!("Host: {address}\n")));
    assert!(
        answer.output.starts_with("Toolgate 9, revision 4, 0 sessions\n"),
        "{} {}",
        answer.output,
        answer.errors
    );
    let nobody = place.run(&["status", "--ops-listen", &address]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.errors.contains(&format!("no gateway answers on {address}")), "{}", nobody.errors);
}

#[test]
fn help_has_examples_for_every_command() {
    let place = Place::new();
    for command in ["serve", "stdio", "token", "audit", "status", "schema", "validate", "demo"] {
        let help = place.run(&[command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(help.output.contains("Example"), "{}", help.output);
        assert!(!help.output.contains(&Path::new(env!("CARGO_MANIFEST_DIR")).display().to_string()));
    }
}

#[test]
fn a_token_that_is_dead_already_is_not_created() {
    let place = Place::new();
    let answer = place.run(&["token", "create", "--agent", "a", "--expires", "2020-01-31T00:00:00Z"]);
    assert_eq!((answer.code, answer.output.as_str()), (Some(1), ""));
    assert!(
        answer.errors.contains("`--expires` names 2020-01-31T00:00:00Z, which is past"),
        "{}",
        answer.errors
    );
    assert_eq!(place.run(&["token", "list", "-o", "json"]).json(), Value::Array(vec![]));
}

#[test]
fn help_has_help() {
    let place = Place::new();
    for arguments in [&["help", "--help"][..], &["help", "-h"], &["help", "token", "--help"]] {
        let answer = place.run(arguments);
        assert_eq!(answer.code, Some(0), "{arguments:?}: {}", answer.errors);
        assert!(answer.output.contains("Usage: toolgate"), "{arguments:?}: {}", answer.output);
    }
}

#[test]
fn no_answer_is_not_a_denial() {
    let place = Place::new()
        .with("toolgate.yaml", "version: 1\nservers: { a: { builtin: demo } }\nrules: { agents: {} }\n")
        .with("broken.yaml", "version: 1\nservres: {}\n")
        .with("batch.jsonl", "{\"server\": \"a\", \"expect\": \"deny\"}\n{\"srv\": 1}\n");
    let test = |arguments: &[&str]| place.run(&[&["policy", "test"], arguments].concat()).code;
    assert_eq!(test(&["--agent", "x", "--server", "a"]), Some(1));
    assert_eq!(test(&["--agent", "x", "--server", "a", "--config", "broken.yaml"]), Some(3));
    assert_eq!(test(&["--agent", "x", "--server", "a", "--rules", "none.json"]), Some(3));
    assert_eq!(test(&["--batch", "batch.jsonl"]), Some(3));
    assert_eq!(test(&["--batch", "none.jsonl"]), Some(3));
    assert_eq!(test(&["--agent", "x"]), Some(2));
}

#[test]
fn the_example_is_accepted_as_it_is() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../toolgate.example.yaml");
    let place = Place::new().with("toolgate.yaml", &fs::read_to_string(example).expect("it is there"));
    let output = place.command(&["validate"]).env("GITHUB_TOKEN", "x").output().expect("runs");
    let answer = Answer::of(&output);
    assert_eq!(answer.code, Some(0), "{}{}", answer.output, answer.errors);
}

#[test]
fn a_file_that_is_not_there_comes_with_help() {
    let place = Place::new().with("toolgate.yaml", "version: 1\ninclude: [none.json]\n");
    let included = place.run(&["validate"]).output;
    assert!(
        included.contains("cannot read `none.json`") && included.contains("help: take the file out of"),
        "{included}"
    );
    for command in ["validate", "serve"] {
        let named = place.run(&[command, "--config", "none.yaml"]);
        assert_eq!(named.code, Some(1));
        assert!(named.errors.contains("= help: name a file that is there"), "{command}: {}", named.errors);
    }
}

#[test]
fn a_reader_of_the_demo_that_has_enough_is_no_fault() {
    let place = Place::new();
    let mut command = place.command(&["demo"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    lines.read_line(&mut String::new()).expect("a line");
    drop(lines);
    let answer = Answer::of(&child.wait_with_output().expect("it ends"));
    assert_eq!((answer.code, answer.errors.as_str()), (Some(0), ""));
}

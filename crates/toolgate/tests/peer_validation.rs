//! The servers' file is validated under `--compat agent-mcp-gateway` with that gateway's own answers, which were recorded
//! from it and lie beside this workspace. Those about rules are tested in `policy`.

use std::path::Path;

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};
use toolgate::config::peer_validation::mcp_config;

/// Cases of this validator in the recording.
const RECORDED: usize = 39;

#[test]
fn every_recorded_answer_is_given_word_by_word() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/policy_validation_vectors.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("the vectors must lie beside the workspace, in ../shared/vectors: {error}")
    });
    let recording: Value = serde_json::from_str(&text).unwrap();
    let cases = recording["cases"].as_array().unwrap();
    let cases: Vec<&Value> = cases.iter().filter(|case| case["fn"] == "validate_mcp_config").collect();
    assert_eq!(cases.len(), RECORDED);
    for case in cases {
        let answer = mcp_config(&case["input"]);
        assert_eq!(json!(answer.is_ok()), case["valid"], "{case}");
        assert_eq!(json!(answer.err()), case["error"], "{case}");
    }
}

#[test]
fn what_the_recording_leaves_out_is_refused_in_the_same_words() {
    let cases = [
        (json!(null), "MCP server configuration must be a JSON object, got NoneType"),
        (json!({"mcpServers": null}), "\"mcpServers\" must be an object, got NoneType"),
        (server(&json!(1.5)), "Server \"s\" configuration must be an object, got float"),
        (server(&json!({"command": null})), "Server \"s\": \"command\" must be a string, got NoneType"),
        (
            server(&json!({"command": null, "url": null})),
            "Server \"s\" cannot have both \"command\" (stdio) and \"url\" (HTTP) - specify one transport type only",
        ),
        (
            server(&json!({"command": "x", "args": [], "env": {"A": true}})),
            "Server \"s\": env[\"A\"] must be a string, got bool",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(mcp_config(&file), Err(expected.to_owned()), "{file}");
    }
}

#[test]
fn the_first_fault_of_the_file_is_told() {
    let file = r#"{"mcpServers": {"z": {"command": 1, "args": 1, "env": 1}, "a": {"url": 1}}}"#;
    let told = mcp_config(&serde_json::from_str(file).unwrap());
    assert_eq!(told, Err("Server \"z\": \"command\" must be a string, got int".to_owned()));
}

#[test]
fn an_address_is_told_without_its_secrets() {
    let cases = [
        ("ftp://ada:hidden@host/mcp", "ftp://***@host/mcp"),
        ("ftp://host/mcp?key=hidden", "ftp://host/mcp***"),
        ("ada:hidden@host/mcp#hidden", "***@host/mcp***"),
        ("ws://host:1/@x", "ws://***@x"),
        ("host", "host"),
        ("", ""),
    ];
    for (url, shown) in cases {
        let told = mcp_config(&server(&json!({"url": url})));
        let expected = format!("Server \"s\": \"url\" must start with http:// or https://, got \"{shown}\"");
        assert_eq!(told, Err(expected));
    }
}

fn server(entry: &Value) -> Value {
    json!({"mcpServers": {"s": entry}})
}

/// Keys that the validator looks at, more often than others.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["mcpServers", "command", "args", "url", "env", "headers"]).prop_map(str::to_owned),
        any::<String>(),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "(http|ftp)://.{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let members = vec((key(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_gets_an_answer(file in any_json(), entry in any_json()) {
        for file in [file, server(&entry)] {
            if let Err(problem) = mcp_config(&file) {
                prop_assert!(!problem.is_empty());
            }
        }
    }

    #[test]
    fn what_is_accepted_has_one_transport_with_texts(entry in any_json()) {
        if mcp_config(&server(&entry)).is_ok() {
            let transports = [entry.get("command"), entry.get("url")];
            prop_assert_eq!(transports.into_iter().flatten().filter(|value| value.is_string()).count(), 1);
        }
    }
}

//! What the gateway's own tools say to those who ask for the wrong thing or at the wrong time, and what the trail keeps
//! of it. Who may reach what through them is in `exposure.rs`.

use protocol::Era;
use serde_json::{Value, json};

use crate::client::Client;
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, within};

/// Longer than any test: a server that takes so long never comes.
const NEVER_MS: &str = "600000";
/// How long a search waits for it.
const STARTUP_WAIT_MS: u64 = 300;

/// Starts a gateway with a server that is there and two that are not: one starts for ever, one is for `wide` alone.
async fn with_servers_missing(exposure: &str) -> Gateway {
    let place = Place::configured(json!({
        "servers": {
            "one": child(&[]),
            "slow": child(&["--greeting-delay-ms", NEVER_MS]),
            "hidden": child(&["--greeting-delay-ms", NEVER_MS]),
        },
        "rules": {
            "agents": {
                "wide": {"allow": {"servers": ["*"]}},
                "narrow": {"allow": {"servers": ["one", "slow"]}},
            },
            "defaults": {"deny_on_missing_agent": true},
        },
        "exposure": {"http": exposure},
        "startup_wait_ms": STARTUP_WAIT_MS,
    }));
    let gateway = place.serve().await;
    gateway.until_server("one", |server| server["state"] == "ready").await;
    gateway
}

async fn called(client: &mut Client, tool: &str, arguments: Value) -> Value {
    client.call(tool, arguments).await["result"].clone()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

fn error(result: &Value) -> (&str, &str) {
    let error = &result["structuredContent"]["error"];
    (error["code"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default())
}

#[test]
fn a_search_names_the_servers_that_it_could_not_look_into() {
    within(USUAL, async {
        let gateway = with_servers_missing("search").await;
        for era in [Era::Legacy, Era::Modern] {
            let mut client = gateway.client(era).await;
            let found = json!({"agent_id": "narrow", "query": "echo the text"});
            let found = called(&mut client, "search_tools", found).await;
            assert_eq!(found["structuredContent"]["tools"][0]["tool"], "echo", "{found}");
            assert_eq!(found["structuredContent"]["not_ready"], json!(["slow"]), "{found}");
            assert!(text(&found).starts_with("one: echo("), "{found}");
            assert!(text(&found).ends_with("missing here: slow"), "{found}");
            let nothing = json!({"agent_id": "wide", "query": "zxqvw"});
            let nothing = called(&mut client, "search_tools", nothing).await;
            assert!(text(&nothing).starts_with("No tool fits."), "{nothing}");
            assert_eq!(nothing["structuredContent"]["tools"], json!([]), "{nothing}");
            let unready = nothing["structuredContent"]["not_ready"].as_array().expect("names").clone();
            assert!(unready.len() == 2 && unready.contains(&json!("hidden")), "{nothing}");
            let one = json!({"agent_id": "wide", "query": "echo", "server": "one"});
            let one = called(&mut client, "search_tools", one).await;
            assert!(one["structuredContent"].get("not_ready").is_none(), "{one}");
            let slow = json!({"agent_id": "narrow", "query": "echo", "server": "slow"});
            let slow = called(&mut client, "search_tools", slow).await;
            assert!(text(&slow).starts_with("Server `slow` is not ready: "), "{slow}");
        }
    });
}

#[test]
fn a_search_in_a_server_that_is_absent_or_hidden_says_the_same() {
    within(USUAL, async {
        let gateway = with_servers_missing("search").await;
        let mut client = gateway.client(Era::Modern).await;
        let mut answers = Vec::new();
        for name in ["absent", "hidden"] {
            let search = json!({"agent_id": "narrow", "query": "echo", "server": name});
            let answer = called(&mut client, "search_tools", search).await;
            assert_eq!(text(&answer), format!("No server `{name}`. Servers: one, slow"), "{answer}");
            answers.push(answer.to_string().replace(name, "?"));
        }
        assert_eq!(answers[0], answers[1]);
        for empty in [json!({"agent_id": "narrow"}), json!({"agent_id": "narrow", "query": " "})] {
            let refused = called(&mut client, "search_tools", empty).await;
            let (code, message) = error(&refused);
            assert_eq!(code, "INVALID_PARAMS", "{refused}");
            assert!(message.contains("`query` is needed: what the tool should do"), "{refused}");
        }
    });
}

#[test]
fn a_call_without_its_server_or_tool_is_told_what_is_missing() {
    within(USUAL, async {
        for exposure in ["search", "discovery"] {
            let gateway = with_servers_missing(exposure).await;
            let mut client = gateway.client(Era::Modern).await;
            for (given, missing) in [
                (json!({"agent_id": "wide", "tool": "echo"}), "`server` is needed"),
                (json!({"agent_id": "wide", "server": "one"}), "`tool` is needed"),
            ] {
                let refused = called(&mut client, "execute_tool", given).await;
                let (code, message) = error(&refused);
                assert!(code == "INVALID_PARAMS" && message.contains(missing), "{exposure}: {refused}");
            }
            // Where agent-mcp-gateway's definition is shown, the rules speak first, as there.
            let expected = if exposure == "search" { "INVALID_PARAMS" } else { "DENIED_BY_POLICY" };
            let refused = called(&mut client, "execute_tool", json!({"agent_id": "narrow"})).await;
            assert_eq!(error(&refused).0, expected, "{exposure}: {refused}");
        }
        let gateway = with_servers_missing("discovery").await;
        let mut client = gateway.client(Era::Modern).await;
        let unnamed = called(&mut client, "get_server_tools", json!({"agent_id": "wide"})).await;
        assert_eq!(unnamed["structuredContent"]["code"], "INVALID_PARAMS", "{unnamed}");
    });
}

#[test]
fn the_record_of_a_wrong_call_has_what_the_caller_named_and_nothing_empty() {
    within(USUAL, async {
        let gateway = with_servers_missing("discovery").await;
        let mut client = gateway.client(Era::Modern).await;
        let wrong = [
            ("execute_tool", json!({"agent_id": "wide", "server": "one", "tool": "echo", "timeout_ms": -1})),
            ("execute_tool", json!({"agent_id": "wide", "tool": "echo"})),
            ("execute_tool", json!({"agent_id": "wide", "extra": 1})),
            ("get_server_tools", json!({"agent_id": "wide", "server": "one", "extra": 1})),
            ("list_servers", json!({"extra": 1})),
        ];
        let expected = [
            (json!("one"), json!("echo")),
            (Value::Null, json!("echo")),
            (Value::Null, Value::Null),
            (json!("one"), Value::Null),
            (Value::Null, Value::Null),
        ];
        for (tool, arguments) in wrong {
            called(&mut client, tool, arguments).await;
        }
        let ends = eventually(|| async {
            let ends = gateway.trail.ends();
            (ends.len() == expected.len()).then_some(ends)
        })
        .await;
        for (end, (server, target)) in ends.iter().zip(&expected) {
            assert_eq!(end["code"], "INVALID_PARAMS", "{end}");
            assert_eq!((&end["server"], &end["target"]), (server, target), "{end}");
        }
        let lines = gateway.trail.lines();
        let is_empty = |line: &&Value| line["server"] == "" || line["target"] == "";
        assert_eq!(lines.iter().find(is_empty), None);
    });
}

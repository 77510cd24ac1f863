//! Access tokens from end to end: created and revoked by the program, felt by callers, named in audit.

use std::process::Stdio;
use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};

use crate::client::{initialize, legacy, modern, modern_call, text};
use crate::gateway::{Place, child};
use crate::limit::{USUAL, within};
use crate::wire::{Request, Wire};

fn two_servers() -> Value {
    json!({"one": child(&[]), "two": child(&["--speaks", "legacy"])})
}

#[test]
fn a_caller_without_a_valid_token_is_turned_away() {
    within(USUAL, async {
        let place = Place::new(two_servers());
        let (token, _) = place.token(&["--agent", "reviewer"]).await;
        let gateway = place.serve().await;
        let call = || modern_call("1", "one__echo", json!({"text": "x"}));
        let mut changed = token.clone();
        let last = changed.pop().expect("a token has letters");
        changed.push(if last == 'A' { 'B' } else { 'A' });
        let refused = [
            call(),
            call().bearer(""),
            call().bearer(&changed),
            call().bearer(&token.to_uppercase()),
            call().bearer(&format!("{token} ")).with("Authorization", format!("Bearer {token}")),
            call().with("Authorization", token.as_str()),
            call().with("Authorization", format!("Basic {token}")),
            call().with("Authorization", b"Bearer \xff\xfe".to_vec()),
            call().at(&format!("/mcp?access_token={token}")),
            legacy("1", "initialize", &initialize()),
            Request::plain("GET", "/mcp").with("Accept", "text/event-stream"),
            Request::plain("DELETE", "/mcp"),
        ];
        for request in &refused {
            let response = Wire::connect(gateway.address).await.ask(request).await;
            assert_eq!(response.head.status, 401, "{request:?}");
            assert!(
                response.head.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer"))
            );
            assert!(!String::from_utf8_lossy(&response.body).contains(&token));
        }
        let accepted = Wire::connect(gateway.address).await.ask(&call().bearer(&token)).await;
        assert_eq!(text(&accepted.message()), "x");
        let trail = gateway.trail.clone();
        let (_, said) = gateway.stop().await;
        assert!(!said.contains(&token), "a token in the log");
        assert_eq!(trail.refusals("auth_failed"), refused.len() as u64);
        assert!(
            !std::fs::read_to_string(&trail.file).expect("the trail").contains(&token),
            "a token in audit"
        );
    });
}

#[test]
fn a_revoked_token_dies_on_its_next_request() {
    within(USUAL, async {
        let place = Place::new(two_servers());
        let (kept, _) = place.token(&["--agent", "kept"]).await;
        let gateway = place.serve().await;
        for era in [Era::Modern, Era::Legacy] {
            // Created while the gateway runs: it counts at once as well.
            let (token, id) = place.token(&["--agent", "leaving"]).await;
            let mut client = gateway.door().with_token(&token).open(era).await;
            let call = client.call_request("1", "one__echo", json!({"text": "x"}));
            assert_eq!(client.send(&call).await.head.status, 200);
            let revoked = place.command(&["token", "revoke", &id]).output().await.expect("the program");
            assert!(revoked.status.success(), "{revoked:?}");
            // The very same connection and session.
            assert_eq!(client.send(&call).await.head.status, 401, "{era:?}");
        }
        let mut client = gateway.door().with_token(&kept).open(Era::Modern).await;
        assert_eq!(text(&client.call("one__echo", json!({"text": "still"})).await), "still");
    });
}

#[test]
fn an_expired_token_is_refused() {
    within(USUAL, async {
        let place = Place::new(two_servers());
        let (token, _) = place.token(&["--agent", "brief", "--expires", "2s"]).await;
        let gateway = place.serve().await;
        let call = modern("1", "tools/list", json!({})).bearer(&token);
        let first = Wire::connect(gateway.address).await.ask(&call).await.head.status;
        assert!(matches!(first, 200 | 401), "{first}");
        crate::limit::eventually(|| async {
            let status = Wire::connect(gateway.address).await.ask(&call).await.head.status;
            (status == 401).then_some(())
        })
        .await;
    });
}

#[test]
fn a_token_for_one_server_sees_and_calls_only_that() {
    within(USUAL, async {
        let place = Place::new(two_servers());
        let (token, _) = place.token(&["--agent", "narrow", "--server", "one"]).await;
        let gateway = place.serve().await;
        gateway.ready().await;
        for era in [Era::Modern, Era::Legacy] {
            let door = gateway.door().with_token(&token);
            let mut client = door.open(era).await;
            let tools = client.tools().await;
            assert!(!tools.is_empty() && tools.iter().all(|tool| tool.starts_with("one__")), "{tools:?}");
            assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x");
            // A server that is there and one that is not look the same.
            let hidden = client.call("two__echo", json!({"text": "x"})).await;
            let unknown = client.call("six__echo", json!({"text": "x"})).await;
            assert_eq!(hidden["error"]["code"], -32602, "{hidden}");
            let without_name =
                |answer: &Value| answer["error"].to_string().replace("two", "?").replace("six", "?");
            assert_eq!(without_name(&hidden), without_name(&unknown));
            // The endpoint of the hidden server shows nothing.
            let mut hidden = door.only("two").open(era).await;
            let mut unknown = door.only("six").open(era).await;
            let (hidden_list, unknown_list) =
                (hidden.ask("tools/list", json!({})).await, unknown.ask("tools/list", json!({})).await);
            assert_eq!(hidden_list["result"]["tools"], unknown_list["result"]["tools"]);
            assert_eq!(
                hidden_list.get("error").map(|e| &e["code"]),
                unknown_list.get("error").map(|e| &e["code"])
            );
            let hidden_call = hidden.call("echo", json!({"text": "x"})).await;
            let unknown_call = unknown.call("echo", json!({"text": "x"})).await;
            assert_eq!(hidden_call["error"], unknown_call["error"]);
        }
        let trail = gateway.trail.clone();
        gateway.stop().await;
        let denied = trail.ends().into_iter().filter(|end| end["code"] == "DENIED_BY_POLICY").count();
        assert!(denied >= 2, "audit knows the difference: {:?}", trail.ends());
    });
}

#[test]
fn audit_names_the_agent_and_how_it_is_known() {
    within(USUAL, async {
        let place = Place::new(two_servers());
        let options = ["--agent", "reviewer", "--user", "ada@example.com", "--role", "developer"];
        let (token, id) = place.token(&options).await;
        let gateway = place.serve().await;
        for era in [Era::Modern, Era::Legacy] {
            let mut client = gateway.door().with_token(&token).open(era).await;
            client.call("one__echo", json!({"text": "x"})).await;
        }
        let trail = gateway.trail.clone();
        gateway.stop().await;
        let calls = trail.calls();
        assert_eq!(calls.len(), 2);
        for call in calls.values() {
            let (begin, end) = (call.begin.as_ref().expect("a begin"), call.end.as_ref().expect("an end"));
            assert_eq!((&begin["agent_id"], &begin["agent_source"]), (&json!("reviewer"), &json!("token")));
            assert_eq!((&begin["user"], &begin["token_id"]), (&json!("ada@example.com"), &json!(id)));
            assert_eq!((&end["agent_id"], &end["outcome"]), (&json!("reviewer"), &json!("ok")));
            assert_eq!((&begin["server"], &begin["method"]), (&json!("one"), &json!("tools/call")));
        }
        let sessions: Vec<&Value> =
            calls.values().map(|call| &call.begin.as_ref().expect("a begin")["session"]).collect();
        assert_eq!(
            sessions.iter().filter(|session| session.is_string()).count(),
            1,
            "only the legacy call has one"
        );

        // Without a token: whoever started the gateway says who calls.
        let place = Place::new(two_servers());
        let mut pipe = place.launch_with(&["stdio", "--agent", "desk", "--exposure", "direct"]);
        pipe.initialize().await;
        pipe.call(Era::Legacy, "one__echo", json!({"text": "x"})).await;
        let (status, _) = pipe.end().await;
        assert!(status.success(), "{status:?}");
        let begin = place.trail().calls().into_values().next().and_then(|call| call.begin).expect("a begin");
        assert_eq!((&begin["agent_id"], &begin["agent_source"]), (&json!("desk"), &json!("launch")));
        assert_eq!(begin["transport"], "stdio");
    });
}

#[test]
fn a_bind_beyond_loopback_without_a_token_refuses_to_start() {
    within(USUAL, async {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let place = Place::new(two_servers()).listening_on(address);
            let mut command = place.command(&place.serve_arguments());
            command.stdin(Stdio::null());
            let ended = tokio::time::timeout(Duration::from_secs(20), command.output()).await;
            let output = ended.expect("it ends by itself").expect("the program");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{said}");
            assert!(said.contains("token"), "the message says what helps: {said}");
            assert!(!said.contains("endpoint"), "it never listened: {said}");
        }
        // With one it starts, and says that plain HTTP shows tokens to the network.
        let place = Place::new(two_servers()).listening_on("0.0.0.0:0");
        let (token, _) = place.token(&["--agent", "far"]).await;
        let gateway = place.serve().await;
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], gateway.address.port()));
        let call = modern_call("1", "one__echo", json!({"text": "x"}));
        assert_eq!(Wire::connect(address).await.ask(&call).await.head.status, 401);
        assert_eq!(Wire::connect(address).await.ask(&call.bearer(&token)).await.head.status, 200);
        let (_, said) = gateway.stop().await;
        assert!(said.to_lowercase().contains("plain http") || said.contains("TLS"), "no warning: {said}");
    });
}

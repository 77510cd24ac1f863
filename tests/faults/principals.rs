//! Many callers over shared upstreams, all with the same ids at the same time: each gets its own answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::text;
use crate::gateway::{Place, child, http};
use crate::limit::{scaled, within};

/// Calls of all principals together.
const CALLS: usize = 20_000;
const PRINCIPALS: usize = 20;
/// Connections of one principal, which use the same ids at the same time.
const CONNECTIONS: usize = 2;

#[test]
fn s29_twenty_principals_with_equal_ids_get_only_their_own_answers() {
    within(Duration::from_secs(170), async {
        let legacy = FakeServer::start(Script::new(Speaks::Legacy)).await;
        let modern = FakeServer::start(Script::new(Speaks::Modern)).await;
        let place = Place::new(json!({
            "a": child(&["--speaks", "legacy"]),
            "b": child(&["--speaks", "modern"]),
            "c": http(&legacy),
            "d": http(&modern),
        }));
        let mut tokens = Vec::new();
        for number in 0..PRINCIPALS {
            tokens.push(place.token(&["--agent", &format!("agent-{number}")]).await.0);
        }
        let gateway = place.serve().await;
        gateway.ready().await;
        let each = scaled(CALLS).div_ceil(PRINCIPALS * CONNECTIONS);
        let mut tasks = Vec::new();
        for (principal, token) in tokens.iter().enumerate() {
            for connection in 0..CONNECTIONS {
                let era = if (principal + connection) % 2 == 0 { Era::Legacy } else { Era::Modern };
                let mut client = gateway.door().with_token(token).open(era).await;
                tasks.push(tokio::spawn(async move {
                    for call in 0..each {
                        let mark = format!("{principal}/{connection}/{call}");
                        // Everybody counts alike, as numbers and as text.
                        let id = if call % 3 == 0 { format!("\"{call}\"") } else { call.to_string() };
                        let tool = ["a__echo", "b__echo", "c__echo", "d__echo"][(call + principal) % 4];
                        let delay = if call % 50 == 0 { 5 } else { 0 };
                        let request =
                            client.call_request(&id, tool, json!({"text": mark, "delay_ms": delay}));
                        let messages = client.send(&request).await.messages();
                        assert_eq!(messages.len(), 1, "{messages:?}");
                        assert_eq!(messages[0]["id"].to_string(), id, "an answer to another id");
                        assert_eq!(text(&messages[0]), mark, "an answer to somebody else");
                    }
                }));
            }
        }
        let count = tasks.len() * each;
        for task in tasks {
            task.await.expect("no answer went astray");
        }
        // A session at a legacy server is one principal's alone.
        let mut owners = BTreeMap::<String, BTreeSet<String>>::new();
        for request in legacy.seen().requests().iter().filter(|request| request.calls("echo")) {
            let session = request.headers.get("mcp-session-id").cloned().unwrap_or_default();
            let mark = request.json()["params"]["arguments"]["text"].as_str().unwrap_or_default().to_owned();
            owners.entry(session).or_default().insert(mark.split('/').next().unwrap_or_default().to_owned());
        }
        assert!(owners.values().all(|owners| owners.len() == 1), "shared sessions: {owners:?}");
        assert_eq!(owners.len(), PRINCIPALS, "one session for each principal");

        let trail = gateway.trail.clone();
        gateway.stop().await;
        let calls = trail.calls();
        assert_eq!(calls.len(), count);
        for call in calls.values() {
            let (begin, end) = (call.begin.as_ref().expect("a begin"), call.end.as_ref().expect("an end"));
            assert_eq!((&begin["agent_id"], &end["outcome"]), (&end["agent_id"], &Value::from("ok")));
        }
        trail.verify().await;
    });
}

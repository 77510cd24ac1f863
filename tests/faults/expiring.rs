//! A server forgets its sessions while many calls are on their way: each is carried out at most once, each caller gets
//! one answer, and the clients' own sessions live on.

use std::collections::BTreeSet;

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Speaks};

use crate::client::{failure, text};
use crate::gateway::{Place, http};
use crate::limit::{USUAL, eventually, within};

const CALLERS: usize = 50;
/// Calls of one caller: so many times the sessions may expire between them.
const CALLS: usize = 4;

#[test]
fn a_session_that_expires_under_fifty_callers_costs_nobody_a_call() {
    within(USUAL, async {
        let server = FakeServer::start(Script::new(Speaks::Legacy)).await;
        let gateway = Place::new(json!({"one": http(&server)})).serve().await;
        gateway.ready().await;
        let mut clients = Vec::new();
        for _ in 0..CALLERS {
            clients.push(gateway.door().open(Era::Legacy).await);
        }
        assert_eq!(text(&clients[0].call("one__echo", json!({"text": "first"})).await), "first");
        let openings = || {
            server.seen().requests().iter().filter(|request| request.json()["method"] == "initialize").count()
        };
        let before = openings();
        let mut tasks = Vec::new();
        server.expire_sessions();
        for (caller, mut client) in clients.into_iter().enumerate() {
            tasks.push(tokio::spawn(async move {
                let session = client.session.clone();
                for call in 0..CALLS {
                    let mark = format!("{caller}/{call}");
                    let answer = client.call("one__write", json!({"mark": mark, "delay_ms": 30})).await;
                    assert_eq!(failure(&answer), "", "{mark}: {answer}");
                }
                assert_eq!(client.session, session, "the client's own session");
                assert_eq!(text(&client.call("one__echo", json!({"text": "last"})).await), "last");
            }));
        }
        // While the calls are under way, the sessions go twice more.
        for part in [CALLERS, CALLERS * 2] {
            eventually(|| async { (server.seen().marks().len() >= part).then_some(()) }).await;
            server.expire_sessions();
        }
        for task in tasks {
            task.await.expect("every caller got its answers");
        }
        let marks = server.seen().marks();
        let different: BTreeSet<&String> = marks.iter().collect();
        assert_eq!(marks.len(), different.len(), "a call was carried out twice: {marks:?}");
        assert_eq!(different.len(), CALLERS * CALLS, "a call was lost");
        // After each of the three expiries one opening for the callers, who are one principal, and one for the gateway
        // itself if it asked anything then; not one for each caller.
        let openings = openings() - before;
        assert!((3..=6).contains(&openings), "{openings} sessions were opened");
        gateway.stop().await;
    });
}

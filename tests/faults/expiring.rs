//! A server forgets its sessions while many calls are on their way: each is carried out at most once, each caller gets
//! one answer, and the clients' own sessions live on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Speaks};

use crate::client::{Client, failure, text};
use crate::gateway::{Place, http};
use crate::limit::{USUAL, within};

const CALLERS: usize = 50;
/// The fewest calls of one caller; it goes on for as long as sessions expire.
const CALLS: usize = 4;

/// Calls until `is_over`; returns how many calls that took.
async fn call_until(is_over: Arc<AtomicBool>, mut client: Client, caller: usize) -> usize {
    let session = client.session.clone();
    let mut calls = 0;
    while calls < CALLS || !is_over.load(Ordering::Relaxed) {
        let mark = format!("{caller}/{calls}");
        let answer = client.call("one__write", json!({"mark": mark, "delay_ms": 30})).await;
        assert_eq!(failure(&answer), "", "{mark}: {answer}");
        calls += 1;
    }
    assert_eq!(client.session, session, "the client's own session");
    assert_eq!(text(&client.call("one__echo", json!({"text": "last"})).await), "last");
    calls
}

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
        let is_over = Arc::new(AtomicBool::new(false));
        server.expire_sessions();
        for (caller, client) in clients.into_iter().enumerate() {
            tasks.push(tokio::spawn(call_until(Arc::clone(&is_over), client, caller)));
        }
        // While calls are under way, the sessions go twice more.
        for part in [CALLERS, CALLERS * 2] {
            server.seen().until(|seen| seen.marks().len() >= part).await;
            let opened = openings();
            server.expire_sessions();
            server.seen().until(|_| openings() > opened).await;
        }
        is_over.store(true, Ordering::Relaxed);
        let mut calls = 0;
        for task in tasks {
            calls += task.await.expect("every caller got its answers");
        }
        let marks = server.seen().marks();
        let different: BTreeSet<&String> = marks.iter().collect();
        assert_eq!(marks.len(), different.len(), "a call was carried out twice: {marks:?}");
        assert_eq!(different.len(), calls, "a call was lost");
        // After each of the three expiries one opening for the callers, who are one principal, and one for the gateway
        // itself if it asked anything then; not one for each caller.
        let openings = openings() - before;
        assert!((3..=6).contains(&openings), "{openings} sessions were opened");
        gateway.stop().await;
    });
}

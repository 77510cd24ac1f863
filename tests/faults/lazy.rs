//! Lazy servers: asleep until somebody needs what they may offer, and then as if they had been there all along.

use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::{Value, json};

use crate::client::{failure, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, within};
use crate::process;

/// Long enough for any start on a busy machine: who waits for it has lost.
const LONG_WAIT_MS: u64 = 40_000;

fn lazy(arguments: &[&str]) -> Value {
    let mut server = child(arguments);
    server["startup"] = json!("lazy");
    server
}

fn place(servers: &Value, wait_ms: u64) -> Place {
    Place::configured(json!({"servers": servers, "startup_wait_ms": wait_ms}))
}

/// Starts a gateway whose eager servers have settled; checks that its lazy server sleeps.
async fn asleep(place: &Place, eager: usize) -> Gateway {
    let gateway = place.serve().await;
    eventually(|| async { (gateway.status().await["settled"] == true).then_some(()) }).await;
    let server = gateway.server("one").await;
    assert_eq!((&server["state"], &server["pid"]), (&json!("lazy"), &Value::Null), "{server}");
    assert_eq!(children(&gateway), eager, "{:?}", process::descendants(gateway.pid()));
    gateway
}

/// Counts the fake servers; other processes of the gateway are its own affair.
fn children(gateway: &Gateway) -> usize {
    process::descendants(gateway.pid()).iter().filter(|process| process.name == "fake-stdio").count()
}

#[test]
fn a_lazy_server_is_started_by_the_first_listing_and_is_in_it() {
    for era in [Era::Legacy, Era::Modern] {
        within(USUAL, async {
            let servers = json!({"one": lazy(&["--greeting-delay-ms", "300"]), "eager": child(&[])});
            let gateway = asleep(&place(&servers, LONG_WAIT_MS), 1).await;
            let (mut client, mut other) = (gateway.client(era).await, gateway.client(era).await);
            assert_eq!(children(&gateway), 1, "a client that only opens wakes nobody");
            let (tools, same) = tokio::join!(client.tools(), other.tools());
            assert!(tools.contains(&"one__echo".to_owned()), "{tools:?}");
            assert_eq!(tools, same, "who comes at the same time waits as well");
            assert_eq!(children(&gateway), 2);
        });
    }
}

#[test]
fn a_lazy_server_is_started_by_the_first_call_of_its_tool() {
    for era in [Era::Legacy, Era::Modern] {
        within(USUAL, async {
            let servers = json!({"one": lazy(&["--greeting-delay-ms", "300"]), "eager": child(&[])});
            let gateway = asleep(&place(&servers, LONG_WAIT_MS), 1).await;
            let mut client = gateway.client(era).await;
            assert_eq!(text(&client.call("eager__echo", json!({"text": "x"})).await), "x");
            assert_eq!(children(&gateway), 1, "a known name wakes nobody");
            assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x");
        });
    }
}

#[test]
fn a_lazy_server_that_fails_ends_the_wait() {
    within(USUAL, async {
        let gateway = asleep(&place(&json!({"one": lazy(&["--exit-at-start", "7"])}), LONG_WAIT_MS), 0).await;
        let mut client = gateway.client(Era::Modern).await;
        let begun = Instant::now();
        assert!(client.tools().await.is_empty());
        let answer = client.call("one__echo", json!({})).await;
        assert!(failure(&answer) == "SERVER_UNAVAILABLE" || answer["error"]["code"] == -32602, "{answer}");
        assert!(begun.elapsed() < Duration::from_millis(LONG_WAIT_MS) / 2, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_mute_lazy_server_is_waited_for_once_and_not_longer_than_allowed() {
    within(USUAL, async {
        // Long enough for a listing and a call on a busy machine.
        let wait = Duration::from_secs(5);
        let servers = json!({"one": lazy(&["--mute"]), "eager": child(&[])});
        let gateway = asleep(&place(&servers, 5_000), 1).await;
        let mut client = gateway.client(Era::Modern).await;
        // The time counts from the waking, not from the start of the gateway.
        let begun = Instant::now();
        let tools = client.tools().await;
        assert!(begun.elapsed() >= wait, "{:?}", begun.elapsed());
        assert!(tools.contains(&"eager__echo".to_owned()), "{tools:?}");
        let begun = Instant::now();
        assert_eq!(client.tools().await, tools);
        client.call("one__echo", json!({})).await;
        assert!(begun.elapsed() < wait, "{:?}", begun.elapsed());
    });
}

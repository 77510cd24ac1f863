//! Long and fast streams: kept alive, bounded, and in order, whoever is slower.

use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{Client, failure, text};
use crate::gateway::{Place, child, http};
use crate::limit::{USUAL, scaled, within};
use crate::process;
use crate::wire::Event;

fn reporting(client: &Client, tool: &str, count: usize, pause_ms: u64) -> crate::wire::Request {
    let arguments = json!({"count": count, "pause_ms": pause_ms});
    client.request(
        "1",
        "tools/call",
        json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}}),
    )
}

#[test]
fn r49_a_long_call_is_kept_alive_by_comments_and_answered_at_its_end() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        // Scaled down from an hour with a keep-alive of 15 s.
        let place = Place::configured(json!({
            "servers": {"one": http(&upstream), "two": child(&[])},
            "limits": {"sse_keep_alive_ms": 200},
        }));
        let gateway = place.serve().await;
        gateway.ready().await;
        for era in [Era::Legacy, Era::Modern] {
            for tool in ["one__echo", "two__echo"] {
                let client = gateway.client(era).await;
                let request = client.call_request("1", tool, json!({"text": "x", "delay_ms": 1_500}));
                let mut events = client.listen(&request).await;
                let mut comments = 0;
                let answer: Value = loop {
                    match events.next_block().await.expect("sound").expect("it goes on") {
                        Event::Comment => comments += 1,
                        Event::Data(data) => break serde_json::from_str(&data).expect("a message"),
                    }
                };
                assert_eq!(text(&answer), "x");
                assert!(comments >= 4, "{era:?} {tool}: {comments} comments");
                assert_eq!(events.next_block().await.expect("an orderly end"), None);
            }
            // Who takes JSON only gets it, however long it takes.
            let mut client = gateway.client(era).await;
            let request = client.call_request("1", "one__echo", json!({"text": "x", "delay_ms": 900}));
            let response = client.send(&request.set("Accept", "application/json")).await;
            assert_eq!(response.head.header("content-type"), Some("application/json"));
            assert_eq!(text(&response.message()), "x");
        }
    });
}

#[test]
fn r49_a_fast_stream_keeps_its_order() {
    within(USUAL, async {
        let count = scaled(5_000);
        for speaks in [Speaks::Legacy, Speaks::Modern] {
            let upstream = FakeServer::start(Script::new(speaks)).await;
            let gateway = Place::new(json!({"one": http(&upstream), "two": child(&[])})).serve().await;
            gateway.ready().await;
            for tool in ["one__progress", "two__progress"] {
                let client = gateway.client(Era::Modern).await;
                let request = reporting(&client, tool, count, 0);
                let mut events = client.listen(&request).await;
                let (mut last, mut seen) = (0, 0);
                loop {
                    let message = events.next().await.expect("the answer comes");
                    if message.get("method").is_none() {
                        assert_eq!(text(&message), "done");
                        break;
                    }
                    let progress = message["params"]["progress"].as_u64().expect("a number");
                    assert!(progress > last, "{tool}: {progress} after {last}");
                    (last, seen) = (progress, seen + 1);
                }
                assert_eq!(last, count as u64, "{tool}: the newest is never the one that is dropped");
                println!("{speaks:?} {tool}: {seen} of {count}");
            }
        }
    });
}

#[test]
fn r49_a_client_that_does_not_read_costs_a_bounded_buffer_and_hinders_nobody() {
    within(Duration::from_secs(170), async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let place = Place::configured(json!({"servers": {"one": http(&upstream), "two": child(&[])}}));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut other = gateway.client(Era::Modern).await;
        // What a first call of each kind brings in is not what is measured.
        assert_eq!(text(&other.call("two__echo", json!({"text": "x"})).await), "x");
        let small = other.call("one__bytes", json!({"size": 1_000, "framing": "chunked"})).await;
        assert_eq!(failure(&small), "", "{small}");
        for tool in ["one__progress", "two__progress"] {
            let request = reporting(&other, tool, 10, 0);
            assert_eq!(text(&other.send(&request).await.message()), "done");
        }
        process::reset_peak(gateway.pid());
        let before = process::memory_kib(gateway.pid(), "VmRSS");
        // Scaled down from 100,000 events a second.
        let count = scaled(20_000);
        let mut slow = Vec::new();
        for tool in ["one__progress", "two__progress", "one__bytes"] {
            let mut client = gateway.client(Era::Modern).await;
            let request = if tool == "one__bytes" {
                client.call_request("1", tool, json!({"size": 50_000_000, "framing": "chunked"}))
            } else {
                reporting(&client, tool, count, 0)
            };
            client.wire().send(&request.bytes(gateway.address)).await.expect("sent");
            slow.push((tool, client));
        }
        for _ in 0..200 {
            assert_eq!(text(&other.call("two__echo", json!({"text": "x"})).await), "x");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!("{grown} KiB for {} clients that do not read", slow.len());
        assert!(grown < 24 * 1024, "{grown} KiB");
        // When they read at last, what they get is in order and ends with the answer.
        for (tool, mut client) in slow {
            let response = client.wire().response().await.unwrap_or_else(|error| panic!("{tool}: {error}"));
            let messages = response.messages();
            let progress: Vec<u64> =
                messages.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
            assert!(progress.is_sorted_by(|a, b| a < b), "{tool}: out of order");
            let answer = messages.last().expect("an answer");
            assert!(answer.get("result").is_some(), "{tool}: {answer}");
        }
    });
}

//! Listeners that do not read, while there is more to say than a socket holds: each is cut off when it has taken nothing
//! for `limits.stall_ms`, and those that read hear everything meanwhile. What a storm does to listeners for which there
//! is less to say, whether they read or not, is in `listeners`.

use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Speaks};
use tokio::task::JoinSet;

use crate::client::{Client, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, eventually, scaled, within};
use crate::process;
use crate::wire::{Event, Events, Wire};

/// The shortest patience that can be configured.
const STALL_MS: u64 = 1_000;
/// Those who read beside the one that does not.
const READERS: usize = 20;
/// Messages of a round and the size of each: less than may wait for one client, so that nobody who reads misses any.
const ROUND: u64 = 12;
const MESSAGE_BYTES: u64 = 4_000;
/// The number of the message with which it is found out whether the server is heard; those of rounds count from 1.
const TRIAL: u64 = 0;
/// More than sockets ever hold, on both sides and with what lies between.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Listeners of the storm, and of how many one does not read.
const LISTENERS: usize = 1_000;
const SLOW_ONE_IN: usize = 20;
/// A storm's part: so many updates, and the pause between two, in milliseconds.
const UPDATES: u64 = 200;
const PAUSE_MS: u64 = 1;
/// Of what those who read hear without pause, and what is changed once, at the very end.
const OFTEN: &str = "note://often";
const LAST: &str = "note://last";
/// Almost the longest URI that can be subscribed to, so that sockets are soon full.
const LONG_BYTES: usize = 2_000;
/// The most that the storm may add to the gateway's memory at its peak: for each of the slow ones what waits for its socket,
/// and the pieces that the others are just told.
const STORM_KIB: u64 = 96 * 1024;

/// Returns how many clients are connected.
async fn connections(gateway: &Gateway) -> usize {
    gateway.metric("toolgate_connections", "").await as usize
}

/// Reads what a stream that was cut off still holds; fails if it goes on.
async fn until_cut_off(events: &mut Events) {
    while let Ok(Some(_)) = events.next_block().await {}
}

/// Has the server say `count` log messages, numbered on from `first`.
async fn flood(caller: &mut Client, first: u64, count: u64) {
    let arguments = json!({"first": first, "count": count, "size": MESSAGE_BYTES});
    let answer = caller.call("one__flood", arguments).await;
    assert_eq!(text(&answer), "flooded", "{answer}");
}

/// Waits for the next log message; returns its number.
async fn heard(events: &mut Events) -> u64 {
    loop {
        let message = events.next().await.expect("the stream goes on");
        if message["method"] == "notifications/message" {
            return message["params"]["data"]["number"].as_u64().expect("a number");
        }
    }
}

/// Waits for the next log message of a round; those of `until_heard` are passed over.
async fn heard_of_round(events: &mut Events) -> u64 {
    loop {
        let number = heard(events).await;
        if number != TRIAL {
            return number;
        }
    }
}

/// Opens the stream of a client that the server knows, on a connection of its own.
async fn told_by_server(gateway: &Gateway, wire: Wire) -> Events {
    let mut client = gateway.client(Era::Legacy).await;
    assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x");
    wire.listen(&client.changes_request()).await
}

#[test]
fn one_that_never_reads_is_cut_off_and_twenty_others_hear_everything() {
    within(2 * USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Legacy)).await;
        // All clients are one principal's, so they share one session there, and all hear what is said in it.
        let config = json!({"servers": {"one": http(&upstream)}, "limits": {"stall_ms": STALL_MS}});
        let gateway = Place::configured(config).serve().await;
        gateway.ready().await;
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(told_by_server(&gateway, Wire::connect(gateway.address).await).await);
        }
        let mut mute = told_by_server(&gateway, Wire::connect_narrow(gateway.address).await).await;
        let mut caller = gateway.client(Era::Legacy).await;
        until_heard(&mut caller, &mut readers).await;

        // The readers, the one that does not read, and the caller; those that only opened a session have gone.
        let all = READERS + 2;
        eventually(|| async { (connections(&gateway).await == all).then_some(()) }).await;
        let mut next = 1;
        let mut is_cut_off = false;
        // One round more, when it has gone.
        while !is_cut_off {
            is_cut_off = connections(&gateway).await < all;
            flood(&mut caller, next, ROUND).await;
            for events in &mut readers {
                for number in next..next + ROUND {
                    assert_eq!(heard_of_round(events).await, number);
                }
            }
            next += ROUND;
            assert!(next * MESSAGE_BYTES < MOST_BYTES, "it is not cut off");
        }
        println!("cut off after {} KiB", next * MESSAGE_BYTES / 1024);
        assert_eq!(gateway.metric("toolgate_requests_refused_total", "stalled_connection").await, 1.0);
        until_cut_off(&mut mute).await;
        assert_eq!(connections(&gateway).await, all - 1);
    });
}

/// Has the server speak until it is known that everybody hears it: more than once, if that takes a while.
async fn until_heard(caller: &mut Client, readers: &mut [Events]) {
    let again = Duration::from_millis(100);
    let (first, others) = readers.split_first_mut().expect("there are some");
    let mut said = 0;
    loop {
        flood(caller, TRIAL, 1).await;
        said += 1;
        if tokio::time::timeout(again, heard(first)).await.is_ok() {
            break;
        }
        assert!(said < 100, "nobody hears the server");
    }
    for events in others {
        heard(events).await;
    }
}

/// Opens a stream that hears of changes of `uris`.
async fn subscriber(gateway: &Gateway, era: Era, uris: &[&str], wire: Wire) -> Events {
    let mut client = gateway.client(era).await;
    match era {
        Era::Legacy => {
            for uri in uris {
                let answer = client.ask("resources/subscribe", json!({ "uri": uri })).await;
                assert_eq!(answer["result"], json!({}), "{answer}");
            }
            let mut events = wire.listen(&client.changes_request()).await;
            assert_eq!(events.next_block().await.expect("sound"), Some(Event::Comment));
            events
        }
        Era::Modern => {
            let wanted = json!({"notifications": {"resourceSubscriptions": uris}});
            let request = client.request("\"listen\"", "subscriptions/listen", wanted);
            let mut events = wire.listen(&request).await;
            let granted = events.next().await.expect("it is acknowledged");
            assert_eq!(granted["params"]["notifications"]["resourceSubscriptions"], json!(uris));
            events
        }
    }
}

/// Opens the listeners; returns those that read and those that do not.
async fn open(gateway: &Gateway, long: &str) -> (Vec<Events>, Vec<Events>) {
    let (mut readers, mut slow) = (Vec::new(), Vec::new());
    for number in 0..scaled(LISTENERS) {
        let era = if number % 2 == 0 { Era::Legacy } else { Era::Modern };
        if number / 2 % SLOW_ONE_IN == 0 {
            let wire = Wire::connect_narrow(gateway.address).await;
            slow.push(subscriber(gateway, era, &[long], wire).await);
        } else {
            let wire = Wire::connect(gateway.address).await;
            readers.push(subscriber(gateway, era, &[OFTEN, LAST], wire).await);
        }
    }
    (readers, slow)
}

async fn update(caller: &mut Client, uri: &str, count: u64) {
    let arguments = json!({"uri": uri, "count": count, "pause_ms": PAUSE_MS});
    let answer = caller.call("one__update", arguments).await;
    assert_eq!(text(&answer), "updated", "{answer}");
}

/// Reads until the last update; returns how many there were before.
async fn until_last(events: &mut Events) -> usize {
    let mut updates = 0;
    loop {
        let message = events.next().await.expect("the stream goes on");
        match message["params"]["uri"].as_str() {
            Some(LAST) => return updates,
            Some(OFTEN) => updates += 1,
            _ => assert_ne!(message["method"], "notifications/resources/updated", "{message}"),
        }
    }
}

/// Changes two resources without pause until the gateway has `left` connections. Returns how often each was changed.
async fn storm(gateway: &Gateway, long: &str, left: usize) -> u64 {
    let (mut one, mut other) = (gateway.client(Era::Modern).await, gateway.client(Era::Legacy).await);
    let mut updates = 0;
    while connections(gateway).await > left + 2 {
        tokio::join!(update(&mut one, long, UPDATES), update(&mut other, OFTEN, UPDATES));
        updates += UPDATES;
        assert!(updates * (LONG_BYTES as u64) < MOST_BYTES, "they are not cut off");
    }
    update(&mut one, LAST, 1).await;
    updates
}

#[test]
fn a_storm_cuts_off_those_that_do_not_read_and_a_thousand_listeners_hear_its_end() {
    within(3 * USUAL, async {
        let long = format!("note://{}", "l".repeat(LONG_BYTES - 7));
        let resources = [&long, OFTEN, LAST].join(",");
        let servers = json!({"one": child(&["--speaks", "legacy", "--resources", &resources])});
        let config = json!({"servers": servers, "limits": {"stall_ms": STALL_MS}});
        let gateway = Place::configured(config).serve().await;
        gateway.ready().await;
        let (readers, slow) = open(&gateway, &long).await;
        let (reading, cut_off) = (readers.len(), slow.len());
        eventually(|| async { (connections(&gateway).await == reading + cut_off).then_some(()) }).await;
        process::reset_peak(gateway.pid());
        let before = process::memory_kib(gateway.pid(), "VmRSS");

        let began = Instant::now();
        let mut listening = JoinSet::new();
        for mut events in readers {
            listening.spawn(async move { (until_last(&mut events).await, events) });
        }
        let updates = storm(&gateway, &long, reading).await;
        let heard = listening.join_all().await;
        let [peak, after] = ["VmHWM", "VmRSS"].map(|field| process::memory_kib(gateway.pid(), field));
        let least = heard.iter().map(|(updates, _)| *updates).min().unwrap_or_default();
        println!(
            "{updates} updates in {:?}; {cut_off} cut off, {reading} heard the last and {least} at least",
            began.elapsed()
        );
        println!("{before} KiB before, {peak} KiB at the peak, {after} KiB after");
        assert!(least > 0, "they heard of the storm too");
        assert!(peak.saturating_sub(before) < STORM_KIB, "{before} KiB, then {peak} KiB");

        for mut events in slow {
            until_cut_off(&mut events).await;
        }
        assert_eq!(connections(&gateway).await, reading, "nobody else was cut off");
        drop(heard);
        eventually(|| async { (connections(&gateway).await == 0).then_some(()) }).await;
    });
}

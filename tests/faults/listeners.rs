//! A thousand clients listen while a listing changes without pause: those that read end with the final list, those
//! that do not read hinder nobody and cost no memory, and calls go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Client, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{eventually, scaled, within};
use crate::process;
use crate::wire::Events;

const LISTENERS: usize = 1_000;
/// One of so many listeners does not read.
const SLOW_ONE_IN: usize = 5;
/// The storm: so many rounds, the changes of each, and the pause between two, so that a round outlasts the second
/// within which a client is told but once.
const ROUNDS: u64 = 3;
const CHANGES: u64 = 600;
const PAUSE_MS: u64 = 2;
/// Connections on which listeners ask for the list; one for each listener would be a thousand more.
const ASKING: usize = 8;
/// The most that a listener may cost the gateway, its connection and its session included.
const LISTENER_KIB: f64 = 64.0;
/// The most that the storm itself may add to the gateway's peak, whoever does not read.
const STORM_KIB: u64 = 32 * 1024;
/// The most that a listener may add after as many have gone: the allocator gives memory back by and by, and their
/// sessions are still kept; but what is never given back would be all of a listener's cost.
const AGAIN_KIB: f64 = 24.0;
/// Nobody waits longer than this for the answer to a call during the storm, on a busy machine.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// Silence after which a stream is taken to have nothing more.
const SILENCE: Duration = Duration::from_millis(1_500);

/// Reads until a list that was asked for because of a message holds `wanted`; returns how many messages it took.
async fn read(events: &mut Events, asking: &Mutex<Client>, wanted: &str) -> usize {
    let mut messages = 0;
    loop {
        let message = events.next().await.expect("the stream goes on");
        assert_eq!(message["method"], "notifications/tools/list_changed", "{message}");
        messages += 1;
        let tools = asking.lock().await.tools().await;
        if tools.iter().any(|tool| tool == wanted) {
            return messages;
        }
    }
}

/// Counts the messages that lie ready.
async fn left(events: &mut Events) -> usize {
    let mut messages = 0;
    while let Ok(message) = timeout(SILENCE, events.next()).await {
        assert!(message.is_some(), "the stream goes on");
        messages += 1;
    }
    messages
}

/// Calls without pause until `over`; returns how many calls there were and how long the slowest took.
async fn call_on(mut client: Client, over: Arc<AtomicBool>) -> (usize, Duration) {
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        assert_eq!(text(&client.call("two__echo", json!({"text": "x"})).await), "x");
        slowest = slowest.max(began.elapsed());
        calls += 1;
    }
    (calls, slowest)
}

/// Has every reader follow until the final list, at the side.
fn follow(readers: Vec<Events>, asking: &[Arc<Mutex<Client>>], wanted: &str) -> JoinSet<(usize, Events)> {
    let mut reading = JoinSet::new();
    for (number, mut events) in readers.into_iter().enumerate() {
        let (asking, wanted) = (Arc::clone(&asking[number % asking.len()]), wanted.to_owned());
        reading.spawn(async move { (read(&mut events, &asking, &wanted).await, events) });
    }
    reading
}

async fn asking(gateway: &Gateway) -> Vec<Arc<Mutex<Client>>> {
    let mut clients = Vec::new();
    for _ in 0..ASKING {
        let mut client = gateway.client(Era::Modern).await;
        client.tools().await;
        clients.push(Arc::new(Mutex::new(client)));
    }
    clients
}

/// Opens listeners of an era and checks what one costs.
async fn open(gateway: &Gateway, era: Era, count: usize) -> Vec<Events> {
    let before = process::memory_kib(gateway.pid(), "VmRSS");
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(gateway.client(era).await.changes().await);
    }
    let after = process::memory_kib(gateway.pid(), "VmRSS");
    let each = after.saturating_sub(before) as f64 / count as f64;
    println!("{era:?}: {before} KiB before, {after} KiB with {count} listeners: {each:.2} KiB for each");
    assert!(each < LISTENER_KIB, "{each:.1} KiB a listener");
    listeners
}

/// Opens all listeners; returns those that read and those that do not.
async fn open_all(gateway: &Gateway) -> (Vec<Events>, Vec<Events>) {
    let (mut readers, mut slow) = (Vec::new(), Vec::new());
    for era in [Era::Legacy, Era::Modern] {
        for (number, events) in open(gateway, era, scaled(LISTENERS) / 2).await.into_iter().enumerate() {
            if number % SLOW_ONE_IN == 0 { slow.push(events) } else { readers.push(events) }
        }
    }
    (readers, slow)
}

/// Has a server change its list without pause.
async fn storm(gateway: &Gateway) -> Duration {
    let began = Instant::now();
    let mut caller = gateway.client(Era::Modern).await;
    for _ in 0..ROUNDS {
        caller.call("one__relist", json!({"count": CHANGES, "pause_ms": PAUSE_MS})).await;
    }
    began.elapsed()
}

#[test]
fn a_storm_of_changes_reaches_a_thousand_listeners_and_slow_ones_hinder_nobody() {
    within(Duration::from_secs(120), async {
        let servers = json!({"one": child(&["--speaks", "legacy"]), "two": child(&[])});
        let gateway = Place::new(servers).serve().await;
        gateway.ready().await;
        let asking = asking(&gateway).await;
        let (readers, slow) = open_all(&gateway).await;
        process::reset_peak(gateway.pid());
        let before = process::memory_kib(gateway.pid(), "VmRSS");

        let over = Arc::new(AtomicBool::new(false));
        let calls = tokio::spawn(call_on(gateway.client(Era::Modern).await, Arc::clone(&over)));
        let wanted = format!("one__version_{}", ROUNDS * CHANGES);
        let began = Instant::now();
        let reading = follow(readers, &asking, &wanted);
        let storm_took = storm(&gateway).await;
        let (most, mut open) = all(reading).await;
        let all_took = began.elapsed();
        over.store(true, Ordering::Relaxed);
        let (calls, slowest) = calls.await.expect("calls are answered");
        let peak = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!(
            "the storm took {storm_took:?}; all had the final list after {all_took:?} and {most} messages"
        );
        println!("{calls} calls meanwhile, the slowest took {slowest:?}; {peak} KiB more at the peak");
        assert!(slowest < CALL_WITHIN, "{slowest:?}");
        assert!(peak < STORM_KIB, "{peak} KiB");
        // A message a second at most, whatever the storm; and no more lie ready for those that did not read.
        let bound = all_took.as_secs() as usize + 2;
        assert!(most <= bound, "{most} messages in {all_took:?}");
        let (late, slow) = all(follow(slow, &asking, &wanted)).await;
        assert!(late <= bound, "{late} messages in {all_took:?}");
        open.extend(slow);
        silent(&mut open).await;
        all_gone(&gateway, open).await;
    });
}

/// Waits until everybody has the final list; returns the most messages that one needed, and the streams.
async fn all(mut reading: JoinSet<(usize, Events)>) -> (usize, Vec<Events>) {
    let (mut most, mut open) = (0, Vec::new());
    while let Some(read) = reading.join_next().await {
        let (messages, events) = read.expect("every listener gets the final list");
        most = most.max(messages);
        open.push(events);
    }
    (most, open)
}

/// Nobody is told anything any more, since everybody has been told the last: at most what was still on its way.
async fn silent(open: &mut Vec<Events>) {
    let mut listening = JoinSet::new();
    for mut events in open.drain(..) {
        listening.spawn(async move { (left(&mut events).await, events) });
    }
    let (most, streams) = all(listening).await;
    assert!(most <= ROUNDS as usize + 1, "{most} messages lay ready");
    *open = streams;
}

/// Everybody goes, and the gateway forgets the connections; the next ones get the memory of the first.
async fn all_gone(gateway: &Gateway, open: Vec<Events>) {
    drop(open);
    let few = (2 * ASKING) as f64;
    eventually(|| async { (gateway.metric("toolgate_connections", "").await < few).then_some(()) }).await;
    let before = process::memory_kib(gateway.pid(), "VmRSS");
    let _again = open_all(gateway).await;
    let grown = process::memory_kib(gateway.pid(), "VmRSS").saturating_sub(before);
    let each = grown as f64 / scaled(LISTENERS) as f64;
    println!("{before} KiB when all had gone, {each:.2} KiB more for each of as many again");
    assert!(each < AGAIN_KIB, "{each:.1} KiB more a listener");
}

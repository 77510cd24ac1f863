//! HTTP/2 clients that give an answer no window, or ask nothing more. A socket never fills with what there is no window
//! for, and pings are answered, so both would stay for ever if only sockets were watched.

use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::json;
use tokio::time::sleep;

use crate::client::{modern, modern_call, text};
use crate::gateway::{Gateway, Place, child};
use crate::http2::{Came, Http2};
use crate::limit::{USUAL, eventually, within};
use crate::process;
use crate::wire::Request;

/// Large answers to one client: together much more than the gateway needs for itself.
const ANSWERS: u64 = 24;
const ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// How often that is done; what stayed each time would be seen.
const ROUNDS: u32 = 4;
/// The least window that lets whole frames through.
const FRAME_BYTES: u32 = 16 * 1024;
/// As much as any answer of these tests needs.
const WIDE: u32 = 64 * 1024 * 1024;
/// How long a client reads nothing: much longer than a connection stands without requests, much less than a stall.
const PAUSE: Duration = Duration::from_secs(8);

async fn gateway(limits: serde_json::Value) -> Gateway {
    let config = json!({"servers": {"one": child(&[])}, "limits": limits});
    let gateway = Place::configured(config).serve().await;
    gateway.ready().await;
    gateway
}

fn large(size: u64) -> Request {
    modern_call("1", "one__bytes", json!({ "size": size }))
}

async fn refused(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metric("toolgate_requests_refused_total", reason).await
}

async fn until_alone(gateway: &Gateway) {
    eventually(|| async { (gateway.metric("toolgate_connections", "").await == 0.0).then_some(()) }).await;
}

#[test]
fn answers_that_get_no_window_go_with_their_connection() {
    within(2 * USUAL, async {
        let gateway = gateway(json!({"stall_ms": 1_000})).await;
        untaken(&gateway).await;
        // What the allocator keeps for itself it keeps once.
        let before = process::memory_kib(gateway.pid(), "VmHWM");
        for _ in 1..ROUNDS {
            untaken(&gateway).await;
        }
        assert_eq!(refused(&gateway, "stalled_connection").await, f64::from(ROUNDS));
        let grown = process::memory_kib(gateway.pid(), "VmHWM") - before;
        println!("{before} KiB, then {grown} KiB more");
        assert!(grown < ANSWERS * ANSWER_BYTES / 1024, "{before} KiB, then {grown} KiB more");
    });
}

/// Asks for large answers and takes nothing of them until the connection is closed.
async fn untaken(gateway: &Gateway) {
    let mut client = Http2::connect(gateway.address, 0).await;
    for _ in 0..ANSWERS {
        client.ask(&large(ANSWER_BYTES)).await;
    }
    let mut heads = 0;
    while let Some(came) = client.next().await {
        match came {
            Came::Head { .. } => heads += 1,
            Came::Data { .. } => panic!("there is no window"),
            Came::Reset { .. } | Came::Goodbye => {}
        }
    }
    assert!(heads > 0, "nothing was answered");
    until_alone(gateway).await;
}

/// Waits for what comes on one stream; what comes on others is dropped.
async fn next_on(client: &mut Http2, wanted: u32) -> Came {
    loop {
        let came = client.next().await.expect("the connection is open");
        match came {
            Came::Head { stream, .. } | Came::Data { stream, .. } | Came::Reset { stream }
                if stream == wanted =>
            {
                return came;
            }
            Came::Head { .. } | Came::Data { .. } | Came::Reset { .. } | Came::Goodbye => {}
        }
    }
}

#[test]
fn an_answer_that_gets_no_window_beside_others_goes_alone() {
    within(2 * USUAL, async {
        let gateway = gateway(json!({"stall_ms": 1_000, "header_timeout_ms": 1_000})).await;
        let mut client = Http2::connect(gateway.address, 0).await;
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let standing = client.ask(&modern("1", "subscriptions/listen", wanted)).await;
        client.grant(standing, WIDE).await;
        assert!(matches!(next_on(&mut client, standing).await, Came::Head { .. }));
        let untaken = client.ask(&large(ANSWER_BYTES)).await;
        assert!(matches!(next_on(&mut client, untaken).await, Came::Head { .. }));
        eventually(|| async { (refused(&gateway, "stalled_answer").await == 1.0).then_some(()) }).await;

        // The client sees that it is incomplete.
        client.grant(untaken, WIDE).await;
        let mut taken = 0;
        loop {
            match next_on(&mut client, untaken).await {
                Came::Data { bytes, is_last, .. } => {
                    taken += bytes.len();
                    assert!(!is_last, "it looks complete after {taken} bytes");
                }
                Came::Reset { .. } => break,
                Came::Head { .. } | Came::Goodbye => panic!("one head is enough"),
            }
        }
        assert!(taken <= FRAME_BYTES as usize, "{taken} bytes were kept");

        // The connection is as good as before.
        let other = client.ask(&large(1_000)).await;
        client.grant(other, WIDE).await;
        assert!(matches!(next_on(&mut client, other).await, Came::Head { .. }));
        assert!(matches!(next_on(&mut client, other).await, Came::Data { is_last: true, .. }));
        assert_eq!(refused(&gateway, "stalled_connection").await, 0.0);
    });
}

#[test]
fn whoever_takes_an_answer_slowly_gets_all_of_it() {
    within(2 * USUAL, async {
        let stall = Duration::from_secs(2);
        let gateway = gateway(json!({"stall_ms": 2_000, "header_timeout_ms": 1_000})).await;
        let mut client = Http2::connect(gateway.address, 0).await;
        let stream = client.ask(&large(20 * u64::from(FRAME_BYTES))).await;
        assert!(matches!(next_on(&mut client, stream).await, Came::Head { .. }));
        let began = Instant::now();
        let mut taken = 0;
        loop {
            client.grant(stream, FRAME_BYTES).await;
            match next_on(&mut client, stream).await {
                Came::Data { is_last: true, .. } => break,
                Came::Data { bytes, .. } => taken += bytes.len(),
                other => panic!("{other:?} after {taken} bytes"),
            }
            sleep(stall / 8).await;
        }
        assert!(began.elapsed() > 2 * stall, "the answer took no longer than a stall");
        assert_eq!(refused(&gateway, "stalled_").await, 0.0);
    });
}

#[test]
fn an_answer_that_waits_for_window_to_its_end_arrives_whole_and_is_not_counted() {
    within(2 * USUAL, async {
        let stall = Duration::from_secs(1);
        let gateway = gateway(json!({"stall_ms": 1_000})).await;
        let mut client = Http2::connect(gateway.address, 0).await;
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let standing = client.ask(&modern("1", "subscriptions/listen", wanted)).await;
        client.grant(standing, WIDE).await;
        assert!(matches!(next_on(&mut client, standing).await, Came::Head { .. }));
        // It fits into what may be handed out at once, so nothing of it is left to lose.
        let late = client.ask(&large(1_000)).await;
        assert!(matches!(next_on(&mut client, late).await, Came::Head { .. }));
        sleep(3 * stall).await;
        client.grant(late, WIDE).await;
        let came = next_on(&mut client, late).await;
        assert!(matches!(&came, Came::Data { bytes, is_last: true, .. } if bytes.len() > 1_000), "{came:?}");
        assert_eq!(refused(&gateway, "stalled_").await, 0.0);
    });
}

#[test]
fn whoever_is_told_to_go_still_gets_what_is_on_its_way() {
    within(2 * USUAL, async {
        let gateway = gateway(json!({"stall_ms": 40_000, "header_timeout_ms": 1_000})).await;
        let mut client = Http2::connect(gateway.address, WIDE).await;
        // The system takes so much from the gateway, and gives the client little of it unasked.
        let size = 1024 * 1024;
        let stream = client.ask(&large(size)).await;
        assert!(matches!(next_on(&mut client, stream).await, Came::Head { .. }));
        eventually(|| async { (gateway.metric("toolgate_calls_running", "").await == 0.0).then_some(()) })
            .await;
        // Nobody asks any more; what comes from the client now would be answered with a reset if the connection were closed.
        sleep(PAUSE).await;
        client.grant(stream, FRAME_BYTES).await;
        let (mut taken, mut is_whole, mut said_goodbye) = (0, false, false);
        while let Some(came) = client.next().await {
            match came {
                Came::Data { bytes, is_last, .. } => {
                    taken += bytes.len() as u64;
                    is_whole |= is_last;
                }
                Came::Goodbye => said_goodbye = true,
                Came::Head { .. } | Came::Reset { .. } => panic!("{came:?} after {taken} bytes"),
            }
        }
        assert!(is_whole && taken > size, "{taken} bytes came");
        assert!(said_goodbye, "it was not told to go");
        assert_eq!(refused(&gateway, "stalled_").await, 0.0);
        until_alone(&gateway).await;
    });
}

#[test]
fn a_stranger_does_not_keep_a_connection_by_asking_once() {
    within(2 * USUAL, async {
        let limits = json!({"header_timeout_ms": 1_000, "stall_ms": 2_000});
        let config = json!({"servers": {"one": child(&[])}, "limits": limits});
        let place = Place::configured(config);
        let (token, _) = place.token(&["--agent", "somebody"]).await;
        let gateway = place.serve().await;
        gateway.ready().await;

        let mut stranger = Http2::connect(gateway.address, WIDE).await;
        let stream = stranger.ask(&large(1)).await;
        assert!(matches!(next_on(&mut stranger, stream).await, Came::Head { .. }));
        let mut said_goodbye = false;
        while let Some(came) = stranger.next().await {
            said_goodbye |= came == Came::Goodbye;
        }
        assert!(said_goodbye, "a client hears that it has to ask elsewhere");
        until_alone(&gateway).await;

        // Whoever does not hear it is dropped.
        let mut deaf = Http2::connect(gateway.address, WIDE).await;
        deaf.ask(&large(1)).await;
        until_alone(&gateway).await;
        deaf.until_closed().await;

        // Whoever waits for an answer may stay for longer.
        let mut slow = Http2::connect(gateway.address, WIDE).await;
        let late = modern_call("1", "one__echo", json!({"text": "late", "delay_ms": 3_000})).bearer(&token);
        let stream = slow.ask(&late).await;
        assert!(matches!(next_on(&mut slow, stream).await, Came::Head { .. }));
        let Came::Data { bytes, is_last: true, .. } = next_on(&mut slow, stream).await else {
            panic!("no answer")
        };
        assert_eq!(text(&serde_json::from_slice(&bytes).expect("JSON")), "late");
        let mut other = gateway.door().with_token(&token).open(Era::Modern).await;
        assert_eq!(text(&other.call("one__echo", json!({"text": "x"})).await), "x");
    });
}

//! Bodies that arrive and never end, many at once; and what they are said to be.

use std::time::Duration;

use protocol::Era;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{modern_call, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, within};
use crate::process;
use crate::wire::{Request, Response, Wire};

/// The largest request.
const BODY_BYTES: usize = 4 * 1024 * 1024;
/// Senders, and how many find no room at the least: up to 48 bodies of that size fit.
const SENDERS: usize = 110;
const REFUSED: usize = SENDERS - 48;
/// What the gateway may grow by: the room for what arrives, and half as much for its sockets.
const GROWTH_KIB: u64 = 3 * 128 * 1024;

fn call_of(size: usize) -> Request {
    let mut request = modern_call("1", "one__echo", json!({"text": "x"}));
    request.body.resize(size, b' ');
    request
}

/// Has a body sent in chunks, each of which the gateway takes by itself.
fn in_chunks(request: &Request) -> Request {
    let mut body = Vec::new();
    for chunk in request.body.chunks(100) {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    Request { body, ..request.clone() }.with("Transfer-Encoding", "chunked")
}

/// Sends all of a body but its last byte, and waits for an answer; `None` when the connection broke.
async fn almost(mut wire: Wire, bytes: Vec<u8>) -> Option<Response> {
    // Whoever is refused early may not get rid of the rest.
    let _ = wire.send(&bytes[..bytes.len() - 1]).await;
    wire.response().await.ok()
}

async fn gateway() -> Gateway {
    let gateway = Place::new(json!({"one": child(&[])})).serve().await;
    gateway.ready().await;
    gateway
}

#[test]
fn bodies_that_never_end_have_one_room_together() {
    within(2 * USUAL, async {
        let gateway = gateway().await;
        process::reset_peak(gateway.pid());
        let before = process::memory_kib(gateway.pid(), "VmRSS");
        let bytes = call_of(BODY_BYTES).bytes(gateway.address);
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            senders.spawn(almost(Wire::connect(gateway.address).await, bytes.clone()));
        }
        let mut heard = 0;
        for _ in 0..REFUSED {
            let Some(response) = senders.join_next().await.expect("a sender").expect("it ends") else {
                continue;
            };
            assert_eq!(response.head.status, 503, "{response:?}");
            assert_eq!(response.head.header("retry-after"), Some("1"));
            assert_eq!(response.head.header("connection"), Some("close"));
            heard += 1;
        }
        assert!(heard > 0, "nobody heard why");
        assert!(gateway.metric("toolgate_requests_refused_total", "no_room").await >= REFUSED as f64);
        let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!("{heard} of {REFUSED} heard why; {grown} KiB");
        assert!(grown < GROWTH_KIB, "{grown} KiB");

        // Small requests are taken, in one piece and in several.
        let mut other = gateway.client(Era::Modern).await;
        assert_eq!(text(&other.call("one__echo", json!({"text": "others"})).await), "others");
        let mut wire = Wire::connect(gateway.address).await;
        assert_eq!(wire.ask(&in_chunks(&call_of(1_000))).await.head.status, 200);
        // There is room again when they have gone.
        senders.shutdown().await;
        eventually(|| async {
            let mut wire = Wire::connect(gateway.address).await;
            let request = call_of(BODY_BYTES);
            let asking = timeout(Duration::from_secs(10), wire.try_ask(&request));
            asking
                .await
                .is_ok_and(|answer| answer.is_ok_and(|answer| answer.head.status == 200))
                .then_some(())
        })
        .await;
    });
}

#[test]
fn a_body_is_described_once() {
    within(USUAL, async {
        let gateway = gateway().await;
        let call = || modern_call("1", "one__echo", json!({"text": "x"}));
        for request in [
            call().with("Content-Type", "application/json"),
            call().with("Content-Type", "text/plain"),
            call().with("Content-Encoding", "identity").with("Content-Encoding", "gzip"),
        ] {
            let response = Wire::connect(gateway.address).await.ask(&request).await;
            assert_eq!(response.head.status, 415, "{request:?}");
        }
    });
}

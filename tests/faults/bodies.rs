//! Bodies that are too slow, too large, compressed, or say one thing twice.

use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Speaks};

use crate::client::{modern_call, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, within};
use crate::process;
use crate::wire::{Request, Wire};

/// What the gateway's memory may grow by while it refuses: several times the limit of 4 MiB, and not the body's size.
const GROWTH_KIB: u64 = 48 * 1024;

/// How long an impatient gateway waits for a request or its body, and how late that may be on a busy machine: less than
/// what it waits by default.
const PATIENCE: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(7);
/// Between two bytes of a slow sender.
const DRIP: Duration = Duration::from_millis(20);

/// Measures the gateway's memory after a first call and a first refusal, whose pages are not what is measured.
async fn memory_before(gateway: &Gateway) -> u64 {
    let call = modern_call("1", "one__echo", json!({"text": "x"}));
    let first = Wire::connect(gateway.address).await.ask(&call).await;
    assert_eq!(text(&first.message()), "x");
    let refused = Wire::connect(gateway.address).await.ask(&call.with("Content-Encoding", "gzip")).await;
    assert_eq!(refused.head.status, 415, "{refused:?}");
    process::reset_peak(gateway.pid());
    process::memory_kib(gateway.pid(), "VmRSS")
}

/// A gateway that gives senders `PATIENCE`.
async fn impatient() -> Gateway {
    let limits = json!({"header_timeout_ms": PATIENCE.as_millis(), "body_timeout_ms": PATIENCE.as_millis()});
    let gateway = Place::configured(json!({"servers": {"one": child(&[])}, "limits": limits})).serve().await;
    gateway.ready().await;
    gateway
}

#[test]
fn s14_slow_headers_and_slow_bodies_are_cut_off() {
    within(USUAL, async {
        let gateway = impatient().await;
        let whole = modern_call("1", "one__echo", json!({"text": "x".repeat(200)})).bytes(gateway.address);
        let body_at = whole.windows(4).position(|part| part == b"\r\n\r\n").expect("a body") + 4;
        // Byte by byte, from the beginning or from the body on, which takes several times as long as is waited; nothing
        // at all before the last byte.
        for (name, at_once) in [("headers", 0), ("body", body_at), ("the whole request", whole.len() - 1)] {
            let mut wire = Wire::connect(gateway.address).await;
            wire.send(&whole[..at_once]).await.expect("sent");
            let started = Instant::now();
            let mut left = &whole[at_once..whole.len() - 1];
            let is_slow = !left.is_empty();
            while let Some((byte, rest)) = left.split_first() {
                if wire.send(&[*byte]).await.is_err() {
                    break;
                }
                left = rest;
                if tokio::time::timeout(DRIP, wire.answered()).await.is_ok() {
                    break;
                }
            }
            assert_eq!(is_slow, !left.is_empty(), "{name}: whoever goes on sending is waited for");
            let rest = String::from_utf8_lossy(&wire.rest().await).into_owned();
            assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{name}: {rest}");
            assert!(name == "headers" || !rest.is_empty(), "{name}: a 408 is due");
            assert!(started.elapsed() < PATIENCE + LATE, "{name}: {:?}", started.elapsed());
            let mut other = gateway.client(Era::Modern).await;
            assert_eq!(text(&other.call("one__echo", json!({"text": "others"})).await), "others");
        }
    });
}

#[test]
fn s14_a_connection_that_asks_nothing_is_closed() {
    within(USUAL, async {
        let gateway = impatient().await;
        // Nothing; the beginning of an HTTP/2 preface; a whole one with empty settings.
        let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        for sent in [&[][..], &settings[..3], settings] {
            let started = Instant::now();
            let mut wire = Wire::connect(gateway.address).await;
            wire.send(sent).await.expect("sent");
            wire.rest().await;
            let took = started.elapsed();
            assert!(took >= PATIENCE * 4 / 5, "{} bytes: {took:?}", sent.len());
            assert!(took < PATIENCE + LATE, "{} bytes: {took:?}", sent.len());
        }
        assert!(gateway.metric("toolgate_requests_refused_total", "silent_connection").await >= 3.0);
        // Whoever asked in time may wait for the answer for longer than that.
        let mut slow = gateway.client(Era::Modern).await;
        let answer = slow.call("one__echo", json!({"text": "late", "delay_ms": 1_800})).await;
        assert_eq!(text(&answer), "late");
    });
}

#[test]
fn s14_a_body_beyond_the_limit_is_refused_before_it_is_buffered() {
    within(USUAL, async {
        let gateway = impatient().await;
        let before = memory_before(&gateway).await;
        // 100 MB announced, none of it sent.
        let announced = modern_call("1", "one__echo", json!({})).with("Content-Length", "100000000");
        let mut wire = Wire::connect(gateway.address).await;
        let mut head = announced;
        head.body.clear();
        let response = wire.ask(&head).await;
        assert_eq!(response.head.status, 413, "{response:?}");
        assert!(response.head.closes());
        // 100 MB in chunks without an announcement: cut off at the limit.
        let mut wire = Wire::connect(gateway.address).await;
        let mut request = modern_call("1", "one__echo", json!({})).with("Transfer-Encoding", "chunked");
        request.body.clear();
        wire.send(&request.bytes(gateway.address)).await.expect("sent");
        let chunk = [b"10000\r\n", &vec![b' '; 0x10000][..], b"\r\n"].concat();
        let mut sent = 0_usize;
        for _ in 0..1_600 {
            if wire.send(&chunk).await.is_err() {
                break;
            }
            sent += 0x10000;
        }
        assert!(sent < 32 * 1024 * 1024, "{sent} bytes were taken");
        if let Ok(response) = wire.response().await {
            assert_eq!(response.head.status, 413);
        }
        let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!("{grown} KiB more at the peak");
        assert!(grown < GROWTH_KIB, "{grown} KiB");
        // Up to the limit a body is taken: 4 MiB and not a byte more.
        let of_size = |size: usize| {
            let mut request = modern_call("1", "one__echo", json!({"text": "x"}));
            request.body.resize(size, b' ');
            request
        };
        let taken = Wire::connect(gateway.address).await.ask(&of_size(4 * 1024 * 1024)).await;
        assert_eq!(taken.head.status, 200);
        let mut wire = Wire::connect(gateway.address).await;
        // The answer is there before the body was sent; whoever only writes may meet a closed connection first.
        let _ = wire.send(&of_size(4 * 1024 * 1024 + 1).bytes(gateway.address)).await;
        if let Ok(response) = wire.response().await {
            assert_eq!(response.head.status, 413);
        }
    });
}

#[test]
fn s15_a_compressed_body_is_refused_unread() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        let before = memory_before(&gateway).await;
        let plain = modern_call("1", "one__write", json!({"mark": "compressed"}));
        let codings = [
            "gzip",
            "br",
            "zstd",
            "deflate",
            "compress",
            "x-gzip",
            "gzip, gzip",
            "identity, gzip",
            "gzip, identity",
            "GZIP",
            "*",
            "",
            "unknown",
        ];
        for coding in codings {
            let mut bomb = plain.clone().with("Content-Encoding", coding);
            bomb.body = BOMB.to_vec();
            let wrong = plain.clone().with("Content-Encoding", coding);
            for request in [bomb, wrong] {
                let response = Wire::connect(gateway.address).await.ask(&request).await;
                assert_eq!(response.head.status, 415, "{coding:?}: {response:?}");
            }
        }
        // Compressed and not said so: no JSON.
        let mut silent = plain.clone();
        silent.body = BOMB.to_vec();
        assert_eq!(Wire::connect(gateway.address).await.ask(&silent).await.head.status, 400);
        let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!("{grown} KiB more at the peak");
        assert!(grown < GROWTH_KIB, "{grown} KiB");
        assert!(upstream.seen().marks().is_empty());
        let accepted =
            Wire::connect(gateway.address).await.ask(&plain.with("Content-Encoding", "identity")).await;
        assert_eq!(accepted.head.status, 200);
    });
}

#[test]
fn s15_other_media_types_are_refused_and_answers_fit_what_is_accepted() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let call = || modern_call("1", "one__echo", json!({"text": "x"}));
        let status = |request: Request| async move {
            Wire::connect(gateway.address).await.ask(&request).await.head.status
        };
        for media_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/jsonx",
            "application/json-seq",
            "",
            "*/*",
            "text/json",
        ] {
            assert_eq!(status(call().set("Content-Type", media_type)).await, 415, "{media_type:?}");
        }
        assert_eq!(status(call().without("Content-Type")).await, 415);
        for media_type in
            ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;"]
        {
            assert_eq!(status(call().set("Content-Type", media_type)).await, 200, "{media_type:?}");
        }
        for accept in ["text/html", "image/*", "application/xml", "text/event-streams"] {
            assert_eq!(status(call().set("Accept", accept)).await, 406, "{accept:?}");
        }
        for (accept, answered) in [
            ("application/json", "application/json"),
            ("text/event-stream", "text/event-stream"),
            ("*/*", "application/json"),
        ] {
            let response = Wire::connect(gateway.address).await.ask(&call().set("Accept", accept)).await;
            assert_eq!((response.head.status, response.head.header("content-type")), (200, Some(answered)));
            assert_eq!(text(&response.message()), "x");
        }
    });
}

/// Bodies with a member that stands twice or differs from a known one only by case. `INNER` is a sound call's `_meta`.
const TWICE: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/call","params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"tools/list","params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"tools/list","params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},META},"params":{}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},META},"PARAMS":{}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","par\u0061ms":{},"params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"ID":2,"method":"tools/call","params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","name":"one__write","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__write","name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","Name":"one__write","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","NAME":"one__write","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","n\u0061me":"one__write","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},"arguments":{"mark":"b"},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},"Arguments":{"mark":"b"},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},"argument\u017f":{"mark":"b"},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},"_META":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},META,META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","param\u017f":{"name":"one__write"},"params":{"name":"one__echo","arguments":{},META}}"#,
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"param\u{17f}\":{},\"params\":{\"name\":\"one__echo\",\"arguments\":{},META}}",
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{},"params":{"name":"one__echo","arguments":{},META}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},"_meta":{"progressToken":1,"progressToken":2,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
];

#[test]
fn s10_a_member_that_stands_twice_is_refused_and_never_read_in_two_ways() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        assert!(TWICE.len() >= 24);
        let calls = upstream.seen().requests().len();
        let sound = modern_call("1", "one__echo", json!({}));
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        for body in TWICE {
            let mut request = sound.clone();
            request.body = body.replace(",META", &format!(",{meta}")).into();
            let response = Wire::connect(gateway.address).await.ask(&request).await;
            let code = response.message()["error"]["code"].as_i64().unwrap_or_default();
            assert!(matches!(code, -32600 | -32602), "{body}: {response:?}");
        }
        assert_eq!(upstream.seen().requests().len(), calls, "nothing was dispatched");

        // What is merely forwarded is not looked into, and arrives as it was sent.
        let arguments = r#"{"a":1,"a":2,"A":3,"name":"x","name":"y","deep":{"k":1.0,"k":1e2}}"#;
        let mut request = sound;
        let text = String::from_utf8(request.body).expect("JSON");
        request.body = text.replace(r#""arguments":{}"#, &format!(r#""arguments":{arguments}"#)).into();
        let response = Wire::connect(gateway.address).await.ask(&request).await;
        assert_eq!(response.head.status, 200, "{response:?}");
        let forwarded = upstream.seen().requests().pop().expect("a request").body;
        let forwarded = String::from_utf8(forwarded.to_vec()).expect("JSON");
        assert!(forwarded.contains(arguments), "{forwarded}");
    });
}

/// Three times gzip around a gigabyte of zeros.
const BOMB: &[u8] = include_bytes!("bomb.gz");

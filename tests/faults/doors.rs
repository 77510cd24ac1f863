//! Who gets as far as the protocol: origins, host names, and what is not served on the data port at all.

use std::net::SocketAddr;

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{legacy, modern, modern_call};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, within};
use crate::wire::{Request, Wire};

/// Origins that are not this machine's, or that are none at all.
const ORIGINS: [&[u8]; 16] = [
    b"https://evil.example",
    b"null",
    b"http://localhost.evil.example",
    b"http://xn--lcalhost-v2a",
    "http://l\u{43e}calhost".as_bytes(),
    b"http://127.0.0.1.evil.example",
    b"http://localhost@evil.example",
    b"http://evil.example#localhost",
    b"http://localhost:80:80",
    b"file://",
    b"",
    b"localhost",
    b"http://[::1",
    b"ftp://localhost",
    b"chrome-extension://abcdef",
    b"http://localhost http://evil.example",
];

/// Names that are not this machine's, or that it does not go by.
const NAMES: [&str; 20] = [
    "attacker.example",
    "localhost.attacker.example",
    "127.0.0.1.attacker.example",
    "attacker.example.",
    "localhost.",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.1.nip.io",
    "[::ffff:10.0.0.1]",
    "[fe80::1]",
    "10.0.0.1",
    "169.254.169.254",
    "localhost@attacker.example",
    "xn--lcalhost-v2a",
    "local host",
    "localhost,attacker.example",
    "*",
];

/// Whole values of `Host` with a wrong port, none, or something else than a name and a port.
const HOSTS: [&str; 11] = [
    "",
    " ",
    ":",
    "localhost:80",
    "127.0.0.1:1",
    "localhost:",
    "localhost:99999",
    "localhost:x",
    "http://localhost",
    "localhost/",
    "attacker.example",
];

/// Targets that name another host than the header does.
const TARGETS: [&str; 4] = [
    "http://attacker.example/mcp",
    "http://attacker.example:80/mcp",
    "https://attacker.example/mcp",
    "http://localhost@attacker.example/mcp",
];

/// What the data port might serve and does not.
const UNSERVED: [&str; 22] = [
    "/metrics",
    "/status",
    "/debug",
    "/debug/pprof",
    "/pprof",
    "/.env",
    "/admin",
    "/api/v1/servers",
    "/",
    "/index.html",
    "/favicon.ico",
    "/mcp/../metrics",
    "/mcp/%2e%2e/metrics",
    "//metrics",
    "/metrics/",
    "/mcp/one/metrics",
    "/healthz",
    "/actuator",
    "/.git/config",
    "/mcp.json",
    "/METRICS",
    "/%6detrics",
];

/// Two upstreams that count, and a gateway before them.
async fn two_upstreams(place: impl FnOnce(Value) -> Place) -> (FakeServer, FakeServer, Place) {
    let one = FakeServer::start(Script::new(Speaks::Both)).await;
    let other = FakeServer::start(Script::new(Speaks::Legacy)).await;
    let place = place(json!({"one": http(&one), "other": http(&other)}));
    (one, other, place)
}

/// Sends a request on a connection of its own; returns status and message.
async fn answer(gateway: &Gateway, request: &Request) -> (u16, Value) {
    let response = Wire::connect(gateway.address).await.ask(request).await;
    (response.head.status, response.message())
}

#[test]
fn s01_a_foreign_origin_is_refused_and_audited() {
    within(USUAL, async {
        let (one, other, place) = two_upstreams(Place::new).await;
        let (token, _) = place.token(&["--agent", "web"]).await;
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut sent = 0;
        for origin in ORIGINS {
            let requests = [
                modern_call("1", "one__write", json!({"mark": "origin"})),
                modern_call("1", "other__write", json!({"mark": "origin"})),
                legacy("1", "initialize", &crate::client::initialize()),
                Request::plain("GET", "/health"),
            ];
            for request in requests {
                let (status, message) =
                    answer(&gateway, &request.bearer(&token).with("Origin", origin)).await;
                assert_eq!(status, 403, "{:?}: {message}", String::from_utf8_lossy(origin));
                assert!(
                    message.is_null() || (message["id"].is_null() && message.get("error").is_some()),
                    "{message}"
                );
                sent += 1;
            }
        }
        let own = modern_call("1", "one__write", json!({"mark": "own"})).bearer(&token);
        let twice = own.clone().with("Origin", "http://localhost").with("Origin", "https://evil.example");
        assert_eq!(answer(&gateway, &twice).await.0, 403);
        sent += 1;
        assert_eq!(answer(&gateway, &own.with("Origin", "http://localhost:6274")).await.0, 200);

        assert_eq!((one.seen().marks(), other.seen().marks()), (vec!["own".to_owned()], vec![]));
        let trail = gateway.trail.clone();
        gateway.stop().await;
        assert_eq!(trail.refusals("origin_denied"), sent);
        assert_eq!(trail.verify().await["calls"], 1);
    });
}

/// The call that hosts are tried with.
fn call_of_host() -> Request {
    modern_call("1", "one__write", json!({"mark": "host"}))
}

/// Requests for other hosts than the gateway at `port`, and what is odd about each.
fn foreign_hosts(port: u16) -> Vec<(String, Request)> {
    let (call, own) = (call_of_host, format!("localhost:{port}"));
    let named = |name: &&str| ((*name).to_owned(), call().with("Host", format!("{name}:{port}")));
    let valued = |value: &&str| ((*value).to_owned(), call().with("Host", *value));
    let at = |target: &&str| ((*target).to_owned(), call().at(target).with("Host", own.as_str()));
    let mut refused: Vec<(String, Request)> = NAMES.iter().map(named).collect();
    refused.extend(HOSTS.iter().map(valued));
    refused.push(("no UTF-8".into(), call().with("Host", b"localhost\xff".to_vec())));
    refused.push(("twice".into(), call().with("Host", own.as_str()).with("Host", "attacker.example")));
    refused.push(("the same twice".into(), call().with("Host", "localhost").with("Host", "localhost")));
    refused.extend(TARGETS.iter().map(at));
    refused
}

/// The bytes of a request whose header `Host` is taken out.
fn without_host(request: &Request, address: SocketAddr) -> Vec<u8> {
    let mut bytes = request.bytes(address);
    let host = format!("Host: {address}\r\n");
    let at = bytes.windows(host.len()).position(|part| part == host.as_bytes()).expect("the header");
    bytes.drain(at..at + host.len());
    bytes
}

#[test]
fn s02_a_foreign_host_name_is_refused_before_anything_is_dispatched() {
    within(USUAL, async {
        let (one, other, place) = two_upstreams(Place::new).await;
        let gateway = place.serve().await;
        gateway.ready().await;
        let port = gateway.address.port();
        let refused = foreign_hosts(port);
        for (name, request) in &refused {
            let mut wire = Wire::connect(gateway.address).await;
            wire.send(&request.bytes(gateway.address)).await.expect("sent");
            // What is no HTTP at all is closed without an answer, or with the library's own.
            let status = wire.response().await.map_or(400, |response| response.head.status);
            assert!(matches!(status, 400 | 403), "{name}: {status}");
        }
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(&without_host(&call_of_host(), gateway.address)).await.expect("sent");
        assert!(matches!(wire.response().await.expect("an answer").head.status, 400 | 403), "no host at all");
        assert!(refused.len() + 1 >= 38, "{}", refused.len());

        for ours in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("LOCALHOST:{port}")] {
            assert_eq!(answer(&gateway, &call_of_host().with("Host", ours.as_str())).await.0, 200, "{ours}");
        }
        assert_eq!(one.seen().marks().len(), 3);
        assert!(other.seen().marks().is_empty());
        gateway.stop().await;
        assert_eq!(place.trail().verify().await["calls"], 3);
    });
}

#[test]
fn s02_the_operations_port_refuses_foreign_host_names_and_web_pages() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        for path in ["/metrics", "/status"] {
            let ask = |request: Request| async move {
                Wire::connect(gateway.operations).await.ask(&request).await.head.status
            };
            assert_eq!(ask(Request::plain("GET", path)).await, 200);
            let foreign = format!("attacker.example:{}", gateway.operations.port());
            assert_eq!(ask(Request::plain("GET", path).with("Host", foreign)).await, 403, "{path}");
            let page = Request::plain("GET", path).with("Origin", "https://evil.example");
            assert_eq!(ask(page).await, 403, "{path}");
            let twice =
                Request::plain("GET", path).with("Host", "localhost").with("Host", "attacker.example");
            assert!(matches!(ask(twice).await, 400 | 403), "{path}");
        }
    });
}

#[test]
fn s16_the_data_port_serves_no_operations() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        assert!(gateway.operations.ip().is_loopback());
        assert_ne!(gateway.operations.port(), gateway.address.port());
        for path in UNSERVED {
            for verb in ["GET", "POST", "PUT", "OPTIONS", "HEAD"] {
                let mut wire = Wire::connect(gateway.address).await;
                let mut request = Request::plain(verb, path);
                if verb == "HEAD" {
                    request = request.with("Connection", "close");
                    wire.send(&request.bytes(gateway.address)).await.expect("sent");
                    assert_eq!(wire.head().await.expect("an answer").status, 404, "{verb} {path}");
                } else {
                    assert_eq!(wire.ask(&request).await.head.status, 404, "{verb} {path}");
                }
            }
        }
        let metrics = Wire::connect(gateway.operations).await.ask(&Request::plain("GET", "/metrics")).await;
        assert_eq!(metrics.head.status, 200, "they are where they belong");
    });
}

#[test]
fn the_ready_page_names_the_state_of_each_server() {
    within(USUAL, async {
        let place = Place::new(json!({"good": child(&[]), "bad": child(&["--exit-at-start", "3"])}));
        let gateway = place.serve().await;
        gateway.until_server("good", |server| server["state"] == "ready").await;
        gateway
            .until_server("bad", |server| server["failures_in_a_row"] != 0 || server["state"] != "starting")
            .await;
        let ready = Wire::connect(gateway.address).await.ask(&Request::plain("GET", "/ready")).await;
        assert_eq!((ready.head.status, &ready.message()["servers"]["good"]), (200, &json!("ready")));
        assert_ne!(ready.message()["servers"]["bad"], "ready");
        let listed = Wire::connect(gateway.address).await.ask(&modern("1", "tools/list", json!({}))).await;
        assert_eq!(listed.head.status, 200, "a broken server delays nobody");
        assert!(gateway.client(Era::Legacy).await.tools().await.contains(&"good__echo".to_owned()));
    });
}

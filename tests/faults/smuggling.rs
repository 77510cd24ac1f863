//! Requests with two readings. Whatever the gateway makes of one, it never sees a second request in it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use testkit::{FakeServer, Script, Speaks};
use tokio::time::timeout;

use crate::client::modern_call;
use crate::gateway::{Gateway, Place, http};
use crate::limit::within;
use crate::wire::Wire;

/// What the gateway does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// 400, and the connection ends. Nothing is dispatched.
    Refused,
    /// It has one reading only, by RFC 9112; it is answered, and nothing is seen behind it.
    OneRequest,
    /// `Content-Length` is ignored beside chunks and the connection ends: what RFC 9112 6.3 leaves as the other safe way.
    /// The HTTP library decides it before the gateway sees the headers.
    OneThenClosed,
}

/// How long a connection may stay open and silent that should have been closed.
const SILENCE: Duration = Duration::from_millis(400);

/// A request that would be a second one: it must never reach the upstream.
fn hidden(address: SocketAddr) -> Vec<u8> {
    modern_call("666", "one__write", json!({"mark": "smuggled"})).bytes(address)
}

/// Builds a request whose framing is `framing` and whose body is `body`.
fn framed(address: SocketAddr, framing: &str, body: &[u8]) -> Vec<u8> {
    let mut request = modern_call("1", "one__write", json!({"mark": "outer"}));
    request.body = body.to_vec();
    let text = request.with("Transfer-Encoding", "PLACE").bytes(address);
    let place = b"Transfer-Encoding: PLACE\r\n";
    let at = text.windows(place.len()).position(|part| part == place).expect("the place");
    [&text[..at], framing.as_bytes(), &text[at + place.len()..]].concat()
}

/// The body of the outer call.
fn outer() -> Vec<u8> {
    modern_call("1", "one__write", json!({"mark": "outer"})).body
}

fn chunked(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

/// Sends bytes and returns the statuses that come back, and whether the connection was closed.
async fn statuses(gateway: &Gateway, bytes: &[u8]) -> (Vec<u16>, bool) {
    let mut wire = Wire::connect(gateway.address).await;
    // The gateway may close before it has read everything.
    let _ = wire.send(bytes).await;
    let mut statuses = Vec::new();
    loop {
        match timeout(SILENCE, wire.response()).await {
            Ok(Ok(response)) => statuses.push(response.head.status),
            Ok(Err(_)) => return (statuses, true),
            Err(_) => return (statuses, false),
        }
    }
}

fn set(address: SocketAddr) -> Vec<(&'static str, Vec<u8>, Verdict)> {
    use Verdict::{OneRequest, OneThenClosed, Refused};
    let body = outer();
    let (length, second) = (body.len(), hidden(address));
    let both = [&body[..], &second].concat();
    let chunks = chunked(&body);
    let chunks_and_second = [&chunks[..], &second].concat();
    let raw = |framing: &str, body: &[u8]| framed(address, framing, body);
    let cl = |value: &str| format!("Content-Length: {value}\r\n");
    let te = |value: &str| format!("Transfer-Encoding: {value}\r\n");
    let (n, chunks_n) = (length.to_string(), chunks.len().to_string());
    let whole = format!("{}", both.len());
    let chunk = |head: &str, end: &str| [head.as_bytes(), &body, end.as_bytes()].concat();
    let hex = format!("{length:x}");
    let line = |old: &str, new: &str| {
        let text = String::from_utf8(raw(&cl(&n), &body)).expect("ASCII");
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1).into_bytes()
    };
    vec![
        // Two framings.
        ("CL then TE", raw(&format!("{}{}", cl(&n), te("chunked")), &chunks), OneThenClosed),
        ("TE then CL", raw(&format!("{}{}", te("chunked"), cl(&n)), &chunks), OneThenClosed),
        (
            "CL of all then TE",
            raw(&format!("{}{}", cl(&chunks_n), te("chunked")), &chunks_and_second),
            OneThenClosed,
        ),
        (
            "TE then CL of all",
            raw(&format!("{}{}", te("chunked"), cl(&whole)), &chunks_and_second),
            OneThenClosed,
        ),
        ("CL 0 and TE", raw(&format!("{}{}", cl("0"), te("chunked")), &chunks), OneThenClosed),
        ("TE and CL 0", raw(&format!("{}{}", te("chunked"), cl("0")), &chunks), OneThenClosed),
        (
            "CL and TE in other case",
            raw(&format!("{}tRANSFER-eNCODING: chunked\r\n", cl(&n)), &chunks),
            OneThenClosed,
        ),
        // Transfer-Encoding that is not exactly `chunked`.
        ("TE identity", raw(&te("identity"), &body), Refused),
        ("TE gzip", raw(&te("gzip"), &body), Refused),
        ("TE gzip, chunked", raw(&te("gzip, chunked"), &chunks), Refused),
        ("TE chunked, identity", raw(&te("chunked, identity"), &chunks), Refused),
        ("TE chunked, gzip", raw(&te("chunked, gzip"), &chunks), Refused),
        ("TE twice", raw(&format!("{}{}", te("chunked"), te("chunked")), &chunks), Refused),
        ("TE chunked, chunked", raw(&te("chunked, chunked"), &chunks), Refused),
        ("TE chunked and identity", raw(&format!("{}{}", te("chunked"), te("identity")), &chunks), Refused),
        ("TE identity and chunked", raw(&format!("{}{}", te("identity"), te("chunked")), &chunks), Refused),
        ("TE xchunked", raw(&te("xchunked"), &chunks), Refused),
        ("TE chunkedx", raw(&te("chunkedx"), &chunks), Refused),
        ("TE empty", raw(&te(""), &chunks), Refused),
        ("TE with a tab inside", raw(&te("chun\tked"), &chunks), Refused),
        ("TE with a vertical tab", raw(&te("\u{b}chunked"), &chunks), Refused),
        ("TE quoted", raw(&te("\"chunked\""), &chunks), Refused),
        ("TE with a space before the colon", raw("Transfer-Encoding : chunked\r\n", &chunks), Refused),
        ("TE folded", raw("Transfer-Encoding:\r\n chunked\r\n", &chunks), Refused),
        ("TE in HTTP/1.0", line("HTTP/1.1", "HTTP/1.0").iter().copied().chain(*b"").collect(), OneRequest),
        (
            "CL and TE in HTTP/1.0",
            {
                let text =
                    String::from_utf8(raw(&format!("{}{}", cl(&n), te("chunked")), &chunks)).expect("ASCII");
                text.replacen("HTTP/1.1", "HTTP/1.0", 1).into()
            },
            Refused,
        ),
        // Content-Length that is not one plain number.
        ("CL negative", raw(&cl("-1"), &body), Refused),
        ("CL with plus", raw(&cl(&format!("+{n}")), &body), Refused),
        ("CL huge", raw(&cl("99999999999999999999999"), &body), Refused),
        ("CL beyond 64 bits", raw(&cl("18446744073709551617"), &body), Refused),
        ("CL hexadecimal", raw(&cl(&format!("0x{hex}")), &body), Refused),
        ("CL with decimals", raw(&cl(&format!("{n}.0")), &body), Refused),
        ("CL with exponent", raw(&cl("1e2"), &body), Refused),
        ("CL with a space inside", raw(&cl("1 1"), &body), Refused),
        ("CL empty", raw(&cl(""), &body), Refused),
        ("CL text", raw(&cl("abc"), &body), Refused),
        ("CL twice, different", raw(&format!("{}{}", cl(&n), cl(&whole)), &both), Refused),
        ("CL twice, different, small last", raw(&format!("{}{}", cl(&whole), cl(&n)), &both), Refused),
        ("CL list, different", raw(&cl(&format!("{n}, {whole}")), &both), Refused),
        ("CL list, same", raw(&cl(&format!("{n}, {n}")), &body), Refused),
        ("CL with a space before the colon", raw(&format!("Content-Length : {n}\r\n"), &body), Refused),
        ("CL folded", raw(&format!("Content-Length:\r\n {n}\r\n"), &body), Refused),
        // Chunks.
        ("chunk size negative", raw(&te("chunked"), &chunk("-1\r\n", "\r\n0\r\n\r\n")), Refused),
        (
            "chunk size with 0x",
            raw(&te("chunked"), &chunk(&format!("0x{hex}\r\n"), "\r\n0\r\n\r\n")),
            Refused,
        ),
        (
            "chunk size too long",
            raw(&te("chunked"), &chunk("fffffffffffffffff\r\n", "\r\n0\r\n\r\n")),
            Refused,
        ),
        (
            "chunk size with plus",
            raw(&te("chunked"), &chunk(&format!("+{hex}\r\n"), "\r\n0\r\n\r\n")),
            Refused,
        ),
        ("chunk size empty", raw(&te("chunked"), &chunk("\r\n", "\r\n0\r\n\r\n")), Refused),
        ("chunk size text", raw(&te("chunked"), &chunk("zz\r\n", "\r\n0\r\n\r\n")), Refused),
        ("chunk longer than said", raw(&te("chunked"), &chunk("5\r\n", "\r\n0\r\n\r\n")), Refused),
        (
            "chunk without its line end",
            raw(&te("chunked"), &chunk(&format!("{hex}\r\n"), "0\r\n\r\n")),
            Refused,
        ),
        (
            "chunk ends with a bare LF",
            raw(&te("chunked"), &chunk(&format!("{hex}\r\n"), "\n0\r\n\r\n")),
            Refused,
        ),
        (
            "chunk size ends with a bare LF",
            raw(&te("chunked"), &chunk(&format!("{hex}\n"), "\r\n0\r\n\r\n")),
            Refused,
        ),
        (
            "chunk size ends with a bare CR",
            raw(&te("chunked"), &chunk(&format!("{hex}\r"), "\r\n0\r\n\r\n")),
            Refused,
        ),
        (
            "chunk extension",
            raw(&te("chunked"), &chunk(&format!("{hex};a=b\r\n"), "\r\n0\r\n\r\n")),
            OneRequest,
        ),
        (
            "chunk extension with LF",
            raw(&te("chunked"), &chunk(&format!("{hex};a\nb\r\n"), "\r\n0\r\n\r\n")),
            Refused,
        ),
        (
            "trailer with CL",
            raw(&te("chunked"), &chunk(&format!("{hex}\r\n"), "\r\n0\r\nContent-Length: 5\r\n\r\n")),
            OneRequest,
        ),
        // Lines and names.
        // RFC 9112 2.2: a recipient may take a single LF for a line end.
        ("header line ends with a bare LF", line("\r\nMcp-Method", "\nMcp-Method"), OneRequest),
        ("header line folded", line("\r\nMcp-Method", "\r\n X: y\r\nMcp-Method"), Refused),
        ("header with NUL", line("Mcp-Method: ", "X-A: a\0b\r\nMcp-Method: "), Refused),
        ("header with a bare CR", line("Mcp-Method: ", "X-A: a\rContent-Length: 0\r\nMcp-Method: "), Refused),
        ("header without a name", line("Mcp-Method: ", ": x\r\nMcp-Method: "), Refused),
        ("header without a colon", line("Mcp-Method: ", "nothing\r\nMcp-Method: "), Refused),
        (
            "two requests without a body",
            {
                let get = format!(
                    "GET /health HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n",
                    second.len()
                );
                [get.as_bytes(), &second].concat()
            },
            OneRequest,
        ),
    ]
}

#[test]
fn s04_no_framing_hides_a_second_request() {
    within(Duration::from_secs(120), async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        let set = set(gateway.address);
        assert!(set.len() >= 60, "{}", set.len());
        let mut faults = Vec::new();
        for (name, bytes, verdict) in &set {
            let before = upstream.seen().marks().len();
            let (statuses, closed) = statuses(&gateway, bytes).await;
            let dispatched = upstream.seen().marks().len() - before;
            let as_expected = match verdict {
                // The library closes what is no HTTP at all without an answer.
                Verdict::Refused => {
                    closed
                        && dispatched == 0
                        && statuses.len() <= 1
                        && statuses.iter().all(|status| *status == 400)
                }
                Verdict::OneThenClosed => closed && dispatched <= 1 && statuses.len() == 1,
                Verdict::OneRequest => dispatched <= 1 && statuses.len() == 1,
            };
            if !as_expected {
                faults.push(format!(
                    "{name}: {statuses:?}, closed {closed}, dispatched {dispatched}, not {verdict:?}"
                ));
            }
        }
        assert!(
            !upstream.seen().marks().contains(&"smuggled".to_owned()),
            "a hidden request was carried out"
        );
        assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), set.len(), faults.join("\n"));
    });
}

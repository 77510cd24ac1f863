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

use Body::{Between, Chunks, ChunksAndSecond, Plain, PlainAndSecond};
use Verdict::{OneRequest, OneThenClosed, Refused};

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

/// How long an answer, or the end of a connection that should be closed, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must come where nothing more should.
const SILENCE: Duration = Duration::from_millis(400);

/// What stands behind the headers.
#[derive(Debug, Clone, Copy)]
enum Body {
    /// The outer call.
    Plain,
    /// The outer call, and the hidden one behind it.
    PlainAndSecond,
    /// The outer call as one chunk.
    Chunks,
    /// The outer call as one chunk, and the hidden one behind it.
    ChunksAndSecond,
    /// The outer call between these.
    Between(&'static str, &'static str),
}

/// A name, the headers that frame the outer call, its body, and what becomes of it. In texts `<n>` stands for the length
/// of the call, `<hex>` for the same in hexadecimal, `<chunks>` for its length in chunks, and `<all>` for that of both
/// calls.
type Framing = (&'static str, &'static str, Body, Verdict);

/// Two framings.
const BOTH: &[Framing] = &[
    ("CL then TE", "Content-Length: <n>\r\nTransfer-Encoding: chunked\r\n", Chunks, OneThenClosed),
    ("TE then CL", "Transfer-Encoding: chunked\r\nContent-Length: <n>\r\n", Chunks, OneThenClosed),
    (
        "CL of all then TE",
        "Content-Length: <chunks>\r\nTransfer-Encoding: chunked\r\n",
        ChunksAndSecond,
        OneThenClosed,
    ),
    (
        "TE then CL of all",
        "Transfer-Encoding: chunked\r\nContent-Length: <all>\r\n",
        ChunksAndSecond,
        OneThenClosed,
    ),
    ("CL 0 and TE", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", Chunks, OneThenClosed),
    ("TE and CL 0", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Chunks, OneThenClosed),
    (
        "CL and TE in other case",
        "Content-Length: <n>\r\ntRANSFER-eNCODING: chunked\r\n",
        Chunks,
        OneThenClosed,
    ),
];

/// `Transfer-Encoding` that is not exactly `chunked`.
const ENCODINGS: &[Framing] = &[
    ("TE identity", "Transfer-Encoding: identity\r\n", Plain, Refused),
    ("TE gzip", "Transfer-Encoding: gzip\r\n", Plain, Refused),
    ("TE gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", Chunks, Refused),
    ("TE chunked, identity", "Transfer-Encoding: chunked, identity\r\n", Chunks, Refused),
    ("TE chunked, gzip", "Transfer-Encoding: chunked, gzip\r\n", Chunks, Refused),
    ("TE twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Chunks, Refused),
    ("TE chunked, chunked", "Transfer-Encoding: chunked, chunked\r\n", Chunks, Refused),
    (
        "TE chunked and identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        Chunks,
        Refused,
    ),
    (
        "TE identity and chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        Chunks,
        Refused,
    ),
    ("TE xchunked", "Transfer-Encoding: xchunked\r\n", Chunks, Refused),
    ("TE chunkedx", "Transfer-Encoding: chunkedx\r\n", Chunks, Refused),
    ("TE empty", "Transfer-Encoding: \r\n", Chunks, Refused),
    ("TE with a tab inside", "Transfer-Encoding: chun\tked\r\n", Chunks, Refused),
    ("TE with a vertical tab", "Transfer-Encoding: \u{b}chunked\r\n", Chunks, Refused),
    ("TE quoted", "Transfer-Encoding: \"chunked\"\r\n", Chunks, Refused),
    ("TE with a space before the colon", "Transfer-Encoding : chunked\r\n", Chunks, Refused),
    ("TE folded", "Transfer-Encoding:\r\n chunked\r\n", Chunks, Refused),
];

/// `Content-Length` that is not one plain number.
const LENGTHS: &[Framing] = &[
    ("CL negative", "Content-Length: -1\r\n", Plain, Refused),
    ("CL with plus", "Content-Length: +<n>\r\n", Plain, Refused),
    ("CL huge", "Content-Length: 99999999999999999999999\r\n", Plain, Refused),
    ("CL beyond 64 bits", "Content-Length: 18446744073709551617\r\n", Plain, Refused),
    ("CL hexadecimal", "Content-Length: 0x<hex>\r\n", Plain, Refused),
    ("CL with decimals", "Content-Length: <n>.0\r\n", Plain, Refused),
    ("CL with exponent", "Content-Length: 1e2\r\n", Plain, Refused),
    ("CL with a space inside", "Content-Length: 1 1\r\n", Plain, Refused),
    ("CL empty", "Content-Length: \r\n", Plain, Refused),
    ("CL text", "Content-Length: abc\r\n", Plain, Refused),
    ("CL twice, different", "Content-Length: <n>\r\nContent-Length: <all>\r\n", PlainAndSecond, Refused),
    (
        "CL twice, different, small last",
        "Content-Length: <all>\r\nContent-Length: <n>\r\n",
        PlainAndSecond,
        Refused,
    ),
    ("CL list, different", "Content-Length: <n>, <all>\r\n", PlainAndSecond, Refused),
    ("CL list, same", "Content-Length: <n>, <n>\r\n", Plain, Refused),
    ("CL with a space before the colon", "Content-Length : <n>\r\n", Plain, Refused),
    ("CL folded", "Content-Length:\r\n <n>\r\n", Plain, Refused),
];

/// The header of whole chunks.
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// How a last chunk and its body end.
const END: &str = "\r\n0\r\n\r\n";

/// Chunks.
const CHUNKINGS: &[Framing] = &[
    ("chunk size negative", CHUNKED, Between("-1\r\n", END), Refused),
    ("chunk size with 0x", CHUNKED, Between("0x<hex>\r\n", END), Refused),
    ("chunk size too long", CHUNKED, Between("fffffffffffffffff\r\n", END), Refused),
    ("chunk size with plus", CHUNKED, Between("+<hex>\r\n", END), Refused),
    ("chunk size empty", CHUNKED, Between("\r\n", END), Refused),
    ("chunk size text", CHUNKED, Between("zz\r\n", END), Refused),
    ("chunk longer than said", CHUNKED, Between("5\r\n", END), Refused),
    ("chunk without its line end", CHUNKED, Between("<hex>\r\n", "0\r\n\r\n"), Refused),
    ("chunk ends with a bare LF", CHUNKED, Between("<hex>\r\n", "\n0\r\n\r\n"), Refused),
    ("chunk size ends with a bare LF", CHUNKED, Between("<hex>\n", END), Refused),
    ("chunk size ends with a bare CR", CHUNKED, Between("<hex>\r", END), Refused),
    ("chunk extension", CHUNKED, Between("<hex>;a=b\r\n", END), OneRequest),
    ("chunk extension with LF", CHUNKED, Between("<hex>;a\nb\r\n", END), Refused),
    ("trailer with CL", CHUNKED, Between("<hex>\r\n", "\r\n0\r\nContent-Length: 5\r\n\r\n"), OneRequest),
];

/// A name, a piece of a sound request, what stands there instead, and what becomes of it.
type Edit = (&'static str, &'static str, &'static str, Verdict);

/// Lines and names.
const EDITS: &[Edit] = &[
    ("TE in HTTP/1.0", "HTTP/1.1", "HTTP/1.0", OneRequest),
    // RFC 9112 2.2: a recipient may take a single LF for a line end.
    ("header line ends with a bare LF", "\r\nMcp-Method", "\nMcp-Method", OneRequest),
    ("header line folded", "\r\nMcp-Method", "\r\n X: y\r\nMcp-Method", Refused),
    ("header with NUL", "Mcp-Method: ", "X-A: a\0b\r\nMcp-Method: ", Refused),
    ("header with a bare CR", "Mcp-Method: ", "X-A: a\rContent-Length: 0\r\nMcp-Method: ", Refused),
    ("header without a name", "Mcp-Method: ", ": x\r\nMcp-Method: ", Refused),
    ("header without a colon", "Mcp-Method: ", "nothing\r\nMcp-Method: ", Refused),
];

/// Two calls for the gateway at an address.
struct Calls {
    address: SocketAddr,
    /// The body of the outer call.
    body: Vec<u8>,
    /// A request that would be a second one: it must never reach the upstream.
    second: Vec<u8>,
}

impl Calls {
    fn new(address: SocketAddr) -> Self {
        let body = modern_call("1", "one__write", json!({"mark": "outer"})).body;
        let second = modern_call("666", "one__write", json!({"mark": "smuggled"})).bytes(address);
        Self { address, body, second }
    }

    fn chunks(&self) -> Vec<u8> {
        self.body_of(Between("<hex>\r\n", END))
    }

    fn body_of(&self, body: Body) -> Vec<u8> {
        match body {
            Plain => self.body.clone(),
            PlainAndSecond => [&self.body[..], &self.second].concat(),
            Chunks => self.chunks(),
            ChunksAndSecond => [self.chunks(), self.second.clone()].concat(),
            Between(head, end) => [self.filled(head).as_bytes(), &self.body, end.as_bytes()].concat(),
        }
    }

    /// Puts numbers in the place of their names.
    fn filled(&self, text: &str) -> String {
        let length = self.body.len();
        let text = text.replace("<n>", &length.to_string()).replace("<hex>", &format!("{length:x}"));
        let text = text.replace("<all>", &(length + self.second.len()).to_string());
        if text.contains("<chunks>") {
            text.replace("<chunks>", &self.chunks().len().to_string())
        } else {
            text
        }
    }

    /// The outer call, framed in this way.
    fn framed(&self, framing: &str, body: Body) -> Vec<u8> {
        let mut request = modern_call("1", "one__write", json!({"mark": "outer"}));
        request.body = self.body_of(body);
        let text = request.with("Transfer-Encoding", "PLACE").bytes(self.address);
        let place = b"Transfer-Encoding: PLACE\r\n";
        let at = text.windows(place.len()).position(|part| part == place).expect("the place");
        [&text[..at], self.filled(framing).as_bytes(), &text[at + place.len()..]].concat()
    }

    /// The outer call, framed in this way, with its first `old` replaced.
    fn edited(&self, framing: &str, body: Body, old: &str, new: &str) -> Vec<u8> {
        let text = String::from_utf8(self.framed(framing, body)).expect("ASCII");
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1).into_bytes()
    }

    /// A request that takes no body, with the hidden one as its body.
    fn covered(&self) -> Vec<u8> {
        let (address, length) = (self.address, self.second.len());
        let get = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
        [get.as_bytes(), &self.second].concat()
    }

    /// Every case: its name, its bytes, and what becomes of it.
    fn set(&self) -> Vec<(&'static str, Vec<u8>, Verdict)> {
        let framings = [BOTH, ENCODINGS, LENGTHS, CHUNKINGS].concat().into_iter();
        let framed =
            framings.map(|(name, framing, body, verdict)| (name, self.framed(framing, body), verdict));
        let edited = EDITS.iter().map(|&(name, old, new, verdict)| {
            (name, self.edited("Content-Length: <n>\r\n", Plain, old, new), verdict)
        });
        let (_, both, chunks, _) = BOTH[0];
        let older = self.edited(both, chunks, "HTTP/1.1", "HTTP/1.0");
        let single = [
            ("CL and TE in HTTP/1.0", older, Refused),
            ("two requests without a body", self.covered(), OneRequest),
        ];
        framed.chain(edited).chain(single).collect()
    }
}

/// Sends bytes and returns the statuses that come back, and whether the connection was closed.
async fn statuses(gateway: &Gateway, bytes: &[u8], expected: Verdict) -> (Vec<u16>, bool) {
    let mut wire = Wire::connect(gateway.address).await;
    // The gateway may close before it has read everything.
    let _ = wire.send(bytes).await;
    let mut statuses = Vec::new();
    loop {
        // What is to come is waited for, that no more comes is taken to be so after a silence.
        let is_complete = matches!(expected, OneRequest) && !statuses.is_empty();
        let patience = if is_complete { SILENCE } else { PATIENCE };
        match timeout(patience, wire.response()).await {
            Ok(Ok(response)) => statuses.push(response.head.status),
            Ok(Err(_)) => return (statuses, true),
            Err(_) => return (statuses, false),
        }
    }
}

impl Verdict {
    /// Tells whether it came so.
    fn is_kept(self, statuses: &[u16], closed: bool, dispatched: usize) -> bool {
        match self {
            // The library closes what is no HTTP at all without an answer.
            Refused => {
                closed
                    && dispatched == 0
                    && statuses.len() <= 1
                    && statuses.iter().all(|status| *status == 400)
            }
            OneThenClosed => closed && dispatched <= 1 && statuses.len() == 1,
            OneRequest => dispatched <= 1 && statuses.len() == 1,
        }
    }
}

#[test]
fn s04_no_framing_hides_a_second_request() {
    within(Duration::from_secs(120), async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        let set = Calls::new(gateway.address).set();
        assert!(set.len() >= 60, "{}", set.len());
        let mut faults = Vec::new();
        for (name, bytes, verdict) in &set {
            let before = upstream.seen().marks().len();
            let (statuses, closed) = statuses(&gateway, bytes, *verdict).await;
            let dispatched = upstream.seen().marks().len() - before;
            if !verdict.is_kept(&statuses, closed, dispatched) {
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

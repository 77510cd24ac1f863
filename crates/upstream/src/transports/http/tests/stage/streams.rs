//! Servers and what they say outside of answers. Streams that a test writes: what the server opens with a [`Pen`], the
//! test finds among its [`Streams`].

use std::io;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Answer, Seen, Server, event, events, json, open_body, result, serve, status, typed};

/// One stream; it goes on as long as this lives.
pub(in crate::transports) type Stream = mpsc::Sender<io::Result<Bytes>>;

/// The streams in the order in which they were opened.
pub(in crate::transports) type Streams = mpsc::UnboundedReceiver<Stream>;

/// The server's side: opens streams.
pub(in crate::transports) struct Pen(mpsc::UnboundedSender<Stream>);

/// Begins without a stream.
pub(in crate::transports) fn streams() -> (Pen, Streams) {
    let (opened, streams) = mpsc::unbounded_channel();
    (Pen(opened), streams)
}

impl Pen {
    /// Answers with a stream of events that the test writes.
    pub(in crate::transports) fn open(&self) -> Answer {
        let (stream, body) = open_body();
        self.0.send(stream).unwrap();
        typed("text/event-stream", body)
    }

    /// Answers calls at once, and whoever listens with a stream that the test writes.
    pub(in crate::transports) fn answer(&self, seen: &Seen) -> Answer {
        match &*seen.rpc() {
            "tools/call" => json(result(&seen.id(), "{}")),
            "" if seen.method == "GET" => self.open(),
            _ => status(202),
        }
    }
}

/// A server without standing streams that says during each call that an elicitation is complete.
pub(in crate::transports) async fn completing() -> Server {
    let completed =
        r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#;
    serve(move |seen| async move {
        match &*seen.rpc() {
            "tools/call" => events(&[event(completed), event(&result(&seen.id(), "{}"))]),
            _ => status(405),
        }
    })
    .await
}

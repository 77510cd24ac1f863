//! The one event stream of a server that speaks HTTP+SSE: first where messages go, then all of its messages.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use protocol::sse::Decoder;

/// What an event may add to a message of the largest size: field names and the message's envelope.
const EVENT_BYTES: usize = 8192;

/// The stream.
pub(super) struct Events {
    body: Incoming,
    decoder: Decoder,
}

/// What comes next.
pub(super) enum Next {
    /// Where messages go, as the server writes it.
    Endpoint(Bytes),
    /// A message.
    Message(Bytes),
    /// An event larger than allowed; the stream must be given up.
    TooLarge,
    /// The stream is over.
    Ended,
}

impl Events {
    /// Reads `body`; a message of more than `message_bytes` is too large.
    pub(super) fn new(body: Incoming, message_bytes: usize) -> Self {
        Self { body, decoder: Decoder::new(message_bytes.saturating_add(EVENT_BYTES)) }
    }

    /// Waits for the next event that means something. Cancel safe.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            match self.decoder.next_event() {
                Err(_) => return Next::TooLarge,
                Ok(Some(event)) => match &*event.event {
                    "endpoint" => return Next::Endpoint(event.data),
                    "" | "message" if !event.data.is_empty() => return Next::Message(event.data),
                    _ => {}
                },
                Ok(None) => match self.body.frame().await {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            self.decoder.feed(&data);
                        }
                    }
                    Some(Err(_)) | None => return Next::Ended,
                },
            }
        }
    }
}

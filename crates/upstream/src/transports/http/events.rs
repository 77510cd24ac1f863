//! The events of one response (`text/event-stream`) as they arrive, and where such a stream can be taken up again.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use protocol::sse::Decoder;

/// What an event may add to a message of the largest size: field names and the message's envelope.
const EVENT_BYTES: usize = 8192;
/// Longest id of an event. Longer ones are not remembered, as if the event had none.
const MAX_ID_BYTES: usize = 1024;

/// A response that is read as events.
pub(super) struct EventStream {
    body: Incoming,
    decoder: Decoder,
    last_id: Option<HeaderValue>,
    retry: Option<Duration>,
    /// Whether anything arrived at all.
    is_fruitful: bool,
}

/// What comes next.
pub(super) enum Next {
    /// The data of a `message` event.
    Data(Bytes),
    /// An event larger than allowed; the stream must be given up.
    TooLarge,
    /// The stream is over.
    Ended(End),
}

/// How a stream ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// The id of the last event that had one: a stream with one can be taken up again.
    pub(super) last_id: Option<HeaderValue>,
    /// How long the server wants us to wait before.
    pub(super) retry: Option<Duration>,
    /// Whether the server ended it, and not a fault.
    pub(super) is_clean: bool,
    /// Whether events had arrived.
    pub(super) is_fruitful: bool,
}

impl End {
    /// The end of a stream that is not to be taken up again.
    pub(super) const GIVEN_UP: Self = Self { last_id: None, retry: None, is_clean: true, is_fruitful: true };
}

impl EventStream {
    /// Reads `body`; a message of more than `message_bytes` is too large.
    pub(super) fn new(body: Incoming, message_bytes: usize) -> Self {
        let decoder = Decoder::new(message_bytes.saturating_add(EVENT_BYTES));
        Self { body, decoder, last_id: None, retry: None, is_fruitful: false }
    }

    /// Remembers where the stream began, if it is the continuation of another one.
    pub(super) fn continuing(mut self, last_id: HeaderValue) -> Self {
        self.last_id = Some(last_id);
        self
    }

    /// Waits for the next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            match self.decoder.next_event() {
                Err(_) => return Next::TooLarge,
                Ok(Some(event)) => {
                    self.is_fruitful = true;
                    self.note(event.id, event.retry_ms);
                    let is_message = event.event.is_empty() || event.event == "message";
                    if is_message && !event.data.is_empty() {
                        return Next::Data(event.data);
                    }
                }
                Ok(None) => match self.body.frame().await {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            self.decoder.feed(&data);
                        }
                    }
                    Some(Err(_)) => return Next::Ended(self.end(false)),
                    None => return Next::Ended(self.end(true)),
                },
            }
        }
    }

    /// Returns the body, to read it to its end.
    pub(super) fn into_body(self) -> Incoming {
        self.body
    }

    fn note(&mut self, id: Option<String>, retry_ms: Option<u64>) {
        if let Some(id) = id.filter(|id| id.len() <= MAX_ID_BYTES) {
            // An empty id takes the last one back (WHATWG HTML, section 9.2.6).
            self.last_id = HeaderValue::from_str(&id).ok().filter(|id| !id.is_empty());
        }
        if let Some(retry_ms) = retry_ms {
            self.retry = Some(Duration::from_millis(retry_ms));
        }
    }

    fn end(&mut self, is_clean: bool) -> End {
        let (last_id, is_fruitful) = (self.last_id.take(), self.is_fruitful);
        End { last_id, retry: self.retry, is_clean, is_fruitful }
    }
}

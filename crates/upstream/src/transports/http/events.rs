//! The events of one response (`text/event-stream`) as they arrive, and where such a stream can be taken up again.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use protocol::sse::Decoder;
use tokio::time::Instant;

/// What an event may add to a message of the largest size: field names and the message's envelope.
const EVENT_BYTES: usize = 8192;
/// Longest id of an event. Longer ones are not remembered, as if the event had none.
const MAX_ID_BYTES: usize = 1024;
/// The longest pause that a server may want before a stream is taken up again. With a longer one, a call is lost, and a
/// stream that is read for as long as there is one is taken up again after this time, so that a slip of the server does
/// not leave us deaf for good.
pub(super) const MAX_RETRY: Duration = Duration::from_secs(10 * 60);

/// A response that is read as events.
pub(super) struct EventStream {
    body: Incoming,
    decoder: Decoder,
    last_id: Option<HeaderValue>,
    retry: Option<Duration>,
    since: Instant,
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
    /// How long the server wants us to wait before, if it said so, whatever ended the stream.
    pub(super) retry: Option<Duration>,
    /// How long it was there.
    pub(super) lived: Duration,
}

impl EventStream {
    /// Reads `body`; a message of more than `message_bytes` is too large.
    pub(super) fn new(body: Incoming, message_bytes: usize) -> Self {
        let decoder = Decoder::new(message_bytes.saturating_add(EVENT_BYTES));
        Self { body, decoder, last_id: None, retry: None, since: Instant::now() }
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
                    Some(Err(_)) | None => return Next::Ended(self.end()),
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
            self.last_id = HeaderValue::from_bytes(id.as_bytes()).ok().filter(|id| !id.is_empty());
        }
        if let Some(retry_ms) = retry_ms {
            self.retry = Some(Duration::from_millis(retry_ms));
        }
    }

    /// Returns how the stream ends that is not read to its end, and not to be taken up where it was.
    pub(super) fn give_up(&self) -> End {
        End { last_id: None, retry: self.retry, lived: self.since.elapsed() }
    }

    fn end(&mut self) -> End {
        let last_id = self.last_id.take();
        End { last_id, ..self.give_up() }
    }
}

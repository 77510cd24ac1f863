//! Server-sent events (WHATWG HTML, section 9.2): an incremental reader with bounds, and a writer.
//! The reader copies only where an event spans several `data` lines.

use bytes::{Bytes, BytesMut};

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's type; empty stands for `message`.
    pub event: String,
    /// The data lines, joined by line feeds.
    pub data: Bytes,
    /// The event's id, if it names one.
    pub id: Option<String>,
    /// The reconnection time in milliseconds, if it names one.
    pub retry_ms: Option<u64>,
}

/// An event larger than the reader's bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {limit} bytes")]
pub struct TooLarge {
    /// The bound in bytes.
    pub limit: usize,
}

/// Reads events from chunks as they arrive.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// How far the buffer is known to hold no line end, so that long lines are scanned once.
    scanned: usize,
    at_start: bool,
    after_cr: bool,
    data: Option<Bytes>,
    pending: Event,
    max_event_bytes: usize,
}

impl Decoder {
    /// Makes a reader that refuses events larger than `max_event_bytes`.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            at_start: true,
            after_cr: false,
            data: None,
            pending: Event::default(),
            max_event_bytes,
        }
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Returns the next complete event; `None` until more bytes arrive. Comments yield nothing.
    ///
    /// # Errors
    /// [`TooLarge`]: the stream must be given up.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLarge> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.field(&line)?;
            } else if let Some(event) = self.dispatch() {
                return Ok(Some(event));
            }
        }
        self.within(self.buffer.len() + self.data.as_ref().map_or(0, Bytes::len))?;
        Ok(None)
    }

    /// Takes one line from the buffer, without its end: LF, CR or CR LF.
    fn next_line(&mut self) -> Option<Bytes> {
        if self.after_cr && !self.buffer.is_empty() {
            self.after_cr = false;
            if self.buffer[0] == b'\n' {
                let _ = self.buffer.split_to(1);
            }
        }
        let Some(found) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.scanned..]) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.scanned + found + 1).freeze();
        self.scanned = 0;
        self.after_cr = line.last() == Some(&b'\r');
        line.truncate(line.len() - 1);
        if std::mem::take(&mut self.at_start) && line.starts_with("\u{feff}".as_bytes()) {
            line = line.slice(3..);
        }
        Some(line)
    }

    fn field(&mut self, line: &Bytes) -> Result<(), TooLarge> {
        let colon = memchr::memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let mut value = colon.map_or_else(Bytes::new, |colon| line.slice(colon + 1..));
        if value.first() == Some(&b' ') {
            value = value.slice(1..);
        }
        match name {
            b"data" => self.add_data(value)?,
            b"event" => self.pending.event = String::from_utf8_lossy(&value).into_owned(),
            b"id" if !value.contains(&0) => {
                self.pending.id = Some(String::from_utf8_lossy(&value).into_owned())
            }
            b"retry" => {
                self.pending.retry_ms = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok())
            }
            _ => {}
        }
        Ok(())
    }

    fn add_data(&mut self, value: Bytes) -> Result<(), TooLarge> {
        self.data = Some(match self.data.take() {
            None => value,
            Some(earlier) => {
                self.within(earlier.len() + value.len())?;
                [&earlier[..], b"\n", &value[..]].concat().into()
            }
        });
        self.within(self.data.as_ref().map_or(0, Bytes::len))
    }

    /// Ends the event at a blank line. An event without data is dispatched only when it names an id or a retry time.
    fn dispatch(&mut self) -> Option<Event> {
        let data = self.data.take();
        let mut event = std::mem::take(&mut self.pending);
        let carries = data.is_some() || event.id.is_some() || event.retry_ms.is_some();
        event.data = data.unwrap_or_default();
        carries.then_some(event)
    }

    const fn within(&self, bytes: usize) -> Result<(), TooLarge> {
        if bytes > self.max_event_bytes { Err(TooLarge { limit: self.max_event_bytes }) } else { Ok(()) }
    }
}

/// A comment that keeps a quiet stream alive.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Writes one `message` event around a JSON message. Line ends inside the JSON become further data lines.
pub fn encode(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 32);
    out.extend_from_slice(b"event: message\ndata: ");
    for (position, line) in message.split(|byte| *byte == b'\n').enumerate() {
        if position > 0 {
            out.extend_from_slice(b"\ndata: ");
        }
        out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
    }
    out.extend_from_slice(b"\n\n");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.feed(chunk);
            while let Some(event) = decoder.next_event().unwrap() {
                events.push((event.event, String::from_utf8(event.data.to_vec()).unwrap()));
            }
        }
        events
    }

    #[test]
    fn the_examples_of_the_specification() {
        let stream = b"\xef\xbb\xbf: comment\r\ndata: YHOO\ndata: +2\rdata:10\r\n\r\nevent: add\ndata:  x\n\n\nid\n\ndata\n\n";
        let expected = [("", "YHOO\n+2\n10"), ("add", " x"), ("", ""), ("", "")];
        let events = read(&[stream]);
        assert_eq!(events, expected.map(|(event, data)| (event.to_owned(), data.to_owned())));
    }

    #[test]
    fn an_event_larger_than_the_bound_is_refused() {
        let mut decoder = Decoder::new(10);
        decoder.feed(b"data: 0123456789abcdef");
        assert_eq!(decoder.next_event(), Err(TooLarge { limit: 10 }));
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(read(&[&encode(b"{\"a\":\n1}")]), [("message".to_owned(), "{\"a\":\n1}".to_owned())]);
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_events(
            stream in "(data: ?[a-z]{0,5}(\n|\r|\r\n)|event:x(\n|\r\n)|(\n|\r|\r\n)|: c\n){0,20}",
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for cut in cuts { chunks.push(&bytes[start..cut]); start = cut; }
            chunks.push(&bytes[start..]);
            prop_assert_eq!(read(&chunks), read(&[bytes]));
        }
    }
}

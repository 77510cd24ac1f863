//! Server-sent events (WHATWG HTML, section 9.2): an incremental reader with bounds, and a writer.
//! The reader copies only where an event spans several `data` lines. That chunks make no difference is shown in
//! `tests/event_streams.rs`.

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

/// The byte order mark that may stand before a stream.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// What a line may have beside as much as a whole event: a field's name, its colon and a space.
const FIELD_BYTES: usize = "event: ".len();

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
    data: Data,
    pending: Event,
    max_event_bytes: usize,
}

/// The data lines of an event so far.
#[derive(Debug, Default)]
enum Data {
    /// There is none.
    #[default]
    Absent,
    /// One line, which is a slice of what arrived.
    Line(Bytes),
    /// Several lines, joined by line feeds.
    Lines(BytesMut),
}

impl Decoder {
    /// Makes a reader that refuses events larger than `max_event_bytes`.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            at_start: true,
            after_cr: false,
            data: Data::Absent,
            pending: Event::default(),
            max_event_bytes,
        }
    }

    /// Adds bytes that arrived.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Returns the next complete event; `None` until more bytes arrive. Comments yield nothing. How the stream was
    /// cut into chunks makes no difference, to what is refused neither.
    ///
    /// # Errors
    /// [`TooLarge`]: the stream must be given up.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLarge> {
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.check_line(&line)?;
                self.field(&line)?;
            } else if let Some(event) = self.dispatch() {
                return Ok(Some(event));
            }
        }
        // What of a line is here already must not be more than all of it may be.
        let begun = self.buffer.strip_prefix(BOM).filter(|_| self.at_start).unwrap_or(&self.buffer);
        self.check_line(begun)?;
        Ok(None)
    }

    /// Checks a line, or the beginning of one, against the bound: all data of an event together, any other line alone.
    /// Looks at the beginning only: a line that arrives in many pieces is checked with each.
    fn check_line(&self, line: &[u8]) -> Result<(), TooLarge> {
        match line.strip_prefix(b"data:") {
            Some(value) => self.within(self.data.len_with(without_space(value)), self.max_event_bytes),
            // It is of another field, or its name may still go on.
            None => self.within(line.len(), self.max_event_bytes + FIELD_BYTES),
        }
    }

    const fn within(&self, bytes: usize, limit: usize) -> Result<(), TooLarge> {
        if bytes > limit { Err(TooLarge { limit: self.max_event_bytes }) } else { Ok(()) }
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
        if std::mem::take(&mut self.at_start) && line.starts_with(BOM) {
            line = line.slice(BOM.len()..);
        }
        Some(line)
    }

    fn field(&mut self, line: &Bytes) -> Result<(), TooLarge> {
        let (name, value) = split_field(line);
        let value = value.unwrap_or_default();
        match name {
            b"data" => {
                self.within(self.data.len_with(value), self.max_event_bytes)?;
                self.data.add(line.slice_ref(value));
            }
            b"event" => self.pending.event = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => {
                self.pending.id = Some(String::from_utf8_lossy(value).into_owned());
            }
            b"retry" => self.pending.retry_ms = milliseconds(value).or(self.pending.retry_ms),
            _ => {}
        }
        Ok(())
    }

    /// Ends the event at a blank line. An event without data is dispatched only when it names an id or a retry time.
    fn dispatch(&mut self) -> Option<Event> {
        let data = std::mem::take(&mut self.data).into_bytes();
        let mut event = std::mem::take(&mut self.pending);
        let carries = data.is_some() || event.id.is_some() || event.retry_ms.is_some();
        event.data = data.unwrap_or_default();
        carries.then_some(event)
    }
}

impl Data {
    fn add(&mut self, value: Bytes) {
        *self = match std::mem::take(self) {
            Self::Absent => Self::Line(value),
            Self::Line(earlier) => {
                let mut lines = BytesMut::with_capacity(earlier.len() + 1 + value.len());
                lines.extend_from_slice(&earlier);
                Self::Lines(joined(lines, &value))
            }
            Self::Lines(earlier) => Self::Lines(joined(earlier, &value)),
        };
    }

    /// Returns how much there is once `value` is added.
    fn len_with(&self, value: &[u8]) -> usize {
        match self {
            Self::Absent => value.len(),
            Self::Line(earlier) => earlier.len() + 1 + value.len(),
            Self::Lines(earlier) => earlier.len() + 1 + value.len(),
        }
    }

    fn into_bytes(self) -> Option<Bytes> {
        match self {
            Self::Absent => None,
            Self::Line(line) => Some(line),
            Self::Lines(lines) => Some(lines.freeze()),
        }
    }
}

fn joined(mut lines: BytesMut, line: &[u8]) -> BytesMut {
    lines.extend_from_slice(b"\n");
    lines.extend_from_slice(line);
    lines
}

/// Splits a line into the field's name and its value without the one space before it; no value without a colon.
fn split_field(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(colon) = memchr::memchr(b':', line) else { return (line, None) };
    (&line[..colon], Some(without_space(&line[colon + 1..])))
}

fn without_space(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// Reads a reconnection time: digits and nothing else.
fn milliseconds(value: &[u8]) -> Option<u64> {
    let is_digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_digits)?.parse().ok()
}

/// A comment that keeps a quiet stream alive.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Writes one `message` event around a JSON message. Line ends inside the JSON, where they can only be white space,
/// become further data lines.
pub fn encode(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 32);
    out.extend_from_slice(b"event: message\ndata: ");
    let mut rest = message;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\ndata: ");
        rest = rest[end..].strip_prefix(b"\r\n").unwrap_or(&rest[end + 1..]);
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(b"\n\n");
    out
}

#[cfg(test)]
mod tests {
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
        for (written, expected) in [("{\"a\":\n1}", "{\"a\":\n1}"), ("{\r\"a\":\r\n\r1}", "{\n\"a\":\n\n1}")]
        {
            assert_eq!(read(&[&encode(written.as_bytes())]), [("message".to_owned(), expected.to_owned())]);
        }
    }
}

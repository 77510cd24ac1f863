//! Cuts a byte stream into lines: MCP's framing over stdin and stdout. Whether a line is a message, or JSON, or even
//! text, is for the caller to find out.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest line accepted by default: larger results than 16 MiB fit no model and few clients.
pub const DEFAULT_MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Least room for a read. Small, because an idle connection keeps it.
const MIN_READ_BYTES: usize = 8 * 1024;
/// A buffer that has grown beyond this is given back after the line that needed it.
const KEEP_BUFFER_BYTES: usize = 256 * 1024;
/// A byte order mark in UTF-8; some runtimes put it before their first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One line of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line that is not blank, without its end (`\n` or `\r\n`).
    Message(Bytes),
    /// A line longer than the bound. It is not kept; the next line follows if reading goes on.
    TooLong,
}

/// Reads lines from `R`. Blank lines and a byte order mark at the start are passed over.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    buffer: BytesMut,
    /// So much of the buffer holds no line end.
    searched: usize,
    max_line_bytes: usize,
    state: State,
}

/// Where in the stream we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the end of the first line.
    First,
    /// In the middle of lines.
    Following,
    /// Behind the bound of a line that was reported as too long.
    Skipping,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads lines of at most `max_line_bytes`, their ends not counted (but for a `\r`).
    pub fn new(reader: R, max_line_bytes: usize) -> Self {
        Self { reader, buffer: BytesMut::new(), searched: 0, max_line_bytes, state: State::First }
    }

    /// Returns the next line, `None` at the end of the stream. A last line needs no end.
    ///
    /// Cancel safe. At most `max_line_bytes` and one read are held in memory.
    ///
    /// # Errors
    /// What reading from the stream says.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.buffered_line() {
                return Ok(Some(line));
            }
            self.make_room();
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(self.last_line());
            }
        }
    }

    /// Takes the next line that is not blank out of the buffer.
    fn buffered_line(&mut self) -> Option<Line> {
        while let Some(end) = memchr(b'\n', &self.buffer[self.searched..]) {
            let line = self.take_line(self.searched + end);
            self.buffer.advance(1);
            if line.is_some() {
                return line;
            }
        }
        self.searched = self.buffer.len();
        self.give_up_on_long_line()
    }

    /// Takes the first `length` bytes of the buffer as a line; `None` if it is blank or was reported before.
    fn take_line(&mut self, length: usize) -> Option<Line> {
        let line = self.buffer.split_to(length).freeze();
        self.searched = 0;
        let state = std::mem::replace(&mut self.state, State::Following);
        if state == State::Skipping {
            return None;
        }
        if length > KEEP_BUFFER_BYTES {
            // The line shares our buffer; going on in it would keep its size for good.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        if length > self.max_line_bytes {
            return Some(Line::TooLong);
        }
        let marked = state == State::First && line.starts_with(BYTE_ORDER_MARK);
        let start = if marked { BYTE_ORDER_MARK.len() } else { 0 };
        let end = if line.ends_with(b"\r") { length - 1 } else { length };
        let message = line.slice(start..end.max(start));
        (!message.iter().all(u8::is_ascii_whitespace)).then_some(Line::Message(message))
    }

    /// Drops a line that is too long already, and says so once.
    fn give_up_on_long_line(&mut self) -> Option<Line> {
        let skipping = self.state == State::Skipping;
        if !skipping && self.buffer.len() <= self.max_line_bytes {
            return None;
        }
        self.searched = 0;
        self.state = State::Skipping;
        if self.buffer.capacity() > KEEP_BUFFER_BYTES {
            self.buffer = BytesMut::new();
        } else {
            self.buffer.clear();
        }
        (!skipping).then_some(Line::TooLong)
    }

    /// Doubles the buffer when it is full, so that a line is copied a constant number of times as it grows.
    fn make_room(&mut self) {
        if self.buffer.capacity() - self.buffer.len() < MIN_READ_BYTES {
            self.buffer.reserve(self.buffer.len().max(MIN_READ_BYTES));
        }
    }

    fn last_line(&mut self) -> Option<Line> {
        let length = self.buffer.len();
        if length == 0 { None } else { self.take_line(length) }
    }
}

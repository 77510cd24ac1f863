//! Reads the envelope of a large answer without reading the result in it. Pure: no IO, no bounds in bytes.
//!
//! A result is followed by its brackets and strings alone, which is enough to know where it ends: if the whole
//! message is JSON, the first bracket that leaves nothing open is the result's last byte. If it is not, the result
//! is still passed on without a byte of the envelope, so that no server can write members into our own envelope.
//! Everything around the result is then judged by the strict reader of `protocol`.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;
use protocol::{Malformed, Message, Response, ResponseBody, Unreadable};

/// Below this size the strict reader is as fast.
const WORTH_SCANNING_BYTES: usize = 1024;

/// What the beginning of a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// The result has not begun in these bytes.
    Partial,
    /// It is an answer whose result, an object, begins at `result`. The id's place is known if it stood before.
    Result { result: usize, id: Option<Range<usize>> },
    /// Something else: an error, a request, an unusual result, or no JSON. It must be read as a whole.
    Other,
}

/// Follows the brackets of one object or array, and the strings in it.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// Reads one message as [`Message::parse`] does, but does not look into a large result further than to find its end.
pub(super) fn parse(body: &Bytes) -> Result<Message, Malformed> {
    let result = if body.len() < WORTH_SCANNING_BYTES { None } else { find_result(body) };
    let Some(result) = result else { return Message::parse(body) };
    if std::str::from_utf8(&body[result.clone()]).is_err() {
        return Err(Malformed { reason: Unreadable::NotJson, id: None });
    }
    match parse_around(&body[..result.start], &body[result.end..])? {
        Message::Response(Response { id, body: ResponseBody::Result(_) }) => {
            Ok(Message::Response(Response { id, body: ResponseBody::Result(body.slice(result)) }))
        }
        other => Ok(other),
    }
}

/// Judges what stands before and after a result.
pub(super) fn parse_around(before: &[u8], after: &[u8]) -> Result<Message, Malformed> {
    Message::parse(&[before, b"{}", after].concat().into())
}

fn find_result(body: &[u8]) -> Option<Range<usize>> {
    let Head::Result { result, .. } = scan_head(body) else { return None };
    let length = Nesting::default().advance(&body[result..])?;
    Some(result..result + length)
}

/// Looks for the result among the first members of a message.
pub(super) fn scan_head(bytes: &[u8]) -> Head {
    let mut cursor = Cursor { bytes, at: 0 };
    cursor.head().unwrap_or_else(|stop| stop)
}

// === impl Nesting ===

impl Nesting {
    /// Reads on; returns how many of `bytes` belong to the value if it ends in them.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.in_string {
                at = self.advance_string(bytes, at);
                continue;
            }
            at += 1;
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Reads on inside a string and returns where to go on: behind its end, or at the end of `bytes`.
    fn advance_string(&mut self, bytes: &[u8], from: usize) -> usize {
        let from = from + usize::from(std::mem::take(&mut self.escaped));
        let rest = bytes.get(from..).unwrap_or_default();
        let Some(found) = memchr2(b'"', b'\\', rest) else { return bytes.len() };
        if rest[found] == b'"' {
            self.in_string = false;
        } else {
            self.escaped = true;
        }
        from + found + 1
    }
}

/// Walks through the members of the envelope. Each step fails with what is known when it cannot be taken.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn head(&mut self) -> Result<Head, Head> {
        self.expect(b'{')?;
        let mut id = None;
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            let first = self.peek()?;
            match &self.bytes[key] {
                b"result" if first == b'{' => return Ok(Head::Result { result: self.at, id }),
                b"result" | b"error" | b"method" => return Err(Head::Other),
                b"id" => id = Some(self.value(first)?),
                _ => {
                    self.value(first)?;
                }
            }
            self.expect(b',')?;
        }
    }

    /// Returns the next byte that is no white space, without taking it.
    fn peek(&mut self) -> Result<u8, Head> {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.bytes[self.at..].iter().take_while(is_space).count();
        self.bytes.get(self.at).copied().ok_or(Head::Partial)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Head> {
        let found = self.peek()?;
        self.at += 1;
        if found == byte { Ok(()) } else { Err(Head::Other) }
    }

    /// Takes a string without escapes and returns where its content stands.
    fn string(&mut self) -> Result<Range<usize>, Head> {
        self.expect(b'"')?;
        let start = self.at;
        let length = memchr2(b'"', b'\\', &self.bytes[start..]).ok_or(Head::Partial)?;
        self.at += length + 1;
        if self.bytes[start + length] == b'"' { Ok(start..start + length) } else { Err(Head::Other) }
    }

    /// Takes a value that begins with `first` and returns its place.
    fn value(&mut self, first: u8) -> Result<Range<usize>, Head> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = match first {
            b'{' | b'[' => Nesting::default().advance(rest),
            b'"' => string_length(rest),
            _ => rest.iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r')),
        };
        self.at += length.ok_or(Head::Partial)?;
        Ok(start..self.at)
    }
}

/// Returns the length of the string that `bytes` begins with, quotes included.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

#[cfg(test)]
mod tests;

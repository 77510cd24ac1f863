//! Reads a file line by line without ever holding more than one line of bounded length. What a line says: see
//! [`crate::verify()`].

use std::io::{self, BufRead};

use crate::MAX_LINE_BYTES;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read<'a> {
    /// A line, without its newline.
    Line(&'a [u8]),
    /// The last bytes of the file, which no newline ends.
    Torn(&'a [u8]),
    /// More than [`MAX_LINE_BYTES`] without a newline.
    TooLong,
    /// The end of the file.
    End,
}

/// Reads lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

// === impl Lines ===

impl<R: BufRead> Lines<R> {
    pub(crate) const fn new(reader: R) -> Self {
        Self { reader, line: Vec::new() }
    }

    pub(crate) fn read(&mut self) -> io::Result<Read<'_>> {
        self.line.clear();
        loop {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                filled => filled?,
            };
            let newline = available.iter().position(|byte| *byte == b'\n');
            let taken = newline.unwrap_or(available.len());
            if self.line.len() + taken >= MAX_LINE_BYTES {
                return Ok(Read::TooLong);
            }
            self.line.extend_from_slice(&available[..taken]);
            let is_end = available.is_empty();
            self.reader.consume(taken + usize::from(newline.is_some()));
            if newline.is_some() {
                return Ok(Read::Line(&self.line));
            }
            if is_end {
                return Ok(if self.line.is_empty() { Read::End } else { Read::Torn(&self.line) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_end_at_newlines_whatever_the_buffer() {
        for capacity in [1, 2, 64] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, &b"ab\n\nc"[..]));
            assert_eq!(lines.read().unwrap(), Read::Line(b"ab"));
            assert_eq!(lines.read().unwrap(), Read::Line(b""));
            assert_eq!(lines.read().unwrap(), Read::Torn(b"c"));
            assert_eq!(lines.read().unwrap(), Read::End);
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::new(BufReader::new(io::repeat(b'x')));
        assert_eq!(lines.read().unwrap(), Read::TooLong);
    }
}

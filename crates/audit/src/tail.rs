//! Follows a trail as it grows, for `toolgate audit tail`. Gives whole lines only and does not check the chain: see
//! [`crate::verify()`] for that.

use std::{
    fs::File,
    io,
    ops::ControlFlow,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::MAX_LINE_BYTES;

/// Bytes read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first line.
    FirstLine,
    /// With the last so many lines, or the first if there are fewer.
    LastLines(usize),
}

/// A trail being followed.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: File,
    /// How far the file was read.
    position: u64,
    /// Bytes read; those before `given` were given out.
    read: Vec<u8>,
    given: usize,
    /// The bytes up to the next newline belong to a line that was refused.
    is_skipping: bool,
}

// === impl Tail ===

impl Tail {
    /// Opens the file at `path`. It takes no lock and disturbs no writer.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, start: Start) -> io::Result<Self> {
        let file = File::open(path)?;
        let position = match start {
            Start::FirstLine => 0,
            Start::LastLines(count) => start_of_last_lines(&file, count)?,
        };
        Ok(Self { path: path.to_owned(), file, position, read: Vec::new(), given: 0, is_skipping: false })
    }

    /// Returns the next line without its newline; None when there is no whole one at present. Does not wait. When
    /// the file was replaced or cut, it goes on with the first line of what is there now.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] for a line that no trail has. The next call goes on behind
    /// that line.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = self.given;
        loop {
            if let Some(found) = self.read[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.given..searched + found;
                self.given = line.end + 1;
                if !std::mem::take(&mut self.is_skipping) {
                    return Ok(Some(&self.read[line]));
                }
                searched = self.given;
                continue;
            }
            self.read.drain(..self.given);
            self.given = 0;
            if self.is_skipping {
                self.read.clear();
            }
            searched = self.read.len();
            if searched >= MAX_LINE_BYTES {
                self.read.clear();
                self.is_skipping = true;
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line is longer than any of a trail",
                ));
            }
            if !self.read_more()? && !self.reopen_if_replaced()? {
                return Ok(None);
            }
            searched = searched.min(self.read.len());
        }
    }

    /// Gives every line to `each`, looks for more every `pause`, and returns when `each` breaks. It sleeps on the
    /// calling thread.
    ///
    /// # Errors
    /// As [`Tail::next_line`].
    pub fn follow<B>(
        &mut self,
        pause: Duration,
        mut each: impl FnMut(&[u8]) -> ControlFlow<B>,
    ) -> io::Result<B> {
        loop {
            while let Some(line) = self.next_line()? {
                if let ControlFlow::Break(value) = each(line) {
                    return Ok(value);
                }
            }
            thread::sleep(pause);
        }
    }

    fn read_more(&mut self) -> io::Result<bool> {
        let old_length = self.read.len();
        self.read.resize(old_length + BLOCK_BYTES, 0);
        let got = self.file.read_at(&mut self.read[old_length..], self.position);
        let count = *got.as_ref().unwrap_or(&0);
        self.read.truncate(old_length + count);
        self.position += count as u64;
        match got {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn reopen_if_replaced(&mut self) -> io::Result<bool> {
        let held = self.file.metadata()?;
        let named = match self.path.metadata() {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let is_same = (held.dev(), held.ino()) == (named.dev(), named.ino());
        if is_same && named.len() >= self.position {
            return Ok(false);
        }
        self.file = File::open(&self.path)?;
        self.position = 0;
        self.is_skipping = false;
        self.read.clear();
        Ok(true)
    }
}

/// Returns where the last `count` whole lines begin.
fn start_of_last_lines(file: &File, count: usize) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut newlines = 0;
    let mut block = vec![0; BLOCK_BYTES];
    while end > 0 {
        let length = end.min(BLOCK_BYTES as u64);
        let start = end - length;
        let bytes = &mut block[..usize::try_from(length).expect("a block fits in memory")];
        file.read_exact_at(bytes, start)?;
        for (at, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // The newline before the first wanted line is one more than there are lines wanted.
            if newlines == count {
                return Ok(start + at as u64 + 1);
            }
            newlines += 1;
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = tail.next_line().unwrap() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        lines
    }

    #[test]
    fn only_whole_lines_are_given_as_the_file_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntwo\nthr").unwrap();
        let mut tail = Tail::open(&path, Start::FirstLine).unwrap();
        assert_eq!(lines(&mut tail), ["one", "two"]);
        file.write_all(b"ee\n").unwrap();
        assert_eq!(lines(&mut tail), ["three"]);
        assert_eq!(lines(&mut tail), [""; 0]);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(lines(&mut tail), ["new"]);
        fs::write(folder.path().join("b"), "other file\n").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert_eq!(lines(&mut tail), ["other file"]);
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let long = "x".repeat(BLOCK_BYTES);
        fs::write(&path, format!("a\n{long}\nb\nc\nto")).unwrap();
        for (count, expected) in [
            (0, vec![]),
            (1, vec!["c"]),
            (2, vec!["b", "c"]),
            (3, vec![&long, "b", "c"]),
            (9, vec!["a", &long, "b", "c"]),
        ] {
            let mut tail = Tail::open(&path, Start::LastLines(count)).unwrap();
            assert_eq!(lines(&mut tail), expected, "{count}");
        }
    }

    #[test]
    fn a_line_that_no_trail_has_is_refused_once_and_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let endless = "x".repeat(MAX_LINE_BYTES * 2 + 7);
        fs::write(&path, format!("a\n{endless}\nb\n")).unwrap();
        let mut tail = Tail::open(&path, Start::FirstLine).unwrap();
        assert_eq!(tail.next_line().unwrap(), Some(&b"a"[..]));
        assert_eq!(tail.next_line().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(tail.next_line().unwrap(), Some(&b"b"[..]));
        assert_eq!(tail.next_line().unwrap(), None);
    }

    #[test]
    fn following_ends_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "a\nb\nc\n").unwrap();
        let mut tail = Tail::open(&path, Start::FirstLine).unwrap();
        let stop_at_b =
            |line: &[u8]| if line == b"b" { ControlFlow::Break("b") } else { ControlFlow::Continue(()) };
        assert_eq!(tail.follow(Duration::ZERO, stop_at_b).unwrap(), "b");
    }
}

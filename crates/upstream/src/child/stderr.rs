//! Reads a child's stderr to the end, whatever comes: a few lines go to the log, the last ones are kept for status
//! and error texts, a flood is counted. Memory is bounded by constants; nothing waits for a child to stop talking.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::ServerId;
use memchr::{memchr, memchr_iter, memrchr};
use parking_lot::Mutex;
use tokio::{net::unix::pipe, time::Instant};

use super::{process::would_block, redact::Redactor};

/// How much of the end of stderr is kept as it came.
const TAIL_BYTES: usize = 16 * 1024;
/// How many lines of it are shown at most.
const TAIL_LINES: usize = 40;
/// Read at once; the pipe holds four times as much.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks read before other tasks get their turn.
const CHUNKS_PER_TURN: usize = 8;
/// The limit of lines holds for this long.
const WINDOW: Duration = Duration::from_secs(1);
/// Lines logged in a window: room for a start-up banner or a stack trace.
const WINDOW_LINES: u32 = 100;
/// Lines logged in a window that follows one with suppressed lines: a steady flood stays a trickle.
const FLOOD_LINES: u32 = 10;

/// What a child said on stderr.
#[derive(Debug)]
pub(super) struct Stderr {
    redactor: Redactor,
    tail: Mutex<Tail>,
    suppressed: AtomicU64,
}

impl Stderr {
    /// Prepares for a child with the secrets that `redactor` knows.
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, tail: Mutex::default(), suppressed: AtomicU64::new(0) }
    }

    /// Returns what makes a text of this child fit to be shown.
    pub(super) const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Returns the last lines, oldest first.
    pub(super) fn recent(&self) -> Vec<String> {
        let tail = self.tail.lock().clone();
        let lines: Vec<&[u8]> = tail.whole_lines().collect();
        let first = lines.len().saturating_sub(TAIL_LINES);
        lines[first..].iter().map(|line| self.redactor.printable(line)).collect()
    }

    /// Returns how many lines were not logged.
    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }

    /// Reads until the end of the pipe. The task of one child.
    pub(super) async fn drain(self: Arc<Self>, server: ServerId, pipe: pipe::Receiver) {
        let mut log = LineLog::new(&self, &server);
        loop {
            match log.window_end() {
                Some(end) => {
                    // Nothing read by then: the count is due all the same.
                    let _ = tokio::time::timeout_at(end, pipe.readable()).await;
                }
                None if pipe.readable().await.is_err() => break,
                None => {}
            }
            match self.read_turn(&pipe, &mut log) {
                Turn::Empty => {}
                Turn::More => tokio::task::yield_now().await,
                Turn::End => break,
            }
        }
        log.finish();
    }

    /// Reads what is there, up to a bound. The buffer lives on the stack so that idle children cost no memory.
    fn read_turn(&self, pipe: &pipe::Receiver, log: &mut LineLog<'_>) -> Turn {
        let mut buffer = [0; CHUNK_BYTES];
        log.turn_window(Instant::now());
        for _ in 0..CHUNKS_PER_TURN {
            match pipe.try_read(&mut buffer) {
                Ok(0) => return Turn::End,
                Ok(length) => {
                    self.tail.lock().push(&buffer[..length]);
                    log.feed(&buffer[..length]);
                }
                Err(error) if would_block(&error) => return Turn::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Turn::End,
            }
        }
        Turn::More
    }
}

/// What a turn of reading left behind.
enum Turn {
    /// Nothing to read now.
    Empty,
    /// Perhaps more to read.
    More,
    /// The pipe has ended.
    End,
}

/// The end of the stream as it came; cleaned only when somebody looks.
#[derive(Debug, Default, Clone)]
struct Tail {
    bytes: Vec<u8>,
    beginning_lost: bool,
}

impl Tail {
    /// Appends `chunk` and forgets the oldest. Moves bytes only once per [`TAIL_BYTES`] appended.
    fn push(&mut self, chunk: &[u8]) {
        if self.bytes.len() + chunk.len() > 2 * TAIL_BYTES {
            let keep = TAIL_BYTES.saturating_sub(chunk.len());
            self.bytes.drain(..self.bytes.len().saturating_sub(keep));
            self.beginning_lost = true;
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// Returns the lines whose beginning is known. A line begun outside may start in the middle of a secret.
    fn whole_lines(&self) -> impl Iterator<Item = &[u8]> {
        let excess = self.bytes.len().saturating_sub(TAIL_BYTES);
        let lost = self.beginning_lost || excess > 0;
        let kept = &self.bytes[excess..];
        let start = if lost { memchr(b'\n', kept).map_or(kept.len(), |end| end + 1) } else { 0 };
        kept[start..].split(|byte| *byte == b'\n').map(without_return).filter(|line| !line.is_empty())
    }
}

/// Cuts the stream into lines and logs as many as the window allows.
struct LineLog<'a> {
    stderr: &'a Stderr,
    server: &'a ServerId,
    /// The unfinished line, up to what the redactor wants to see.
    partial: Vec<u8>,
    /// The whole length of the unfinished line.
    partial_length: usize,
    window_start: Instant,
    left: u32,
    suppressed: u64,
}

impl<'a> LineLog<'a> {
    fn new(stderr: &'a Stderr, server: &'a ServerId) -> Self {
        Self {
            stderr,
            server,
            partial: Vec::new(),
            partial_length: 0,
            window_start: Instant::now(),
            left: WINDOW_LINES,
            suppressed: 0,
        }
    }

    /// Returns when suppressed lines are to be reported, if there are any.
    fn window_end(&self) -> Option<Instant> {
        (self.suppressed > 0).then(|| self.window_start + WINDOW)
    }

    /// Begins a new window if the last one is over.
    fn turn_window(&mut self, now: Instant) {
        if now - self.window_start < WINDOW {
            return;
        }
        self.left = if self.suppressed > 0 { FLOOD_LINES } else { WINDOW_LINES };
        self.window_start = now;
        self.report_suppressed();
    }

    fn feed(&mut self, mut chunk: &[u8]) {
        while self.left > 0 {
            let Some(end) = memchr(b'\n', chunk) else {
                return self.extend_partial(chunk);
            };
            self.extend_partial(&chunk[..end]);
            self.left -= 1;
            self.log_partial();
            chunk = &chunk[end + 1..];
        }
        self.skip(chunk);
    }

    /// Counts lines and keeps only the beginning of the unfinished one.
    fn skip(&mut self, chunk: &[u8]) {
        let Some(last_end) = memrchr(b'\n', chunk) else {
            return self.extend_partial(chunk);
        };
        let lines = memchr_iter(b'\n', chunk).count() as u64;
        self.suppressed += lines;
        self.clear_partial();
        self.extend_partial(&chunk[last_end + 1..]);
    }

    fn extend_partial(&mut self, piece: &[u8]) {
        let room = self.stderr.redactor.wanted_bytes().saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
        self.partial_length += piece.len();
    }

    fn clear_partial(&mut self) {
        self.partial.clear();
        self.partial_length = 0;
    }

    fn log_partial(&mut self) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            let line = self.stderr.redactor.printable_of(without_return(&self.partial), self.partial_length);
            tracing::debug!(upstream = %self.server, line, "stderr");
        }
        self.clear_partial();
    }

    fn report_suppressed(&mut self) {
        if self.suppressed > 0 {
            tracing::debug!(upstream = %self.server, "{} lines of stderr suppressed", self.suppressed);
            self.stderr.suppressed.fetch_add(self.suppressed, Ordering::Relaxed);
            self.suppressed = 0;
        }
    }

    fn finish(&mut self) {
        if self.partial_length > 0 && self.left > 0 {
            self.log_partial();
        }
        self.report_suppressed();
    }
}

/// Takes away the carriage return of a CRLF.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

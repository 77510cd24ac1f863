//! The stub over stdio: one line in, one line out. Blocking on purpose: nothing is cheaper for one client.
//! Answers are written together while more input is already waiting; `slow` answers from a thread of its own.

use std::{
    io::{self, BufRead, BufReader, Read, Stdin, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::stub::{Message, Reply, Stub};

/// The longest line that is read; a longer one ends the stub.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// What one read takes from the pipe: the usual capacity of a pipe.
const READ_BYTES: usize = 64 << 10;
/// How many `slow` calls sleep at once; further ones hold the reader, which is back pressure.
const MAX_SLEEPERS: usize = 256;

/// Serves until stdin closes.
pub(crate) fn serve(stub: Stub) -> io::Result<()> {
    let mut input = BufReader::with_capacity(READ_BYTES, io::stdin());
    let sleepers = Arc::new(AtomicUsize::new(0));
    let mut line = Vec::new();
    let mut pending = Vec::new();
    while read_line(&mut input, &mut line)? {
        match stub.answer(&line) {
            Reply::Accepted => {}
            Reply::Now(message) => append(&mut pending, &message),
            Reply::After(pause, message) => answer_later(&sleepers, pause, message),
        }
        if memchr::memchr(b'\n', input.buffer()).is_none() {
            io::stdout().lock().write_all(&pending)?;
            io::stdout().lock().flush()?;
            pending.clear();
        }
    }
    io::stdout().lock().write_all(&pending)?;
    io::stdout().lock().flush()
}

/// Reads the next line; false at the end of the input.
fn read_line(input: &mut BufReader<Stdin>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    if line.len() as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
        return Err(io::Error::other("a line is longer than the stub reads"));
    }
    Ok(!line.is_empty())
}

fn append(pending: &mut Vec<u8>, message: &Message) {
    for piece in &message.pieces {
        pending.extend_from_slice(piece);
    }
    pending.push(b'\n');
}

fn answer_later(sleepers: &Arc<AtomicUsize>, pause: Duration, message: Message) {
    let send = move || {
        thread::sleep(pause);
        let mut line = Vec::new();
        append(&mut line, &message);
        let mut out = io::stdout().lock();
        // A closed pipe ends the reader too, which reports it.
        let _ = out.write_all(&line).and_then(|()| out.flush());
    };
    if sleepers.load(Ordering::Relaxed) >= MAX_SLEEPERS {
        return send();
    }
    sleepers.fetch_add(1, Ordering::Relaxed);
    let sleepers = Arc::clone(sleepers);
    thread::spawn(move || {
        send();
        sleepers.fetch_sub(1, Ordering::Relaxed);
    });
}

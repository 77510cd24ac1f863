//! The first things that a child wrote which are no messages, kept so that its owner sees what it does.

use crate::child::Process;

/// How many are kept. A server that prints to the wrong stream shows it with the first.
const KEPT: usize = 3;
/// How much of each is shown, in bytes.
const SHOWN_BYTES: usize = 200;

/// Samples of garbage, escaped.
#[derive(Debug, Default)]
pub(super) struct Garbage(Vec<String>);

impl Garbage {
    /// Keeps `line` if there is room.
    pub(super) fn note(&mut self, process: &Process, line: &[u8]) {
        if self.0.len() < KEPT {
            self.0.push(process.printable(&line[..line.len().min(SHOWN_BYTES)]));
        }
    }

    /// Returns what was kept.
    pub(super) fn samples(&self) -> Vec<String> {
        self.0.clone()
    }
}

//! The binary in a real pseudo-terminal, with the keys that its questions take.

use super::home::Home;

#[path = "../binary/pty.rs"]
mod pty;

/// What the key Enter sends.
pub(crate) const ENTER: &str = "\r";
/// What the arrow down sends.
pub(crate) const DOWN: &str = "\u{1b}[B";
/// What Ctrl-C sends.
pub(crate) const INTERRUPT: &str = "\u{3}";

/// The binary with a terminal for its three streams.
pub(crate) struct Terminal {
    pty: pty::Pty,
    /// Up to where texts were waited for.
    read_to: usize,
}

impl Terminal {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.command(arguments);
        command.env("TERM", "xterm");
        Self { pty: pty::Pty::start(command), read_to: 0 }
    }

    /// Reads until `question` was shown behind what was waited for before, and sends `keys`.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, keys: &str) {
        self.read_to = self.pty.read_until(question, self.read_to);
        self.pty.type_keys(keys);
    }

    pub(crate) fn finish(self) -> (Option<i32>, String) {
        self.pty.finish()
    }
}

//! The binary in a real pseudo-terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Child,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::home::Home;

/// What the key Enter sends.
pub(crate) const ENTER: &str = "\r";
/// What the arrow down sends.
pub(crate) const DOWN: &str = "\u{1b}[B";
/// What Ctrl-C sends.
pub(crate) const INTERRUPT: &str = "\u{3}";

/// The binary with a terminal for its three streams.
pub(crate) struct Terminal {
    ours: File,
    child: Child,
    seen: String,
    /// Up to where texts were waited for.
    read_to: usize,
}

impl Terminal {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&ours).expect("ours");
        unlockpt(&ours).expect("ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string().expect("text");
        let theirs = File::options().read(true).write(true).open(name).expect("the other end");
        let copy = || theirs.try_clone().expect("an open file");
        let mut command = home.command(arguments);
        command.env("TERM", "xterm").stdin(copy()).stdout(copy()).stderr(copy());
        let child = command.spawn().expect("the binary is there");
        Self { ours: File::from(ours), child, seen: String::new(), read_to: 0 }
    }

    /// Reads until `question` was shown behind what was waited for before, and sends `keys`.
    #[track_caller]
    pub(crate) fn answer(&mut self, question: &str, keys: &str) {
        let mut buffer = [0; 1024];
        while !self.seen[self.read_to..].contains(question) {
            let length = self.ours.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", self.seen));
            assert_ne!(length, 0, "{}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        self.read_to = self.seen.len();
        self.ours.write_all(keys.as_bytes()).expect("the child listens");
    }

    /// Reads to the end: when nobody holds the other end, reading fails.
    pub(crate) fn finish(mut self) -> (Option<i32>, String) {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = self.ours.read(&mut buffer) {
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        (self.child.wait().expect("it ends").code(), self.seen)
    }
}

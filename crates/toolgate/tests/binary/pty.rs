//! The binary in a real pseudo-terminal. What is waited for there, and what is typed, is each test binary's matter.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A process with a terminal for its three streams.
pub(crate) struct Pty {
    ours: File,
    child: Child,
    seen: String,
}

impl Pty {
    pub(crate) fn start(mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&ours).expect("ours");
        unlockpt(&ours).expect("ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string().expect("text");
        let theirs = File::options().read(true).write(true).open(name).expect("the other end");
        let copy = || theirs.try_clone().expect("an open file");
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let child = command.spawn().expect("the binary is there");
        Self { ours: File::from(ours), child, seen: String::new() }
    }

    /// Reads until `text` was shown behind the first `from` bytes; returns how many there are by then.
    #[track_caller]
    pub(crate) fn read_until(&mut self, text: &str, from: usize) -> usize {
        let mut buffer = [0; 1024];
        while !self.seen[from..].contains(text) {
            let length = self.ours.read(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", self.seen));
            assert_ne!(length, 0, "{}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        self.seen.len()
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
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

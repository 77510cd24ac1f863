//! Notices the death of processes that are not our children, without polling: each holds the writing end of a named
//! pipe open, and the reading end ends when the last of them is dead.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    sync::mpsc,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat};
use tempfile::TempDir;

use crate::stage::PATIENCE;

/// A named pipe that processes hold open while they live.
pub(crate) struct Lifeline {
    directory: TempDir,
    held: BufReader<File>,
}

/// Shell text that takes hold of `$LIFELINE` and says so with a line.
pub(crate) const HOLD: &str = "exec 3>\"$LIFELINE\"; echo held >&3;";

impl Lifeline {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lifeline");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        // Opened for both, the pipe does not end before the first holder comes.
        let held = OpenOptions::new().read(true).write(true).open(path).unwrap();
        Self { directory, held: BufReader::new(held) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("lifeline")
    }

    /// Returns what to add to a script's environment.
    pub(crate) fn text(&self) -> String {
        self.path().into_os_string().into_string().unwrap()
    }

    /// Waits until `holders` processes have taken hold.
    pub(crate) fn wait_held(&mut self, holders: usize) {
        for _ in 0..holders {
            let mut line = String::new();
            self.held.read_line(&mut line).unwrap();
            assert_eq!(line, "held\n");
        }
    }

    /// Waits until every holder is dead. All must have been seen by [`Lifeline::wait_held`].
    pub(crate) fn assert_cut(self) {
        let (sender, cut) = mpsc::channel();
        // Opened without blocking, because with no holder left it would wait for one.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut end = File::from(rustix::fs::open(self.path(), flags, Mode::empty()).unwrap());
        fcntl_setfl(&end, OFlags::empty()).unwrap();
        drop(self.held);
        std::thread::spawn(move || sender.send(end.read_to_end(&mut Vec::new())));
        cut.recv_timeout(PATIENCE).expect("somebody still lives").unwrap();
    }
}

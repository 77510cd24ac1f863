//! Where the bytes go: a file that grows at its end. A trait only so that tests can fill a disk or break a sync.
//! Which file, and who may hold it: [`crate::place`].

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
};

/// A file opened for appending. All calls may block on the disk.
pub(crate) trait Medium: Send + Sync + std::fmt::Debug {
    /// Hands bytes to the kernel at the end of the file; returns how many it took.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Waits until the disk has confirmed everything appended before.
    fn sync(&self) -> io::Result<()>;
    /// Returns the file's length in bytes; [`io::ErrorKind::NotFound`] when no folder names it any more.
    fn length(&self) -> io::Result<u64>;
}

// === impl File ===

impl Medium for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        file.write(bytes)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if metadata.nlink() == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(metadata.len())
    }
}

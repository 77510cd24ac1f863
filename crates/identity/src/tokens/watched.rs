//! The file of tokens as readers see it: one `stat` per lookup, read anew when it is not the same file any more.
//! No lock: whoever notices a change reads for itself, and the last one stays.

use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;

use super::{TokenTable, file};
use crate::StoreError;

/// Watches `tokens.json` of one state directory.
#[derive(Debug)]
pub(crate) struct WatchedFile {
    path: PathBuf,
    last: ArcSwapOption<Reading>,
    /// Once there was a file, a missing one means "nobody", not "everybody".
    was_present: AtomicBool,
}

/// What one reading found.
#[derive(Debug)]
struct Reading {
    stamp: Stamp,
    contents: Result<Arc<Contents>, Arc<StoreError>>,
    /// Held open so that its inode number cannot be given to a later file while we compare against it.
    _file: File,
}

/// The tokens of the file, or that there never was one.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    present: bool,
    tokens: TokenTable,
}

/// What tells one state of the file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

// === impl WatchedFile ===

impl WatchedFile {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            path: file::path_in(state_dir),
            last: ArcSwapOption::empty(),
            was_present: AtomicBool::new(false),
        }
    }

    /// Returns what the file holds now.
    pub(crate) fn current(&self) -> Result<Arc<Contents>, Arc<StoreError>> {
        match fs::metadata(&self.path) {
            Ok(metadata) => self.contents_at(&Stamp::of(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.missing()),
            Err(error) => Err(Arc::new(StoreError::io("read", &self.path)(error))),
        }
    }

    /// Returns what tells the file as it is now from any other, or why it cannot be seen.
    pub(crate) fn stamp(&self) -> Result<Stamp, io::ErrorKind> {
        fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata)).map_err(|error| error.kind())
    }

    fn contents_at(&self, stamp: &Stamp) -> Result<Arc<Contents>, Arc<StoreError>> {
        if let Some(last) = &*self.last.load()
            && last.stamp == *stamp
        {
            return last.contents.clone();
        }
        self.was_present.store(true, Ordering::Release);
        let reading = Reading::take(&self.path).map_err(Arc::new)?;
        let contents = reading.contents.clone();
        self.last.store(Some(Arc::new(reading)));
        contents
    }

    fn missing(&self) -> Arc<Contents> {
        let present = self.was_present.load(Ordering::Acquire);
        Arc::new(Contents { present, tokens: TokenTable::default() })
    }
}

// === impl Reading ===

impl Reading {
    /// Reads the file as it is now, which may be later than the `stat` that asked for it.
    fn take(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("read", path))?;
        let stamp = Stamp::of(&file.metadata().map_err(StoreError::io("read", path))?);
        let tokens = file::TokensFile::read(&file, path).and_then(|content| content.records(path));
        let contents = tokens
            .map(|records| Arc::new(Contents { present: true, tokens: TokenTable::new(records) }))
            .map_err(Arc::new);
        Ok(Self { stamp, contents, _file: file })
    }
}

// === impl Contents ===

impl Contents {
    /// Tells whether there is a file, or was one since this process began.
    pub(crate) const fn is_present(&self) -> bool {
        self.present
    }

    pub(crate) const fn tokens(&self) -> &TokenTable {
        &self.tokens
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

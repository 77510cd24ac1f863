//! Finds the file a trail goes to, takes hold of it, and finds the end of the chain in it. Several gateways of one
//! user run side by side, and a chain has one writer: who comes second writes beside the first.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    AuditError, MAX_LINE_BYTES,
    chain::{self, Link},
};

/// Most gateways side by side on one trail: far more than the clients that one person runs. A try costs a lock.
const MAX_NAMES: u32 = 256;
/// How often, and after how long, a held file is tried again, because its holder may only have had a glance at it.
const GLANCES: u32 = 3;
const GLANCE: Duration = Duration::from_millis(1);
/// Only the owner reads and writes the trail.
const FILE_MODE: u32 = 0o600;
/// Only the owner enters a folder made for the trail.
const FOLDER_MODE: u32 = 0o700;

/// Where a trail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file of the settings.
    Configured(PathBuf),
    /// A file beside it, because another gateway holds the first.
    Beside {
        /// The file in use.
        file: PathBuf,
        /// The file of the settings.
        held: PathBuf,
    },
}

/// A locked file, whole to its last line.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) place: Place,
    pub(crate) tip: Link,
    pub(crate) good_bytes: u64,
    /// Bytes of a torn last line that were cut off.
    pub(crate) cut_bytes: u64,
}

/// Opens `path`, or the first name beside it that no gateway holds. The lock lasts as long as the file is open.
///
/// A file beside is continued by whoever comes later, so there are never more of them than gateways ran at once.
pub(crate) fn open(path: &Path) -> Result<Opened, AuditError> {
    make_folder(path)?;
    for number in 1..=MAX_NAMES {
        let place = place(path, number);
        let failed = |source| AuditError::Open { path: place.file().to_owned(), source };
        let file = open_file(place.file()).map_err(failed)?;
        // Beside, one file is as good as another.
        let taken = if number == 1 { take_hold(&file) } else { file.try_lock() };
        match taken {
            Ok(()) => match (number, resume(file, place)) {
                (2.., Err(AuditError::Foreign { path })) => {
                    tracing::warn!(path = %path.display(), "not an audit file, or a damaged one; it is left alone");
                }
                (_, opened) => return opened,
            },
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    Err(AuditError::Held { path: path.to_owned() })
}

/// Locks `file`. Whoever reads trails may hold it for a moment, to see whether somebody writes there.
fn take_hold(file: &File) -> Result<(), TryLockError> {
    for _ in 0..GLANCES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(GLANCE),
            taken => return taken,
        }
    }
    file.try_lock()
}

/// Names the places: the file itself, `audit-2.jsonl`, `audit-3.jsonl` and so on.
fn place(path: &Path, number: u32) -> Place {
    if number == 1 {
        return Place::Configured(path.to_owned());
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    Place::Beside { file: path.with_file_name(name), held: path.to_owned() }
}

fn make_folder(path: &Path) -> Result<(), AuditError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(folder)
        .map_err(|source| AuditError::Open { path: folder.to_owned(), source })
}

fn open_file(path: &Path) -> io::Result<File> {
    // A pipe or a device cannot be resumed, and opening a pipe would wait for its reader.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Appending, so that a file cut by somebody else grows from its new end and not behind a hole.
    OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)
}

fn resume(file: File, place: Place) -> Result<Opened, AuditError> {
    let failed = |source| AuditError::Open { path: place.file().to_owned(), source };
    let length = file.metadata().map_err(failed)?.len();
    // Long enough for a torn line and the whole line before it.
    let window = length.min(2 * MAX_LINE_BYTES as u64);
    let mut tail = vec![0; usize::try_from(window).expect("two lines fit in memory")];
    file.read_exact_at(&mut tail, length - window).map_err(failed)?;
    let Some(tip) = tip_of(&tail, window == length) else {
        return Err(AuditError::Foreign { path: place.file().to_owned() });
    };
    let cut_bytes = (tail.len() - whole_lines(&tail)) as u64;
    let good_bytes = length - cut_bytes;
    if cut_bytes > 0 {
        file.set_len(good_bytes).map_err(failed)?;
    }
    Ok(Opened { file, place, tip, good_bytes, cut_bytes })
}

/// Returns how many bytes of `tail` end in a newline.
fn whole_lines(tail: &[u8]) -> usize {
    tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
}

/// Returns the place of the last whole line; `is_whole` when `tail` is the whole file. None: no line of a trail.
fn tip_of(tail: &[u8], is_whole: bool) -> Option<Link> {
    let Some(lines) = tail[..whole_lines(tail)].strip_suffix(b"\n") else {
        let could_be_first_line = is_whole && tail.len() <= MAX_LINE_BYTES && is_beginning_of_line(tail);
        return could_be_first_line.then_some(Link::GENESIS);
    };
    let last = match lines.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => &lines[newline + 1..],
        None => lines,
    };
    chain::read(last).filter(|sealed| sealed.is_intact).map(|sealed| sealed.link)
}

/// Tells whether `torn` may be the beginning of a line of ours; somebody else's file must not be cut to nothing.
fn is_beginning_of_line(torn: &[u8]) -> bool {
    const OPENING: &[u8] = br#"{"phase":""#;
    let length = torn.len().min(OPENING.len());
    torn[..length] == OPENING[..length]
}

// === impl Place ===

impl Place {
    /// Returns the file in use.
    pub fn file(&self) -> &Path {
        match self {
            Self::Configured(file) | Self::Beside { file, held: _ } => file,
        }
    }
}

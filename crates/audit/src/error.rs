//! What can go wrong with the trail, by what the caller can do about it. Faults found in a finished file are
//! [`crate::Fault`]s.

use std::{io, path::PathBuf};

/// The trail cannot be opened, or cannot take a line.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file or its folder cannot be opened, locked or read.
    #[error("audit file `{}` cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file exists and does not end in a line of a trail. It is left alone: move it away or name another.
    #[error("audit file `{}` does not end in a line of an audit trail; move it away or set `audit.file`", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file and every name beside it are held by other gateways.
    #[error("audit file `{}` and the names beside it are held by other gateways", path.display())]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// The background threads cannot be started.
    #[error("audit threads cannot be started: {0}")]
    Thread(#[source] io::Error),
    /// The line cannot be written; most often the disk is full. Later calls work again when it has space.
    #[error("audit line cannot be written: {0}")]
    Write(#[source] io::Error),
    /// The disk does not confirm what was written. Later calls work again when it does.
    #[error("audit file cannot be synced to the disk")]
    Sync,
    /// The file was deleted while the gateway ran. Starting it again makes a new one.
    #[error("audit file `{}` was deleted while in use; start the gateway again", path.display())]
    Deleted {
        /// The file.
        path: PathBuf,
    },
    /// The trail was closed for shutdown.
    #[error("audit trail is closed")]
    Closed,
}

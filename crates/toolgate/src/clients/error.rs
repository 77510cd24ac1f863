//! Why a client's file cannot be read or changed.

use std::{io, path::PathBuf};

use super::{client::Client, places::Scope};
use crate::config::Diagnostic;

/// Why a client's file cannot be read or changed. Whenever one of these is returned, the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody knows whose files are meant.
    #[error("there is no home folder: set HOME")]
    NoHome,
    /// The client has no file of that scope.
    #[error("{client} has no servers of scope `{}`", scope.name())]
    NoSuchScope {
        /// The client.
        client: Client,
        /// The scope.
        scope: Scope,
    },
    /// The client cannot be told an address in its file.
    #[error(
        "{client} takes no address from its file: leave out `--http`, or add the address in its settings"
    )]
    NoRemote {
        /// The client.
        client: Client,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is larger than any that a client keeps.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        limit: u64,
    },
    /// The file is not text.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// What stands in the file cannot be read, or is not what the client expects there.
    #[error("{}: {}", place(.0), .0.problem())]
    Broken(Box<Diagnostic>),
    /// The entry is written in a way that we do not edit.
    #[error("`{}`: the entry `{name}` is written in a way that only a person can edit", path.display())]
    ByHand {
        /// The file.
        path: PathBuf,
        /// The entry.
        name: String,
    },
    /// Somebody else wrote the file after it was shown.
    #[error("`{}` was changed by another program meanwhile: nothing was written, try again", path.display())]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// The file is write-protected.
    #[error("`{}` is write-protected", path.display())]
    WriteProtected {
        /// The file.
        path: PathBuf,
    },
    /// The file or its folder cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The record of an installation cannot be kept or read.
    #[error("the record `{}` cannot be used: {reason}", path.display())]
    Record {
        /// The record's file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

fn place(diagnostic: &Diagnostic) -> String {
    diagnostic.place().unwrap_or_else(|| "the file".to_owned())
}

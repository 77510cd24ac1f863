//! The file `tokens.json` in the state directory: its shape, reading it with bounds, writing it in one step.
//! Who may write when is settled in `store.rs` (a lock); noticing changes is in `watched.rs`.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::process::Uid;
use serde::{Deserialize, Serialize};

use super::TokenRecord;
use crate::{StoreError, config::TokenConfig};

/// The file's name inside the state directory.
const NAME: &str = "tokens.json";
/// The shape below. A file of another version is not guessed at.
const VERSION: u32 = 1;
/// Tokens in one file; at about 400 bytes each the file stays below its bound.
pub(super) const MAX_TOKENS: usize = 10_000;
/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Bits of the file mode that let other users change the file.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokensFile {
    version: u32,
    pub(super) tokens: Vec<TokenConfig>,
}

impl TokensFile {
    pub(super) const fn empty() -> Self {
        Self { version: VERSION, tokens: Vec::new() }
    }

    /// Reads the open `file`; `path` is for messages.
    pub(super) fn read(file: &File, path: &Path) -> Result<Self, StoreError> {
        let metadata = file.metadata().map_err(StoreError::io("read", path))?;
        if !is_trusted(metadata.uid(), rustix::process::geteuid()) {
            return Err(StoreError::ForeignOwner(path.to_owned()));
        }
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(StoreError::WritableByOthers(path.to_owned()));
        }
        let mut text = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(StoreError::io("read", path))?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(StoreError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
        }
        let damaged = |reason| StoreError::Damaged { path: path.to_owned(), reason };
        let content: Self = serde_json::from_slice(&text).map_err(|error| damaged(position(&error)))?;
        if content.version != VERSION {
            return Err(damaged(format!("its version is {}, this program reads {VERSION}", content.version)));
        }
        if content.tokens.len() > MAX_TOKENS {
            return Err(damaged(format!("it holds more than {MAX_TOKENS} tokens")));
        }
        Ok(content)
    }

    /// Checks every entry. One bad entry makes the whole file bad: nobody knows what else happened to it.
    pub(super) fn records(&self, path: &Path) -> Result<Vec<TokenRecord>, StoreError> {
        let damaged = |reason| StoreError::Damaged { path: path.to_owned(), reason };
        let mut ids = HashSet::with_capacity(self.tokens.len());
        let mut records = Vec::with_capacity(self.tokens.len());
        for (index, token) in self.tokens.iter().enumerate() {
            let record = token.build().map_err(|faults| {
                damaged(faults.first().map_or_else(String::new, |fault| format!("tokens.{index}: {fault}")))
            })?;
            if !ids.insert(record.id().clone()) {
                return Err(damaged(format!("tokens.{index}: the id `{}` stands twice", record.id())));
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Replaces the file at `path` in one step: readers see the old content or the new one, also after a crash.
    pub(super) fn replace(&self, path: &Path) -> Result<(), StoreError> {
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec_pretty(self).expect("strings and lists always serialize");
        // A crash may have left one behind. The lock of `store.rs` keeps a second writer away.
        drop(fs::remove_file(&new));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(StoreError::io("create", &new))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(StoreError::io("write", &new))?;
        fs::rename(&new, path).map_err(StoreError::io("replace", path))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", folder))
    }
}

/// Tells whether a file of the user `owner` may say who is let in: its owner can change it whatever its mode. The
/// superuser can change any file.
fn is_trusted(owner: u32, us: Uid) -> bool {
    owner == us.as_raw() || owner == Uid::ROOT.as_raw()
}

pub(super) fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// Says where JSON is broken without quoting any of it.
fn position(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Io => "it cannot be read",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Data => "it has not the shape of a list of tokens",
        serde_json::error::Category::Eof => "it ends too early",
    };
    format!("{kind} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn only_our_own_file_and_the_superusers_count() {
        let us = Uid::from_raw(1000);
        assert_eq!([1000, 0, 1001].map(|owner| is_trusted(owner, us)), [true, true, false]);
        assert_eq!([0, 1000].map(|owner| is_trusted(owner, Uid::ROOT)), [true, false]);
    }

    #[test]
    fn a_file_of_another_user_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        TokensFile::empty().replace(&path).unwrap();
        let read = || TokensFile::read(&File::open(&path).unwrap(), &path);
        read().unwrap();
        // Only the superuser can give it to somebody else.
        if chown(&path, Some(1), None).is_ok() {
            let refused = read().unwrap_err();
            assert!(matches!(refused, StoreError::ForeignOwner(_)), "{refused}");
        }
    }
}

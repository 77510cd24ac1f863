//! What was installed where, and the bytes that were there before: in the folder `installs` of the state directory, a
//! record and a backup for each entry. Both are for this person's eyes only; a backup may hold secrets.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    client::Client,
    entry,
    error::ClientError,
    file::{self, ClientFile},
    install::Base,
    places::Place,
    write,
};

/// The records' folder inside the state directory.
const FOLDER: &str = "installs";
/// The form of a record that this program writes and reads.
const VERSION: u32 = 1;
/// Hexadecimal digits of a hash that stand in a record's name: enough for the files of one machine.
const NAME_DIGITS: usize = 16;

/// The records of a state directory.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

/// One installed entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    client: String,
    pub(super) path: PathBuf,
    scope: String,
    name: String,
    /// What we wrote, as the client reads it.
    pub(super) entry: Value,
    /// The file as it was before, none if there was none.
    pub(super) before_sha256: Option<String>,
    /// The file as we left it.
    pub(super) after_sha256: String,
    /// How many keys above the entry we made.
    pub(super) made_keys: usize,
    /// Folders that we made, outermost first.
    pub(super) made_folders: Vec<PathBuf>,
}

/// The bytes of a record and of its backup, as far as they are there.
pub(super) struct Copy {
    record: Option<Vec<u8>>,
    backup: Option<Vec<u8>>,
}

/// Whose record is meant.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) client: Client,
    pub(super) place: &'a Place,
    pub(super) name: &'a str,
}

// === impl Records ===

impl Records {
    /// Builds the records of a state directory, which need not exist.
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(FOLDER) }
    }

    /// Returns the names under which the gateway is installed in a file: by what stands there, or by a record that
    /// agrees with it. A record that cannot be read counts as none.
    pub fn installed(&self, file: &ClientFile, program: Option<&Path>) -> Vec<String> {
        let ours = file.ours(program);
        let is_recorded = |name: &str| {
            let record = self.load(Subject { client: file.client(), place: file.place(), name });
            let wrote = record.ok().flatten().map(|record| record.entry);
            wrote
                .zip(file.entry(name))
                .is_some_and(|(wrote, now)| entry::is_same(file.client(), &wrote, &now))
        };
        let names = file.servers().into_iter().map(|server| server.name);
        names.filter(|name| ours.contains(name) || is_recorded(name)).collect()
    }

    /// Returns where the bytes from before an installation are kept.
    pub(super) fn backup_path(&self, subject: Subject<'_>) -> PathBuf {
        self.path(subject, "backup")
    }

    /// Reads a record; none if there is none.
    pub(super) fn load(&self, subject: Subject<'_>) -> Result<Option<Record>, ClientError> {
        let path = self.path(subject, "json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, error.to_string())),
        };
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|error| unusable(&path, error.to_string()))?;
        if record.version != VERSION {
            return Err(unusable(&path, format!("its version is {}", record.version)));
        }
        Ok(Some(record))
    }

    /// Reads the backup of a record and proves it by its hash; none if there was no file.
    pub(super) fn backup(
        &self,
        subject: Subject<'_>,
        record: &Record,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let Some(expected) = &record.before_sha256 else { return Ok(None) };
        let path = self.backup_path(subject);
        let bytes = fs::read(&path).map_err(|error| unusable(&path, error.to_string()))?;
        if sha256(&bytes) != *expected {
            return Err(unusable(&path, "it was changed".to_owned()));
        }
        Ok(Some(bytes))
    }

    /// Keeps a record and its backup, the backup first. `after` is the whole file with `entry`.
    pub(super) fn save(
        &self,
        subject: Subject<'_>,
        entry: &Value,
        base: &Base,
        after: &[u8],
    ) -> Result<(), ClientError> {
        let record = Record {
            version: VERSION,
            client: subject.client.name().to_owned(),
            path: subject.place.path.clone(),
            scope: subject.place.scope.name().to_owned(),
            name: subject.name.to_owned(),
            entry: entry.clone(),
            before_sha256: base.bytes.as_deref().map(sha256),
            after_sha256: sha256(after),
            made_keys: base.made_keys,
            made_folders: base.made_folders.clone(),
        };
        let path = self.path(subject, "json");
        let text = serde_json::to_vec_pretty(&record).map_err(|error| unusable(&path, error.to_string()))?;
        self.put_back(subject, Copy { record: Some(text), backup: base.bytes.clone() })
    }

    /// Returns what is kept now, to be put back if nothing comes of a change.
    pub(super) fn copy(&self, subject: Subject<'_>) -> Result<Copy, ClientError> {
        let (record, backup) = (self.path(subject, "json"), self.backup_path(subject));
        Ok(Copy { record: file::bytes_of(&record)?, backup: file::bytes_of(&backup)? })
    }

    /// Makes the record and its backup what `copy` says.
    pub(super) fn put_back(&self, subject: Subject<'_>, copy: Copy) -> Result<(), ClientError> {
        let parts = [(self.backup_path(subject), copy.backup), (self.path(subject, "json"), copy.record)];
        for (path, bytes) in parts {
            match bytes {
                Some(bytes) => write::write_private(&path, &bytes),
                None => remove(&path),
            }
            .map_err(|error| unusable(&path, error.to_string()))?;
        }
        Ok(())
    }

    /// Forgets a record and its backup, if there are any.
    pub(super) fn forget(&self, subject: Subject<'_>) -> Result<(), ClientError> {
        self.put_back(subject, Copy { record: None, backup: None })
    }

    fn path(&self, subject: Subject<'_>, extension: &str) -> PathBuf {
        let mut identity = subject.place.path.as_os_str().as_encoded_bytes().to_vec();
        for part in subject.place.keys.iter().map(String::as_str).chain([subject.name]) {
            identity.push(0);
            identity.extend_from_slice(part.as_bytes());
        }
        let hash = sha256(&identity);
        self.folder.join(format!("{}-{}.{extension}", subject.client.name(), &hash[..NAME_DIGITS]))
    }
}

// === impl Record ===

impl Record {
    /// Tells whether these bytes are what we wrote.
    pub(super) fn wrote(&self, bytes: &[u8]) -> bool {
        sha256(bytes) == self.after_sha256
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn unusable(path: &Path, reason: String) -> ClientError {
    ClientError::Record { path: path.to_owned(), reason }
}

fn sha256(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

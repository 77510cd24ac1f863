//! Puts our entry into a client's file: first a plan to look at, then the change, with a record to undo it by.

use std::path::PathBuf;

use serde_json::Value;

use super::{
    client::Client,
    entry::{self, Launch},
    error::ClientError,
    file::{self, ClientFile},
    places::Place,
    records::{Records, Subject},
    write,
};

/// What is installed where.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The client.
    pub client: Client,
    /// The place in its file.
    pub place: Place,
    /// The name of the entry.
    pub name: String,
    /// How the client reaches the gateway.
    pub launch: Launch,
}

/// What installing would do.
pub enum InstallPlan {
    /// Nothing: the entry is there.
    AlreadyThere,
    /// Add an entry.
    Add(Box<Change>),
    /// Put ours in the place of another entry of that name.
    Replace(Box<Change>),
}

/// A change of one file that was not written yet.
pub struct Change {
    /// The file as it is.
    pub before: ClientFile,
    /// The file as it would be.
    pub after: ClientFile,
    entry: Value,
}

/// Plans an installation. Blocks for one file; changes nothing.
///
/// # Errors
/// [`ClientError`] when the file cannot be read or edited, or when the client cannot be told.
pub fn plan_install(wanted: &Installation) -> Result<InstallPlan, ClientError> {
    let entry = wanted.launch.entry(wanted.client)?;
    let before = file::read(wanted.client, &wanted.place)?;
    let present = before.entry(&wanted.name);
    if present.as_ref().is_some_and(|present| entry::is_same(wanted.client, present, &entry)) {
        return Ok(InstallPlan::AlreadyThere);
    }
    let after = before.with_entry(&wanted.name, &entry)?;
    let change = Box::new(Change { before, after, entry });
    Ok(if present.is_some() { InstallPlan::Replace(change) } else { InstallPlan::Add(change) })
}

/// Carries out a planned change. Returns where the bytes from before are kept; none if there was no file. Blocks.
///
/// # Errors
/// [`ClientError`] when the file changed after it was planned, or cannot be written; it is as it was then.
pub fn install(
    wanted: &Installation,
    change: &Change,
    records: &Records,
) -> Result<Option<PathBuf>, ClientError> {
    let subject = Subject { client: wanted.client, place: &wanted.place, name: &wanted.name };
    let base = Base::of(subject, change, records)?;
    let after = change.after.bytes();
    let kept = records.copy(subject)?;
    // The record comes first: whatever happens between, nothing is changed that could not be undone.
    records.save(subject, &change.entry, &base, &after)?;
    let path = &wanted.place.path;
    if let Err(error) = write::replace(path, change.before.original(), &after, wanted.place.scope) {
        records.put_back(subject, kept)?;
        return Err(error);
    }
    Ok(base.bytes.map(|_| records.backup_path(subject)))
}

/// What an undo gives back.
pub(super) struct Base {
    /// The file; none: there shall be none.
    pub(super) bytes: Option<Vec<u8>>,
    /// How many keys above the entry are ours.
    pub(super) made_keys: usize,
    /// Folders that are ours, outermost first.
    pub(super) made_folders: Vec<PathBuf>,
}

// === impl Base ===

impl Base {
    /// Finds what to give back: what is there now, but without an entry that we put there earlier.
    fn of(subject: Subject<'_>, change: &Change, records: &Records) -> Result<Self, ClientError> {
        let before = &change.before;
        let present = before.entry(subject.name);
        let record = records.load(subject)?;
        let ours = record.filter(|record| {
            present.is_some_and(|present| entry::is_same(subject.client, &present, &record.entry))
        });
        let Some(record) = ours else {
            return Ok(Self {
                bytes: before.original().map(<[u8]>::to_vec),
                made_keys: before.missing_keys(),
                made_folders: write::missing_folders(&subject.place.path),
            });
        };
        let bytes = if before.original().is_some_and(|bytes| record.wrote(bytes)) {
            records.backup(subject, &record)?
        } else {
            Some(before.without_entry(subject.name, record.made_keys)?.bytes())
        };
        Ok(Self { bytes, made_keys: record.made_keys, made_folders: record.made_folders })
    }
}

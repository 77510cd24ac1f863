//! Takes our entry out of a client's file: by giving back the bytes from before where nobody touched the file since,
//! else by removing the one entry.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    client::Client,
    entry,
    error::ClientError,
    file::{self, ClientFile},
    places::Place,
    records::{Record, Records, Subject},
    write,
};

/// What uninstalling would do.
pub enum UninstallPlan {
    /// Nothing: there is no such entry.
    NothingThere,
    /// Nothing: the entry of that name is somebody else's.
    NotOurs,
    /// Change the file.
    Change(Box<Undo>),
}

/// How the file is changed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The bytes from before are given back, or the file is deleted that was not there.
    Exact,
    /// The file was edited since: the one entry is taken out.
    Edited,
    /// Nothing is known of an installation, and the entry reaches a gateway of ours.
    Unrecorded,
}

/// An undo that was not written yet.
pub struct Undo {
    /// The file as it is.
    pub before: ClientFile,
    /// The file as it would be; none: it would be deleted.
    pub after: Option<ClientFile>,
    /// How.
    pub way: Way,
    made_folders: Vec<PathBuf>,
}

/// Plans to take out the entry `name`; `program` is this executable. Blocks for one file; changes nothing.
///
/// # Errors
/// [`ClientError`] when the file cannot be read or edited.
pub fn plan_uninstall(
    client: Client,
    place: &Place,
    name: &str,
    program: Option<&Path>,
    records: &Records,
) -> Result<UninstallPlan, ClientError> {
    let subject = Subject { client, place, name };
    let before = file::read(client, place)?;
    let Some(present) = before.entry(name) else { return Ok(UninstallPlan::NothingThere) };
    let is_ours = entry::is_ours(client, &present, program);
    let undo = match records.load(subject)? {
        Some(record) if before.original().is_some_and(|bytes| record.wrote(bytes)) => {
            exact(subject, before, record, records)?
        }
        Some(record) if is_ours || entry::is_same(client, &present, &record.entry) => {
            edited(subject, before, record, records)?
        }
        None if is_ours => Undo {
            after: Some(before.without_entry(name, 0)?),
            before,
            way: Way::Unrecorded,
            made_folders: Vec::new(),
        },
        Some(_) | None => return Ok(UninstallPlan::NotOurs),
    };
    Ok(UninstallPlan::Change(Box::new(undo)))
}

/// Carries out a planned undo, and forgets the record. Blocks.
///
/// # Errors
/// [`ClientError`] when the file changed after it was planned, or cannot be written; it is as it was then.
pub fn uninstall(undo: &Undo, name: &str, records: &Records) -> Result<(), ClientError> {
    let (client, place) = (undo.before.client(), undo.before.place());
    let present = undo.before.original();
    match (&undo.after, present) {
        (Some(after), _) => write::replace(&place.path, present, &after.bytes(), place.scope)?,
        (None, Some(present)) => write::delete(&place.path, present, &undo.made_folders)?,
        (None, None) => {}
    }
    records.forget(Subject { client, place, name })
}

fn exact(
    subject: Subject<'_>,
    before: ClientFile,
    record: Record,
    records: &Records,
) -> Result<Undo, ClientError> {
    let after = match records.backup(subject, &record)? {
        Some(bytes) => Some(file::of_bytes(subject.client, subject.place, Some(bytes))?),
        None => None,
    };
    Ok(Undo { before, after, way: Way::Exact, made_folders: record.made_folders })
}

/// An entry that ours took the place of comes back; the rest of the file is as it is now.
fn edited(
    subject: Subject<'_>,
    before: ClientFile,
    record: Record,
    records: &Records,
) -> Result<Undo, ClientError> {
    let after = match replaced_entry(subject, &record, records)? {
        Some(replaced) => before.with_entry(subject.name, &replaced)?,
        None => before.without_entry(subject.name, record.made_keys)?,
    };
    Ok(Undo { before, after: Some(after), way: Way::Edited, made_folders: Vec::new() })
}

fn replaced_entry(
    subject: Subject<'_>,
    record: &Record,
    records: &Records,
) -> Result<Option<Value>, ClientError> {
    let Some(bytes) = records.backup(subject, record)? else { return Ok(None) };
    Ok(file::of_bytes(subject.client, subject.place, Some(bytes))?.entry(subject.name))
}

//! Writes a client's file so that it is whole at every moment: a new file beside it takes its place. What was read
//! before must still be there; a link stays a link, and permissions stay as they were.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{error::ClientError, file, places::Scope};

/// Links that are followed to the file; more are a circle.
const MAX_LINKS: usize = 16;
/// Permissions of a new file that may come to hold secrets.
const PRIVATE: u32 = 0o600;
/// Permissions of a new file that is shared; the person's mask takes from them.
const SHARED: u32 = 0o666;

/// Puts `bytes` in the place of `expected` (none: there is no file). Missing folders are made.
///
/// # Errors
/// [`ClientError`]; the file is as it was then.
pub(super) fn replace(
    path: &Path,
    expected: Option<&[u8]>,
    bytes: &[u8],
    scope: Scope,
) -> Result<(), ClientError> {
    let unwritable = |source| ClientError::Unwritable { path: path.to_owned(), source };
    let target = target(path).map_err(unwritable)?;
    let permissions = existing_permissions(path, &target)?;
    let folder = target.parent().unwrap_or(Path::new("/")).to_owned();
    let made = missing_folders(path);
    fs::create_dir_all(&folder).map_err(unwritable)?;
    let written = write(&target, &folder, expected, bytes, (permissions, scope));
    if written.is_err() {
        remove_folders(&made);
    }
    written.map_err(|error| for_path(error, path))
}

/// Returns the folders that are missing above a file, outermost first.
pub(super) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let Ok(target) = target(path) else { return Vec::new() };
    let above = target.ancestors().skip(1).take_while(|ancestor| !ancestor.exists());
    let mut missing: Vec<PathBuf> = above.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Deletes the file if it still holds `expected`, and the `folders` that are empty then.
pub(super) fn delete(path: &Path, expected: &[u8], folders: &[PathBuf]) -> Result<(), ClientError> {
    let unwritable = |source| ClientError::Unwritable { path: path.to_owned(), source };
    let target = target(path).map_err(unwritable)?;
    require_unchanged(&target, Some(expected)).map_err(|error| for_path(error, path))?;
    fs::remove_file(&target).map_err(unwritable)?;
    remove_folders(folders);
    Ok(())
}

/// Writes a file of our own that nobody else may read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file =
        tempfile::Builder::new().permissions(Permissions::from_mode(PRIVATE)).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn write(
    target: &Path,
    folder: &Path,
    expected: Option<&[u8]>,
    bytes: &[u8],
    (existing, scope): (Option<Permissions>, Scope),
) -> Result<(), ClientError> {
    let unwritable = |source| ClientError::Unwritable { path: target.to_owned(), source };
    let mode = match scope {
        Scope::User | Scope::Local => PRIVATE,
        Scope::Project => SHARED,
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".toolgate-").permissions(Permissions::from_mode(mode));
    let mut file = builder.tempfile_in(folder).map_err(unwritable)?;
    file.write_all(bytes).map_err(unwritable)?;
    if let Some(existing) = existing {
        file.as_file().set_permissions(existing).map_err(unwritable)?;
    }
    file.as_file().sync_all().map_err(unwritable)?;
    // As late as can be: nothing lies between this look and the change of names.
    require_unchanged(target, expected)?;
    let persisted = match expected {
        Some(_) => file.persist(target),
        None => file.persist_noclobber(target),
    };
    persisted.map_err(|error| unwritable(error.error))?;
    // The change of names itself is made to last; some file systems cannot, and it stands all the same.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

fn require_unchanged(target: &Path, expected: Option<&[u8]>) -> Result<(), ClientError> {
    if file::bytes_of(target)?.as_deref() == expected {
        return Ok(());
    }
    Err(ClientError::ChangedMeanwhile { path: target.to_owned() })
}

/// Returns the permissions to keep.
fn existing_permissions(path: &Path, target: &Path) -> Result<Option<Permissions>, ClientError> {
    let Ok(metadata) = fs::metadata(target) else { return Ok(None) };
    if metadata.permissions().readonly() {
        return Err(ClientError::WriteProtected { path: path.to_owned() });
    }
    Ok(Some(metadata.permissions()))
}

/// Follows links to the file that is meant, whether it exists or not.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(to) => target = target.parent().unwrap_or(Path::new("/")).join(to),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Removes folders, innermost first, as far as they are empty.
fn remove_folders(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Names the file as the person does, not what a link leads to.
fn for_path(error: ClientError, path: &Path) -> ClientError {
    let path = path.to_owned();
    match error {
        ClientError::ChangedMeanwhile { .. } => ClientError::ChangedMeanwhile { path },
        ClientError::Unwritable { source, .. } => ClientError::Unwritable { path, source },
        other => other,
    }
}

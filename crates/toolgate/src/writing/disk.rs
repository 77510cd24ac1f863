//! Puts files on the disk: each is whole at every moment, and nothing that was there before is lost.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// Permissions of a file that holds secrets.
const PRIVATE: u32 = 0o600;
/// Permissions of a file that anybody may read; the person's mask takes from them.
const SHARED: u32 = 0o666;
/// Copies of one file that are kept; more are a loop.
const MAX_COPIES: u32 = 1_000;
/// Largest file that is copied before it is replaced: what a configuration may have, and as much again.
const MAX_COPIED_BYTES: u64 = 2 << 20;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Its owner alone.
    Private,
    /// Whoever may read other new files.
    Shared,
}

/// Whether something may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacing {
    /// Nothing may be there.
    Nothing,
    /// What is there is kept as a copy beside it, and replaced.
    WithCopy,
}

/// A file to be written.
pub struct NewFile {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub text: String,
    /// For whom.
    pub privacy: Privacy,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is there, and nobody agreed to replace it.
    #[error("`{}` exists already", .0.display())]
    Exists(PathBuf),
    /// What is there is too large to be a configuration.
    #[error("`{}` is there, and is larger than any configuration", .0.display())]
    TooLarge(PathBuf),
    /// The disk refuses.
    #[error("cannot write `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Writes all files, and returns the copies that were made of what was replaced. All are written beside their places
/// before the first one takes its place, so that only the last step of each can still fail. Blocks.
///
/// # Errors
/// [`WriteError`]; files that already took their places stay.
pub fn write(files: Vec<NewFile>, replacing: Replacing) -> Result<Vec<PathBuf>, WriteError> {
    let prepared = files.into_iter().map(|file| prepare(file, replacing)).collect::<Result<Vec<_>, _>>()?;
    let mut copies = Vec::new();
    for Prepared { file, target } in prepared {
        let failed = |source| WriteError::Io { path: target.clone(), source };
        match replacing {
            Replacing::Nothing => {
                file.persist_noclobber(&target).map_err(|error| match error.error.kind() {
                    io::ErrorKind::AlreadyExists => WriteError::Exists(target.clone()),
                    _ => failed(error.error),
                })?;
            }
            Replacing::WithCopy => {
                copies.extend(copy(&target)?);
                file.persist(&target).map_err(|error| failed(error.error))?;
            }
        }
        // The change of names itself is made to last; some file systems cannot, and it stands all the same.
        let _ = File::open(folder_of(&target)).and_then(|folder| folder.sync_all());
    }
    Ok(copies)
}

/// A file beside its place.
struct Prepared {
    file: NamedTempFile,
    target: PathBuf,
}

fn prepare(new: NewFile, replacing: Replacing) -> Result<Prepared, WriteError> {
    let failed = |source| WriteError::Io { path: new.path.clone(), source };
    // A link stays a link.
    let target = fs::canonicalize(&new.path).unwrap_or_else(|_| new.path.clone());
    let existing = match fs::symlink_metadata(&target) {
        Ok(_) if replacing == Replacing::Nothing => return Err(WriteError::Exists(new.path)),
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let folder = folder_of(&target);
    fs::create_dir_all(folder).map_err(failed)?;
    let mode = match new.privacy {
        Privacy::Private => PRIVATE,
        Privacy::Shared => SHARED,
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".toolgate-").permissions(Permissions::from_mode(mode));
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(new.text.as_bytes()).map_err(failed)?;
    if let (Some(existing), Privacy::Shared) = (existing, new.privacy) {
        file.as_file().set_permissions(existing).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    Ok(Prepared { file, target })
}

/// Copies what is at `path` to a name of its own beside it, with its permissions; none when nothing is there.
fn copy(path: &Path) -> Result<Option<PathBuf>, WriteError> {
    let failed = |source| WriteError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let permissions = file.metadata().map_err(failed)?.permissions();
    let mut bytes = Vec::new();
    let length = file.take(MAX_COPIED_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if length as u64 > MAX_COPIED_BYTES {
        return Err(WriteError::TooLarge(path.to_owned()));
    }
    let mut copy =
        tempfile::Builder::new().prefix(".toolgate-").tempfile_in(folder_of(path)).map_err(failed)?;
    copy.write_all(&bytes).map_err(failed)?;
    copy.as_file().set_permissions(permissions).map_err(failed)?;
    copy.as_file().sync_all().map_err(failed)?;
    for number in 0..MAX_COPIES {
        let name = copy_name(path, number);
        match copy.persist_noclobber(&name) {
            Ok(_) => return Ok(Some(name)),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => copy = error.file,
            Err(error) => return Err(failed(error.error)),
        }
    }
    Err(failed(io::Error::other("there are too many copies of it already")))
}

/// `toolgate.yaml.bak`, `toolgate.yaml.bak.1`, ...
fn copy_name(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    if number > 0 {
        name.push(format!(".{number}"));
    }
    PathBuf::from(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, text: &str, privacy: Privacy) -> Vec<NewFile> {
        vec![NewFile { path: folder.join(name), text: text.to_owned(), privacy }]
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(file(folder, "a", "one", Privacy::Shared), Replacing::Nothing).unwrap();
        let refused = write(file(folder, "a", "two", Privacy::Shared), Replacing::Nothing);
        assert!(matches!(refused, Err(WriteError::Exists(_))));
        let mut both = file(folder, "b", "b", Privacy::Shared);
        both.extend(file(folder, "a", "two", Privacy::Shared));
        assert!(write(both, Replacing::Nothing).is_err());
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "one");
        assert_eq!(names(folder), ["a"]);
    }

    #[test]
    fn every_replaced_file_has_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for text in ["one", "two", "three"] {
            write(file(folder, "a", text, Privacy::Shared), Replacing::WithCopy).unwrap();
        }
        assert_eq!(names(folder), ["a", "a.bak", "a.bak.1"]);
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!((read("a"), read("a.bak"), read("a.bak.1")), ("three".into(), "one".into(), "two".into()));
    }

    #[test]
    fn secrets_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mode = || fs::metadata(folder.join("a")).unwrap().permissions().mode() & 0o777;
        write(file(folder, "a", "x", Privacy::Private), Replacing::Nothing).unwrap();
        assert_eq!(mode(), PRIVATE);
        fs::set_permissions(folder.join("a"), Permissions::from_mode(0o644)).unwrap();
        write(file(folder, "a", "x", Privacy::Shared), Replacing::WithCopy).unwrap();
        assert_eq!(mode(), 0o644);
        write(file(folder, "a", "x", Privacy::Private), Replacing::WithCopy).unwrap();
        assert_eq!(mode(), PRIVATE);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("real"), "one").unwrap();
        std::os::unix::fs::symlink(folder.join("real"), folder.join("link")).unwrap();
        write(file(folder, "link", "two", Privacy::Shared), Replacing::WithCopy).unwrap();
        assert!(fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(folder.join("real")).unwrap(), "two");
    }
}

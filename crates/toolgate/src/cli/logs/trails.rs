//! The files that are read, merged by time. Every gateway of a user writes a file of its own, the first one the
//! configured file, the others `audit-2.jsonl`, `audit-3.jsonl` and so on beside it.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use audit::tail::{Start, Tail};

use super::{super::CliError, entry::Line};

/// Most files read at once; those last written to are taken. A user who runs more gateways at a time names files.
const MAX_FILES: usize = 64;

/// Which files.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    /// These.
    Named(Vec<PathBuf>),
    /// This one, and those of further gateways beside it.
    WithNeighbours(PathBuf),
}

/// The files, open.
#[derive(Debug)]
pub(super) struct Trails {
    scope: Scope,
    sources: Vec<Source>,
    broken: Broken,
}

/// Tells the files apart for as long as they are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourceId(usize);

/// Lines that could not be read.
#[derive(Debug, Clone, Default)]
pub(super) struct Broken {
    /// How many.
    pub(super) lines: u64,
    /// The first one: its file, and its place among the lines read from there.
    pub(super) first: Option<(PathBuf, u64)>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    tail: Tail,
    lines: u64,
    /// Read, and not given out yet.
    next: Option<Line>,
}

// === impl Trails ===

impl Trails {
    /// Opens the files.
    ///
    /// # Errors
    /// A file cannot be opened. Of neighbours this is no error: they may be somebody else's.
    pub(super) fn open(scope: Scope) -> Result<Self, CliError> {
        let named = match &scope {
            Scope::Named(files) => files.as_slice(),
            Scope::WithNeighbours(file) => std::slice::from_ref(file),
        };
        let sources = named.iter().map(|path| Source::open(path)).collect::<Result<_, _>>()?;
        let mut trails = Self { scope, sources, broken: Broken::default() };
        trails.find_new();
        Ok(trails)
    }

    /// Opens the files of gateways that were started since.
    pub(super) fn find_new(&mut self) {
        let Scope::WithNeighbours(file) = &self.scope else { return };
        for path in neighbours(file) {
            if self.sources.len() >= MAX_FILES {
                return;
            }
            if !self.sources.iter().any(|source| source.path == path) {
                self.sources.extend(Source::open(&path));
            }
        }
    }

    /// Returns the oldest line that was not returned yet; None when there is no more at present. Does not wait.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<(SourceId, Line)>, CliError> {
        for source in &mut self.sources {
            source.fill(&mut self.broken)?;
        }
        let oldest = self
            .sources
            .iter_mut()
            .enumerate()
            .filter_map(|(index, source)| Some((source.next.as_ref()?.time(), index)))
            .min();
        let Some((_, index)) = oldest else { return Ok(None) };
        Ok(self.sources[index].next.take().map(|line| (SourceId(index), line)))
    }

    /// Returns the files that no gateway writes to.
    pub(super) fn idle(&self) -> Vec<SourceId> {
        let numbered = self.sources.iter().enumerate();
        numbered.filter(|(_, source)| source.is_idle()).map(|(index, _)| SourceId(index)).collect()
    }

    /// Returns and forgets which lines could not be read.
    pub(super) fn take_broken(&mut self) -> Broken {
        std::mem::take(&mut self.broken)
    }
}

impl Source {
    fn open(path: &Path) -> Result<Self, CliError> {
        let tail = Tail::open(path, Start::FirstLine).map_err(|error| unreadable(path, error))?;
        Ok(Self { path: path.to_owned(), tail, lines: 0, next: None })
    }

    /// Tells whether no gateway holds the file's lock. It is taken for a moment only, and shared with other readers. Of
    /// a file that is gone, or cannot be locked here, nobody knows.
    fn is_idle(&self) -> bool {
        let Ok(file) = File::open(&self.path) else { return false };
        match file.try_lock_shared() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        }
    }

    fn fill(&mut self, broken: &mut Broken) -> Result<(), CliError> {
        while self.next.is_none() {
            match self.tail.next_line() {
                Ok(None) => return Ok(()),
                Ok(Some(line)) => self.next = Line::read(line),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(unreadable(&self.path, error)),
            }
            self.lines += 1;
            if self.next.is_none() {
                broken.lines += 1;
                broken.first.get_or_insert_with(|| (self.path.clone(), self.lines));
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, source: io::Error) -> CliError {
    CliError::Unreadable { file: path.display().to_string(), source }
}

/// Returns the files that other gateways write beside `file`, the last written first.
fn neighbours(file: &Path) -> Vec<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_neighbour(file, &entry.file_name()))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, file.with_file_name(entry.file_name())))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Tells whether `name` is that of `file` with a number, as `audit::Place` makes them.
fn is_neighbour(file: &Path, name: &OsStr) -> bool {
    let (Some(stem), Some(name)) = (file.file_stem().and_then(OsStr::to_str), name.to_str()) else {
        return false;
    };
    let ending = file.extension().and_then(OsStr::to_str).map(|extension| format!(".{extension}"));
    let number = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(ending.as_deref().unwrap_or_default()));
    number.is_some_and(|number| {
        number.starts_with(|sign: char| sign.is_ascii_digit())
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_known_by_their_name() {
        for (file, name, expected) in [
            ("a/audit.jsonl", "audit-17.jsonl", true),
            ("a/audit.jsonl", "audit-17-2.jsonl", true),
            ("a/audit.jsonl", "audit.jsonl", false),
            ("a/audit.jsonl", "audit-old.jsonl", false),
            ("a/audit.jsonl", "audit-17.jsonl.gz", false),
            ("a/audit.jsonl", "other-17.jsonl", false),
            ("a/trail", "trail-17", true),
        ] {
            assert_eq!(is_neighbour(Path::new(file), OsStr::new(name)), expected, "{file} {name}");
        }
    }
}

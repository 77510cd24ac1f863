//! Notices when the content of configuration files changes, however they are written: in place, by a renamed file, by a
//! link that is pointed elsewhere. Folders are watched, not files; what counts is the content alone. What a change means
//! is `reload`'s.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

/// Silence after which a change is taken as complete: editors write a file in several steps.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// A change is looked at after so long, even if something goes on changing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often files are looked at where nobody tells of changes, as on some network drives.
const POLL: Duration = Duration::from_secs(5);
/// The most that is read of a file; no configuration is larger.
const MAX_BYTES: u64 = 1 << 20;

/// The content of each file, as a hash; `None` where there is none to be read.
type Contents = BTreeMap<PathBuf, Option<u64>>;

/// Watches files.
pub(crate) struct Watch {
    contents: Contents,
    stirred: Arc<Notify>,
    /// `None` where the system cannot watch; then only the clock helps.
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Begins to watch these files; each may be missing. Reads them.
    pub(crate) fn new(files: &[PathBuf]) -> Self {
        let stirred = Arc::new(Notify::new());
        let heard = stirred.clone();
        let watcher = notify::recommended_watcher(move |_| heard.notify_one());
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "files are only looked at every few seconds"))
            .ok();
        let mut watch = Self { contents: read(files), stirred, watcher, folders: BTreeSet::new() };
        watch.follow_folders();
        watch
    }

    /// Watches these files from now on. What differs from what was seen last is a change.
    pub(crate) fn follow(&mut self, files: &[PathBuf]) {
        let mut contents = read(files);
        for (file, content) in &mut contents {
            if let Some(seen) = self.contents.get(file) {
                *content = *seen;
            }
        }
        self.contents = contents;
        self.follow_folders();
    }

    /// Waits until the content of some file has changed and has stayed the same for a moment; returns those files.
    /// Cancel safe: what was not returned is found again.
    pub(crate) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            // An error is the clock's turn.
            if timeout(POLL, self.stirred.notified()).await.is_ok() || self.differing().await.is_some() {
                self.wait_for_silence().await;
            }
            if let Some(now) = self.differing().await {
                let changed = now.iter().filter(|(file, content)| self.contents.get(*file) != Some(*content));
                let changed = changed.map(|(file, _)| file.clone()).collect();
                self.contents = now;
                // A link may lead to another folder now.
                self.follow_folders();
                return changed;
            }
        }
    }

    async fn wait_for_silence(&self) {
        let until = Instant::now() + PATIENCE;
        while timeout_at(until.min(Instant::now() + DEBOUNCE), self.stirred.notified()).await.is_ok() {
            if Instant::now() >= until {
                return;
            }
        }
    }

    /// Returns the contents if they are others than those seen last.
    async fn differing(&self) -> Option<Contents> {
        let files: Vec<PathBuf> = self.contents.keys().cloned().collect();
        let now = tokio::task::spawn_blocking(move || read(&files)).await.ok()?;
        (now != self.contents).then_some(now)
    }

    fn follow_folders(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = self.contents.keys().flat_map(|file| folders_of(file)).collect();
        for folder in self.folders.difference(&wanted) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        let watched = wanted.into_iter().filter(|folder| {
            self.folders.contains(folder) || watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
        });
        self.folders = watched.collect();
    }
}

/// Returns the folder in which a file lies, and the one to which links lead.
fn folders_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let own = file.parent().map(Path::to_owned);
    let real = file.canonicalize().ok().and_then(|file| file.parent().map(Path::to_owned));
    own.into_iter().chain(real)
}

fn read(files: &[PathBuf]) -> Contents {
    files.iter().map(|file| (file.clone(), content(file))).collect()
}

fn content(file: &Path) -> Option<u64> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    std::fs::File::open(file).ok()?.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use tempfile::TempDir;

    use super::*;

    async fn changes(watch: &mut Watch) -> usize {
        timeout(Duration::from_secs(20), watch.changed()).await.expect("the change is seen").len()
    }

    fn folder_with(content: &str) -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("a.json");
        fs::write(&file, content).unwrap();
        (folder, file)
    }

    #[tokio::test]
    async fn every_way_of_changing_a_file_is_seen() {
        let (folder, file) = folder_with("1");
        let mut watch = Watch::new(std::slice::from_ref(&file));
        fs::write(&file, "2").unwrap();
        assert_eq!(changes(&mut watch).await, 1);
        let other = folder.path().join("other");
        fs::write(&other, "3").unwrap();
        fs::rename(&other, &file).unwrap();
        assert_eq!(changes(&mut watch).await, 1);
        fs::remove_file(&file).unwrap();
        assert_eq!(changes(&mut watch).await, 1);
        fs::write(&file, "4").unwrap();
        assert_eq!(changes(&mut watch).await, 1);
    }

    #[tokio::test]
    async fn a_link_that_is_switched_is_seen() {
        let (first, _file) = folder_with("1");
        let (second, _other) = folder_with("2");
        let folder = TempDir::new().unwrap();
        let (data, link) = (folder.path().join("..data"), folder.path().join("a.json"));
        symlink(first.path(), &data).unwrap();
        symlink("..data/a.json", &link).unwrap();
        let mut watch = Watch::new(std::slice::from_ref(&link));
        let next = folder.path().join("..next");
        symlink(second.path(), &next).unwrap();
        fs::rename(&next, &data).unwrap();
        assert_eq!(changes(&mut watch).await, 1);
        fs::write(second.path().join("a.json"), "3").unwrap();
        assert_eq!(changes(&mut watch).await, 1);
    }

    #[tokio::test]
    async fn the_same_content_is_no_change() {
        let (folder, file) = folder_with("1");
        let mut watch = Watch::new(std::slice::from_ref(&file));
        fs::write(&file, "1").unwrap();
        fs::write(folder.path().join("unrelated"), "x").unwrap();
        assert!(timeout(2 * DEBOUNCE, watch.changed()).await.is_err());
    }
}

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

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
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
/// The most links from one file to the next whose folders are watched; what lies behind more is the clock's.
const MAX_LINKS: usize = 8;

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
    pub(crate) async fn new(files: &[PathBuf]) -> Self {
        let stirred = Arc::new(Notify::new());
        let heard = stirred.clone();
        let watcher = notify::recommended_watcher(move |event| {
            if may_be_a_change(&event) {
                heard.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "files are only looked at every few seconds"))
            .ok();
        let mut watch = Self { contents: Contents::new(), stirred, watcher, folders: BTreeSet::new() };
        watch.include(files).await;
        watch
    }

    /// Watches these files too; tells whether any of them was not watched until now. What they hold now counts as seen.
    pub(crate) async fn include(&mut self, files: &[PathBuf]) -> bool {
        let unknown: Vec<PathBuf> =
            files.iter().filter(|file| !self.contents.contains_key(*file)).cloned().collect();
        if unknown.is_empty() {
            return false;
        }
        // The watch comes first, so that no change falls between.
        self.contents.extend(unknown.iter().map(|file| (file.clone(), None)));
        self.follow_folders();
        self.contents.extend(read_elsewhere(unknown).await.unwrap_or_default());
        true
    }

    /// Watches these files alone from now on.
    pub(crate) fn only(&mut self, files: &[PathBuf]) {
        self.contents.retain(|file, _| files.contains(file));
        self.follow_folders();
    }

    /// Waits until the content of some file has changed and has stayed the same for a moment; returns those files.
    /// Cancel safe: what was not returned is found again.
    pub(crate) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            let was_heard = timeout(POLL, self.stirred.notified()).await.is_ok();
            if was_heard || self.differing().await.is_some() {
                self.wait_for_silence().await;
            }
            let Some(now) = self.differing().await else { continue };
            let changed = now.iter().filter(|(file, content)| self.contents.get(*file) != Some(*content));
            let changed = changed.map(|(file, _)| file.clone()).collect();
            self.contents = now;
            if !was_heard {
                self.forget_folders();
            }
            // A link may lead to another folder now.
            self.follow_folders();
            return changed;
        }
    }

    /// Counts what the files hold now as seen.
    pub(crate) async fn catch_up(&mut self) {
        if let Some(now) = self.differing().await {
            self.contents = now;
            self.follow_folders();
        }
    }

    /// Tells whether a file holds something else than what was seen last.
    pub(crate) async fn is_behind(&self) -> bool {
        self.differing().await.is_some()
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
        let now = read_elsewhere(self.contents.keys().cloned().collect()).await?;
        (now != self.contents).then_some(now)
    }

    /// Lets go of folders whose changes nobody told of: they may have been replaced by others of the same name.
    fn forget_folders(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for folder in std::mem::take(&mut self.folders) {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(&folder);
        }
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

/// Tells whether it is worth a look. That a file is opened or read is not: we do so ourselves, and would wake ourselves
/// without end.
fn may_be_a_change(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(event) => match event.kind {
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => true,
        },
        // Something may have been missed.
        Err(_) => true,
    }
}

/// Returns the folder in which a file lies, and those to which links lead from there; each under one name, because a
/// watch that is known by two names is lost with either.
fn folders_of(file: &Path) -> BTreeSet<PathBuf> {
    let mut places = vec![file.to_owned()];
    while let Some(place) = places.last()
        && let Ok(target) = std::fs::read_link(place)
        && places.len() <= MAX_LINKS
    {
        places.push(place.with_file_name("").join(target));
    }
    places.extend(file.canonicalize());
    places.iter().filter_map(|place| place.parent()?.canonicalize().ok()).collect()
}

/// Reads files without keeping others waiting; `None` when that failed.
async fn read_elsewhere(files: Vec<PathBuf>) -> Option<Contents> {
    tokio::task::spawn_blocking(move || read(files)).await.ok()
}

fn read(files: Vec<PathBuf>) -> Contents {
    let read = |file: PathBuf| {
        let content = content(&file);
        (file, content)
    };
    files.into_iter().map(read).collect()
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
        let mut watch = Watch::new(std::slice::from_ref(&file)).await;
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
        let mut watch = Watch::new(std::slice::from_ref(&link)).await;
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
        let mut watch = Watch::new(std::slice::from_ref(&file)).await;
        fs::write(&file, "1").unwrap();
        fs::write(folder.path().join("unrelated"), "x").unwrap();
        assert!(timeout(2 * DEBOUNCE, watch.changed()).await.is_err());
    }

    #[tokio::test]
    async fn what_was_caught_up_with_is_no_change() {
        let (_folder, file) = folder_with("1");
        let mut watch = Watch::new(std::slice::from_ref(&file)).await;
        fs::write(&file, "2").unwrap();
        assert!(watch.is_behind().await);
        watch.catch_up().await;
        assert!(!watch.is_behind().await);
        assert!(timeout(2 * DEBOUNCE, watch.changed()).await.is_err());
        fs::write(&file, "3").unwrap();
        assert_eq!(changes(&mut watch).await, 1);
    }

    #[tokio::test]
    async fn looking_at_a_file_is_no_reason_to_look_again() {
        let (_folder, file) = folder_with("1");
        let watch = Watch::new(std::slice::from_ref(&file)).await;
        // What the folder's own making stirred up comes to rest.
        watch.wait_for_silence().await;
        for _ in 0..3 {
            assert!(watch.differing().await.is_none());
        }
        assert!(timeout(2 * DEBOUNCE, watch.stirred.notified()).await.is_err());
    }

    #[tokio::test]
    async fn a_folder_that_comes_later_or_is_replaced_is_seen() {
        let folder = TempDir::new().unwrap();
        let place = folder.path().join("later");
        let file = place.join("a.json");
        let mut watch = Watch::new(std::slice::from_ref(&file)).await;
        fs::create_dir(&place).unwrap();
        fs::write(&file, "1").unwrap();
        assert_eq!(changes(&mut watch).await, 1);
        fs::rename(&place, folder.path().join("earlier")).unwrap();
        fs::create_dir(&place).unwrap();
        fs::write(&file, "2").unwrap();
        assert_eq!(changes(&mut watch).await, 1);
        fs::write(&file, "3").unwrap();
        assert_eq!(changes(&mut watch).await, 1);
    }
}

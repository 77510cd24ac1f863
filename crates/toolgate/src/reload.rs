//! Reads the configuration anew when its files change or somebody asks for it (SIGHUP), and has the publisher put it in
//! force. Everything is checked before anything changes; what is refused leaves the old configuration as it is.

use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use audit::{Detail, Event, Trail};
use proxy::{Reloaded, Reloads, Snapshots};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::sleep,
};

use crate::{
    config::{Diagnostic, LoadError, Loaded, Origin},
    gateway::Gateway,
    publisher::Change,
    service::{self, SharedLeftOut},
    watch::Watch,
};

/// Most files that a line of the audit trail names.
const NAMED_FILES: usize = 4;
/// How often a configuration that was refused is tried again: what it lacked may come where nobody watches, such as a
/// file that it includes. Longer than the watch needs to find a change by itself.
const RETRY: Duration = Duration::from_secs(15);
/// How often one reload reads the configuration because it names files that were not watched before.
const MAX_READINGS: usize = 3;

/// Reloads the configuration.
pub(crate) struct Reloader {
    origin: Origin,
    watch: Watch,
    fixed: Fixed,
    source: Option<PathBuf>,
    rules: Option<PathBuf>,
    /// What was refused last and has not been mended.
    refused: Option<(Cause, String)>,
    snapshots: Arc<Snapshots>,
    changes: mpsc::Sender<Change>,
    reloads: Reloads,
    trail: Trail,
    left_out: SharedLeftOut,
}

/// What cannot change while the gateway runs.
#[derive(Debug, Clone, PartialEq)]
struct Fixed {
    listen: proxy::config::ListenSettings,
    limits: proxy::config::Limits,
    audit: audit::Settings,
    startup_wait: Duration,
    shutdown_grace: Duration,
}

/// Why a configuration is not put in force.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// It is faulty.
    #[error(transparent)]
    Faulty(#[from] LoadError),
    /// A file that was in force is not there any more. What would take its place allows what it did not.
    #[error("`{}` is gone or empty; without it, a restart is needed", .0.display())]
    Lost(PathBuf),
    /// There were rules, and now there are none: whoever was refused something might be let in by a slip of an editor.
    #[error("the rules in force would be gone; to do without rules, a restart is needed")]
    RulesGone,
    /// Reading broke off.
    #[error("the configuration could not be read")]
    Broken,
}

/// Why a reload was asked for.
#[derive(Debug, Clone)]
enum Cause {
    Changed(Vec<PathBuf>),
    Asked,
}

impl Reloader {
    /// Makes the reloader of a gateway that was started with `loaded`, whose files `watch` watches.
    pub(crate) fn new(
        gateway: &Gateway,
        origin: Origin,
        loaded: &Loaded,
        watch: Watch,
        left_out: SharedLeftOut,
    ) -> Self {
        Self {
            watch,
            fixed: Fixed::of(loaded),
            source: loaded.source.path().map(Path::to_owned),
            rules: loaded.rules_source.clone(),
            refused: None,
            snapshots: gateway.snapshots.clone(),
            changes: gateway.changes.clone(),
            reloads: gateway.reloads.clone(),
            trail: gateway.trail.clone(),
            origin,
            left_out,
        }
    }

    /// Reloads until the gateway stops. Its death means that changes of files have no effect.
    pub(crate) async fn run(mut self, asked: Arc<Notify>) {
        loop {
            let refused = self.refused.clone();
            let cause = tokio::select! {
                files = self.watch.changed() => Cause::Changed(files),
                () = asked.notified() => {
                    // What is read now is not to be found changed once more.
                    self.watch.catch_up().await;
                    Cause::Asked
                }
                cause = retried(refused) => {
                    self.try_again(&cause).await;
                    continue;
                }
            };
            self.announce(&cause);
            match self.load().await {
                Ok(loaded) => self.apply(&cause, loaded).await,
                Err(refusal) => self.refuse(cause, &refusal),
            }
        }
    }

    /// Tries what was refused again, and says nothing when it is refused for the same reason.
    async fn try_again(&mut self, cause: &Cause) {
        // Files that are just being written are the watch's, which waits until they are complete.
        if self.watch.is_behind().await {
            return;
        }
        match self.load().await {
            Ok(loaded) => self.apply(cause, loaded).await,
            Err(refusal) => {
                if self.refused.as_ref().is_none_or(|(_, reason)| *reason != reason_of(&refusal)) {
                    self.refuse(cause.clone(), &refusal);
                }
            }
        }
    }

    /// Reads the configuration, and again as long as it names files that were not watched before: each must have been
    /// seen before it was read, so that no change of it is missed.
    async fn load(&mut self) -> Result<Loaded, Refusal> {
        for _ in 1..MAX_READINGS {
            let loaded = self.read().await?;
            if !self.watch.include(&loaded.watched).await {
                return Ok(loaded);
            }
        }
        self.read().await
    }

    async fn read(&self) -> Result<Loaded, Refusal> {
        let origin = self.origin.clone();
        let in_force = [&self.source, &self.rules].map(|file| Some(origin.folder.join(file.as_ref()?)));
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = origin.load();
            match in_force.into_iter().flatten().find(|file| is_lost(file)) {
                Some(lost) => Err(Refusal::Lost(lost)),
                None => Ok(loaded?),
            }
        });
        self.checked(loading.await.unwrap_or(Err(Refusal::Broken))?)
    }

    /// Refuses what opens everything: a configuration without the rules that are in force, or none at all. What was read
    /// counts, and not only what lies there: a file may be gone for the moment in which it is read.
    fn checked(&self, loaded: Loaded) -> Result<Loaded, Refusal> {
        let has_rules = |policy: &policy::Policy| policy.rules().is_some();
        if has_rules(&self.snapshots.current().configured.policy) && !has_rules(&loaded.config.policy) {
            return Err(Refusal::RulesGone);
        }
        match (&self.source, loaded.source.path()) {
            (Some(source), None) => Err(Refusal::Lost(source.clone())),
            (Some(_) | None, Some(_)) | (None, None) => Ok(loaded),
        }
    }

    async fn apply(&mut self, cause: &Cause, loaded: Loaded) {
        let (plan, left_out) = service::plan(&loaded, self.origin.state_dir.clone());
        let (revision, published) = oneshot::channel();
        let change = Change::Reload { plan: Box::new(plan), revision };
        if self.changes.send(change).await.is_err() {
            return;
        }
        let Ok(revision) = published.await else { return };
        self.left_out.store(Arc::new(left_out));
        self.watch.only(&loaded.watched);
        self.refused = None;
        let warnings: Vec<String> = loaded.warnings.iter().map(|w| w.problem().to_owned()).collect();
        self.reloads.note_success(&self.parts(cause), warnings);
        self.record(
            "reloaded",
            &[("revision", Detail::Number(revision)), ("files", Detail::Text(&named(cause)))],
        );
        self.report(cause, &loaded);
        self.source = loaded.source.path().map(Path::to_owned);
        self.rules = loaded.rules_source;
    }

    fn refuse(&mut self, cause: Cause, refusal: &Refusal) {
        let reason = reason_of(refusal);
        let at_fault = self.at_fault(&cause, refusal);
        for &part in &at_fault {
            say(format_args!("[HOT RELOAD] ERROR: Failed to reload {}: {reason}", title(part)));
        }
        for diagnostic in diagnostics(refusal) {
            say(format_args!("{diagnostic}\n"));
        }
        say(format_args!("[HOT RELOAD] The configuration in force stays as it was."));
        self.reloads.note_refusal(&self.parts(&cause), &at_fault, &reason);
        let details = [
            ("revision", Detail::Number(self.snapshots.current().revision)),
            ("files", Detail::Text(&named(&cause))),
            ("reason", Detail::Text(&reason)),
        ];
        self.record("reload_refused", &details);
        self.refused = Some((cause, reason));
    }

    fn announce(&self, cause: &Cause) {
        match cause {
            Cause::Asked => say(format_args!("[HOT RELOAD] Reading the configuration anew, as SIGHUP asks")),
            Cause::Changed(files) => {
                for file in files {
                    let title = title(self.part_of(file));
                    say(format_args!("[HOT RELOAD] Detected change in {title} file: {}", file.display()));
                }
            }
        }
        if self.parts(cause).contains(&Reloaded::Rules) {
            say(format_args!("[HOT RELOAD] Reloading and validating new rules..."));
        }
    }

    fn report(&self, cause: &Cause, loaded: &Loaded) {
        for part in self.parts(cause) {
            let file = match part {
                Reloaded::Servers => loaded.source.path(),
                Reloaded::Rules => loaded.rules_source.as_deref(),
            };
            let place = file.map(|file| format!(" at {}", file.display())).unwrap_or_default();
            say(format_args!("[HOT RELOAD] {} reloaded successfully{place}", capitalized(title(part))));
            if part == Reloaded::Rules {
                say(format_args!("[HOT RELOAD] Policy changes are now active"));
            }
        }
        for (server, checked) in &loaded.servers {
            if let Err(fault) = checked {
                say(format_args!("[HOT RELOAD WARNING] The server `{server}` is left out: {fault}"));
            }
        }
        for warning in &loaded.warnings {
            say(format_args!("[HOT RELOAD WARNING] {}", warning.problem()));
        }
        for section in self.fixed.differing(&Fixed::of(loaded)) {
            say(format_args!(
                "[HOT RELOAD WARNING] A change of `{section}` needs a restart; the rest is in force"
            ));
        }
    }

    /// Returns what was read anew; everything is, and what did not change is not spoken of.
    fn parts(&self, cause: &Cause) -> Vec<Reloaded> {
        let mut parts = match cause {
            Cause::Asked => vec![Reloaded::Servers, Reloaded::Rules],
            Cause::Changed(files) => files.iter().map(|file| self.part_of(file)).collect(),
        };
        parts.sort_by_key(|part| *part == Reloaded::Rules);
        parts.dedup();
        parts
    }

    /// Returns the parts whose files are at fault; where none is named, those that changed.
    fn at_fault(&self, cause: &Cause, refusal: &Refusal) -> Vec<Reloaded> {
        let part_of = |file: &Path| self.part_of(&self.origin.folder.join(file));
        let mut parts = match refusal {
            Refusal::Faulty(error) => error.files().into_iter().map(part_of).collect(),
            Refusal::Lost(file) => vec![part_of(file)],
            Refusal::RulesGone | Refusal::Broken => Vec::new(),
        };
        if parts.is_empty() {
            return self.parts(cause);
        }
        parts.sort_by_key(|part| *part == Reloaded::Rules);
        parts.dedup();
        parts
    }

    fn part_of(&self, file: &Path) -> Reloaded {
        let is_rules = self.rules.as_ref().is_some_and(|rules| self.origin.folder.join(rules) == *file)
            || file.file_name().is_some_and(|name| name == ".mcp-gateway-rules.json");
        if is_rules { Reloaded::Rules } else { Reloaded::Servers }
    }

    fn record(&self, name: &str, details: &[(&str, Detail<'_>)]) {
        if let Err(error) = self.trail.event(Event { name, details }) {
            tracing::error!(%error, "a reload could not be put on record");
        }
    }
}

impl Fixed {
    fn of(loaded: &Loaded) -> Self {
        let config = &loaded.config;
        Self {
            listen: config.listen.clone(),
            limits: config.limits.clone(),
            audit: config.audit.clone(),
            startup_wait: config.startup_wait,
            shutdown_grace: config.shutdown_grace,
        }
    }

    fn differing(&self, other: &Self) -> Vec<&'static str> {
        let sections = [
            ("listen", self.listen != other.listen),
            ("limits", self.limits != other.limits),
            ("audit", self.audit != other.audit),
            ("startup_wait_ms", self.startup_wait != other.startup_wait),
            ("shutdown_grace_ms", self.shutdown_grace != other.shutdown_grace),
        ];
        sections.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| section).collect()
    }
}

const fn title(part: Reloaded) -> &'static str {
    match part {
        Reloaded::Servers => "MCP server configuration",
        Reloaded::Rules => "gateway rules",
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn named(cause: &Cause) -> String {
    match cause {
        Cause::Asked => "all, by SIGHUP".to_owned(),
        Cause::Changed(files) => {
            let names = files.iter().take(NAMED_FILES).map(|file| file.display().to_string());
            names.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Tells whoever reads stderr. It may be closed; that is no reason to stop reloading.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Waits until something that was refused is worth another try; for ever if nothing was.
async fn retried(refused: Option<(Cause, String)>) -> Cause {
    match refused {
        Some((cause, _)) => {
            sleep(RETRY).await;
            cause
        }
        None => std::future::pending().await,
    }
}

/// A file of no bytes is being written, or was lost with its disk; nobody means it.
fn is_lost(file: &Path) -> bool {
    std::fs::metadata(file).map_or(true, |file| file.len() == 0)
}

/// Returns why a configuration is refused, in one line.
fn reason_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Faulty(error) => error.summary(),
        Refusal::Lost(_) | Refusal::RulesGone | Refusal::Broken => refusal.to_string(),
    }
}

fn diagnostics(refusal: &Refusal) -> &[Diagnostic] {
    match refusal {
        Refusal::Faulty(LoadError::Refused { faults, .. }) => faults,
        Refusal::Faulty(LoadError::Unreadable { .. } | LoadError::TooLarge { .. } | LoadError::Peer(_))
        | Refusal::Lost(_)
        | Refusal::RulesGone
        | Refusal::Broken => &[],
    }
}

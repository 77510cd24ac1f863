//! Reads the configuration anew when its files change or somebody asks for it (SIGHUP), and has the publisher put it in
//! force. Everything is checked before anything changes; what is refused leaves the old configuration as it is.

use std::{path::PathBuf, sync::Arc};

use audit::{Detail, Event, Trail};
use proxy::{Reloaded, Reloads};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    config::{Diagnostic, LoadError, Loaded, Origin},
    gateway::Gateway,
    publisher::Change,
    service::{self, SharedLeftOut},
    watch::Watch,
};

/// Most files that a line of the audit trail names.
const NAMED_FILES: usize = 4;

/// Reloads the configuration.
pub(crate) struct Reloader {
    origin: Origin,
    watch: Watch,
    fixed: Fixed,
    rules: Option<PathBuf>,
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
}

/// Why a reload was asked for.
enum Cause {
    Changed(Vec<PathBuf>),
    Asked,
}

impl Reloader {
    pub(crate) fn new(gateway: &Gateway, origin: Origin, loaded: &Loaded, left_out: SharedLeftOut) -> Self {
        Self {
            watch: Watch::new(&loaded.watched),
            fixed: Fixed::of(loaded),
            rules: loaded.rules_source.clone(),
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
            let cause = tokio::select! {
                files = self.watch.changed() => Cause::Changed(files),
                () = asked.notified() => Cause::Asked,
            };
            self.announce(&cause);
            match self.load().await {
                Ok(loaded) => self.apply(&cause, loaded).await,
                Err(error) => self.refuse(&cause, &error),
            }
        }
    }

    async fn load(&self) -> Result<Loaded, LoadError> {
        let origin = self.origin.clone();
        let loading = tokio::task::spawn_blocking(move || origin.load()).await;
        loading.unwrap_or_else(|_| Err(LoadError::Peer("the configuration could not be read".to_owned())))
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
        self.watch.follow(&loaded.watched);
        let warnings: Vec<String> = loaded.warnings.iter().map(|w| w.problem().to_owned()).collect();
        self.reloads.note(&self.parts(cause), Ok(warnings));
        self.record(
            "reloaded",
            &[("revision", Detail::Number(revision)), ("files", Detail::Text(&named(cause)))],
        );
        self.report(cause, &loaded);
        self.rules = loaded.rules_source;
    }

    fn refuse(&self, cause: &Cause, error: &LoadError) {
        let reason = reason(error);
        for part in self.parts(cause) {
            eprintln!("[HOT RELOAD] ERROR: Failed to reload {}: {reason}", title(part));
        }
        for diagnostic in diagnostics(error) {
            eprintln!("{diagnostic}\n");
        }
        eprintln!("[HOT RELOAD] The configuration in force stays as it was.");
        self.reloads.note(&self.parts(cause), Err(reason.clone()));
        let details = [("files", Detail::Text(&named(cause))), ("reason", Detail::Text(&reason))];
        self.record("reload_refused", &details);
    }

    fn announce(&self, cause: &Cause) {
        match cause {
            Cause::Asked => eprintln!("[HOT RELOAD] Reading the configuration anew, as SIGHUP asks"),
            Cause::Changed(files) => {
                for file in files {
                    let title = title(self.part_of(file));
                    eprintln!("[HOT RELOAD] Detected change in {title} file: {}", file.display());
                }
            }
        }
    }

    fn report(&self, cause: &Cause, loaded: &Loaded) {
        for part in self.parts(cause) {
            let file = match part {
                Reloaded::Servers => loaded.source.path(),
                Reloaded::Rules => loaded.rules_source.as_deref(),
            };
            let place = file.map(|file| format!(" from {}", file.display())).unwrap_or_default();
            eprintln!("[HOT RELOAD] {} reloaded successfully{place}", capitalized(title(part)));
            if part == Reloaded::Rules {
                eprintln!("[HOT RELOAD] Policy changes are now active");
            }
        }
        for (server, checked) in &loaded.servers {
            if let Err(fault) = checked {
                eprintln!("[HOT RELOAD WARNING] The server `{server}` is left out: {fault}");
            }
        }
        for warning in &loaded.warnings {
            eprintln!("[HOT RELOAD WARNING] {}", warning.problem());
        }
        for section in self.fixed.differing(&Fixed::of(loaded)) {
            eprintln!("[HOT RELOAD WARNING] A change of `{section}` needs a restart; the rest is in force");
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

    fn part_of(&self, file: &PathBuf) -> Reloaded {
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
        Self { listen: config.listen.clone(), limits: config.limits.clone(), audit: config.audit.clone() }
    }

    fn differing(&self, other: &Self) -> Vec<&'static str> {
        let sections = [
            ("listen", self.listen != other.listen),
            ("limits", self.limits != other.limits),
            ("audit", self.audit != other.audit),
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

/// Returns why a configuration is refused, in one line.
fn reason(error: &LoadError) -> String {
    match error {
        LoadError::Refused { faults, .. } => {
            let first = faults.first().map(|fault| match fault.place() {
                Some(place) => format!("{} ({place})", fault.problem()),
                None => fault.problem().to_owned(),
            });
            first.unwrap_or_else(|| "it is refused".to_owned())
        }
        LoadError::Unreadable { .. } | LoadError::TooLarge { .. } | LoadError::Peer(_) => error.to_string(),
    }
}

fn diagnostics(error: &LoadError) -> &[Diagnostic] {
    match error {
        LoadError::Refused { faults, .. } => faults,
        LoadError::Unreadable { .. } | LoadError::TooLarge { .. } | LoadError::Peer(_) => &[],
    }
}

//! `toolgate validate --connect`: starts every server as the gateway would, waits until each has listed its tools or
//! failed, and ends them again. No door is opened and no audit trail is written.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use domain::{ServerId, Subject, Target};
use guardrails::Guardrails;
use serde_json::{Value, json};
use tokio::{
    runtime,
    sync::mpsc,
    time::{Instant, sleep_until},
};
use upstream::{Health, ServerState, UpstreamEvent, Upstreams, config::ServerSettings};

use super::super::{CliError, output};
use crate::{config::Loaded, gateway::upstream_settings};

/// Lines of a failed server's own words that are shown.
const SHOWN_STDERR: usize = 5;

/// What became of a server.
pub(super) struct Tried {
    name: String,
    transport: &'static str,
    outcome: Outcome,
    took: Duration,
}

enum Outcome {
    Ready { version: String, era: &'static str, tools: usize },
    Failed { reason: String, stderr: Vec<String> },
}

/// Tries the usable servers of a configuration, for at most `limit`.
///
/// # Errors
/// [`CliError`] when nothing can be started at all.
pub(super) fn run(loaded: &Loaded, limit: Duration) -> Result<Vec<Tried>, CliError> {
    let failed = |error: std::io::Error| CliError::Gateway(format!("servers cannot be started: {error}"));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let settings =
            upstream_settings(&loaded.config).map_err(|error| CliError::Gateway(error.to_string()))?;
        let (upstreams, events) = Upstreams::new(settings);
        let servers =
            loaded.servers.iter().filter_map(|(id, server)| Some((id.clone(), server.clone().ok()?)));
        let tried = Trial::new(upstreams.clone(), events, servers.collect()).run(limit).await;
        upstreams.shutdown().await;
        Ok(tried)
    })
}

/// Servers that are being tried.
struct Trial {
    upstreams: Upstreams,
    events: mpsc::Receiver<UpstreamEvent>,
    /// Those that have not failed.
    servers: BTreeMap<ServerId, ServerSettings>,
    started: Instant,
    /// Tools by server, of those that have listed them.
    listed: HashMap<ServerId, usize>,
    done: BTreeMap<ServerId, Tried>,
}

impl Trial {
    fn new(
        upstreams: Upstreams,
        events: mpsc::Receiver<UpstreamEvent>,
        servers: BTreeMap<ServerId, ServerSettings>,
    ) -> Self {
        let (started, listed, done) = (Instant::now(), HashMap::new(), BTreeMap::new());
        Self { upstreams, events, servers, started, listed, done }
    }

    async fn run(mut self, limit: Duration) -> Vec<Tried> {
        let count = self.servers.len();
        eprintln!("Trying {} ...", super::output::counted(count, "server"));
        let deadline = self.started + limit;
        self.upstreams.apply(self.servers.clone());
        self.upstreams.wake_lazy();
        let upstreams = self.upstreams.clone();
        let mut all_settled = std::pin::pin!(upstreams.settled());
        let mut is_settled = false;
        while self.done.len() < count {
            tokio::select! {
                event = self.events.recv() => self.take(event),
                () = &mut all_settled, if !is_settled => is_settled = true,
                () = sleep_until(deadline) => break,
            }
            self.settle();
        }
        self.give_up(limit);
        self.done.into_values().collect()
    }

    fn take(&mut self, event: Option<UpstreamEvent>) {
        match event {
            Some(UpstreamEvent::Listed { server, listing }) => {
                // Only counted: nothing of it is shown.
                let subject = Subject { server: server.clone(), target: Target::Server };
                if let Ok(listing) = Guardrails::none().screen_result(&subject, *listing) {
                    self.listed.insert(server, listing.get().tools.len());
                }
            }
            Some(
                UpstreamEvent::Gone { .. }
                | UpstreamEvent::Notified { .. }
                | UpstreamEvent::StateChanged { .. },
            )
            | None => {}
        }
    }

    /// Notes and tells what has settled since.
    fn settle(&mut self) {
        for state in self.upstreams.states() {
            if self.done.contains_key(&state.server) {
                continue;
            }
            let outcome = match state.health {
                Health::Lazy | Health::Starting => continue,
                Health::Ready => match self.listed.get(&state.server) {
                    Some(tools) => ready(&state, *tools),
                    None => continue,
                },
                Health::Restarting | Health::Failed | Health::Stopped => failed(&state, "it failed"),
            };
            self.tell(state, outcome);
        }
    }

    fn give_up(&mut self, limit: Duration) {
        let late = format!("it has not listed its tools within {} s", limit.as_secs());
        for state in self.upstreams.states() {
            if !self.done.contains_key(&state.server) {
                let outcome = failed(&state, &late);
                self.tell(state, outcome);
            }
        }
    }

    fn tell(&mut self, state: ServerState, outcome: Outcome) {
        let tried = Tried {
            name: state.server.to_string(),
            transport: state.transport,
            outcome,
            took: self.started.elapsed(),
        };
        eprintln!("{}", tried.line());
        if !tried.is_ready() {
            // One attempt is an answer; more of them would only fill the screen.
            self.servers.remove(&state.server);
            self.upstreams.apply(self.servers.clone());
        }
        self.done.insert(state.server, tried);
    }
}

fn ready(state: &ServerState, tools: usize) -> Outcome {
    let version = state.version.map_or_else(String::new, |version| version.to_string());
    let era = state.era().map_or("", |era| era.as_str());
    Outcome::Ready { version, era, tools }
}

fn failed(state: &ServerState, otherwise: &str) -> Outcome {
    let skipped = state.stderr.len().saturating_sub(SHOWN_STDERR);
    Outcome::Failed {
        reason: state.reason.clone().unwrap_or_else(|| otherwise.to_owned()),
        stderr: state.stderr[skipped..].to_vec(),
    }
}

// === impl Tried ===

impl Tried {
    /// Tells whether it is ready.
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.outcome, Outcome::Ready { .. })
    }

    /// Returns what became of it, in a line; what a failed one said itself follows on lines of its own.
    pub(super) fn line(&self) -> String {
        let name = output::printable(&self.name);
        let ms = self.took.as_millis();
        match &self.outcome {
            Outcome::Ready { version, era, tools } => {
                let tools = super::output::counted(*tools, "tool");
                format!("  ready   {name}: {tools}, {} {version} ({era}), {ms} ms", self.transport)
            }
            Outcome::Failed { reason, stderr } => {
                let said = stderr.iter().map(|line| format!("\n            {}", output::printable(line)));
                format!(
                    "  failed  {name}: {}, {ms} ms{}",
                    output::printable(reason),
                    said.collect::<String>()
                )
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        let mut json = json!({
            "name": self.name,
            "ready": self.is_ready(),
            "transport": self.transport,
            "ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        });
        match &self.outcome {
            Outcome::Ready { version, era, tools } => {
                json["version"] = version.as_str().into();
                json["era"] = (*era).into();
                json["tools"] = (*tools).into();
            }
            Outcome::Failed { reason, stderr } => {
                json["reason"] = reason.as_str().into();
                json["stderr"] = stderr.clone().into();
            }
        }
        json
    }
}

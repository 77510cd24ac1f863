//! The data plane's shared parts, put together once at the start.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use audit::Trail;
use domain::ServerId;
use identity::Identity;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use upstream::Upstreams;

use crate::{
    Drain, Metrics, Operations, Reloads, RequestStates, Snapshot, Snapshots, ToolSearch,
    config::Limits,
    places::{Place, Places},
    read_cache::ReadCache,
    refusals::Refusals,
    session::{Budget, Sessions},
    tasks::Tasks,
    vouching::Vouching,
};

/// Least time between two sweeps of idle sessions.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The gateway's own name and version, as clients see them.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    json: String,
    value: Value,
}

impl ServerInfo {
    /// Makes it from the program's name and version.
    pub fn new(name: &str, version: &str) -> Self {
        let value = json!({"name": name, "title": "Toolgate", "version": version});
        Self { json: value.to_string(), value }
    }

    pub(crate) fn as_json(&self) -> &str {
        &self.json
    }

    pub(crate) fn as_value(&self) -> Value {
        self.value.clone()
    }
}

/// What the data plane is made of.
#[derive(Debug)]
pub struct Parts {
    /// Who calls?
    pub identity: Arc<Identity>,
    /// The upstreams.
    pub upstreams: Upstreams,
    /// Where calls are written down.
    pub trail: Trail,
    /// The world in force.
    pub snapshots: Arc<Snapshots>,
    /// Finds tools by what they are for.
    pub search: ToolSearch,
    /// What became of reloads.
    pub reloads: Reloads,
    /// What agents did, counted.
    pub operations: Operations,
    /// Seals what upstreams give callers to bring back.
    pub request_states: RequestStates,
    /// The bounds.
    pub limits: Limits,
    /// How long the first listings, and calls of unknown names, wait for upstreams that are still starting.
    pub startup_wait: Duration,
    /// The gateway's own name and version.
    pub info: ServerInfo,
    /// The counters.
    pub metrics: Metrics,
    /// How it stops.
    pub drain: Drain,
}

/// The data plane. Listeners share it; it holds no listener.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) identity: Arc<Identity>,
    pub(crate) vouching: Arc<Vouching>,
    pub(crate) upstreams: Upstreams,
    pub(crate) trail: Trail,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) search: ToolSearch,
    pub(crate) reloads: Reloads,
    pub(crate) operations: Operations,
    pub(crate) limits: Limits,
    pub(crate) info: ServerInfo,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Drain,
    pub(crate) sessions: Sessions,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) request_states: Arc<RequestStates>,
    pub(crate) read_cache: Arc<ReadCache>,
    /// What bodies of requests may hold while they arrive.
    pub(crate) arriving: Arc<Budget>,
    refusals: Refusals,
    startup_wait: Duration,
    settle_until: Mutex<Instant>,
    in_flight: Places,
    standing: Places,
}

impl Proxy {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            tasks: Arc::default(),
            read_cache: Arc::default(),
            arriving: crate::http::arriving(),
            request_states: Arc::new(parts.request_states),
            sessions: Sessions::new(parts.limits.sessions(), parts.limits.session_idle()),
            refusals: Refusals::default(),
            settle_until: Mutex::new(Instant::now() + parts.startup_wait),
            startup_wait: parts.startup_wait,
            in_flight: Places::new(parts.limits.in_flight()),
            standing: Places::new(standing_streams(&parts.limits)),
            vouching: Vouching::new(Arc::clone(&parts.identity)),
            identity: parts.identity,
            upstreams: parts.upstreams,
            trail: parts.trail,
            snapshots: parts.snapshots,
            search: parts.search,
            reloads: parts.reloads,
            operations: parts.operations,
            limits: parts.limits,
            info: parts.info,
            metrics: parts.metrics,
            drain: parts.drain,
        })
    }

    /// Tells whether callers over HTTP need an access token.
    ///
    /// # Errors
    /// [`identity::AuthError`] when the tokens cannot be read.
    pub fn requires_token(&self) -> Result<bool, identity::AuthError> {
        self.identity.requires_token()
    }

    /// Returns how many legacy sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Forgets idle sessions until the gateway stops, and tells of refusals that were only counted. Its death only
    /// means that idle sessions stay longer and such refusals are told later.
    pub async fn sweep_sessions(self: Arc<Self>) {
        let stopping = self.drain.stopping().clone();
        while stopping.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
            self.sessions.sweep();
            self.audit_suppressed();
        }
    }

    /// Takes a place among the requests in progress, to be kept until the answer has ended; `None` when all are taken.
    pub(crate) fn enter(&self) -> Option<Place> {
        self.in_flight.take()
    }

    /// Takes a place among the streams that stand until their client goes; `None` when all are taken.
    pub(crate) fn stand(&self) -> Option<Place> {
        self.standing.take()
    }

    /// Waits until every upstream that is starting has listed or failed and that is published, but not longer than
    /// the start may take. Lazy upstreams are started here and get the same time from then on.
    pub(crate) async fn settle(&self) {
        let until = self.wake_lazy();
        let wakings = self.upstreams.wakings();
        let is_settled = |world: &Snapshot| world.settled && world.wakings >= wakings;
        let mut revisions = self.snapshots.changes();
        while !is_settled(&self.snapshots.current()) && Instant::now() < until {
            if timeout_at(until, revisions.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Starts lazy upstreams; returns until when upstreams that start are waited for.
    fn wake_lazy(&self) -> Instant {
        // Held meanwhile: a request that comes just now must find the new end of the wait.
        let mut until = self.settle_until.lock();
        if self.upstreams.wake_lazy() {
            *until = Instant::now() + self.startup_wait;
        }
        *until
    }

    /// Says why a server offers nothing at the moment.
    pub(crate) fn why_unavailable(&self, server: &ServerId) -> String {
        let states = self.upstreams.states();
        let state = states.into_iter().find(|state| state.server == *server);
        state.and_then(|state| state.reason).unwrap_or_else(|| "it has not answered yet".into())
    }

    /// Writes down that a request was refused at the door, or counts it when there were many just now.
    pub(crate) fn audit_refusal(&self, reason: &'static str, peer: SocketAddr) {
        self.refusals.tell(&self.trail, reason, peer);
    }

    /// Writes down how many refusals were only counted so far.
    pub fn audit_suppressed(&self) {
        self.refusals.tell_suppressed(&self.trail);
    }
}

/// Streams on which clients hear of changes are no calls and have a bound of their own: one for each connection, which
/// is what a client needs.
pub(crate) const fn standing_streams(limits: &Limits) -> usize {
    limits.connections()
}

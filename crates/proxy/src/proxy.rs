//! The data plane's shared parts, put together once at the start.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use audit::{Detail, Event, Trail};
use credentials::Credentials;
use identity::Identity;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use upstream::{Health, Upstreams};

use crate::{Drain, Metrics, Snapshots, config::Limits, session::Sessions};

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
    pub identity: Identity,
    /// What we show upstreams.
    pub credentials: Credentials,
    /// The upstreams.
    pub upstreams: Upstreams,
    /// Where calls are written down.
    pub trail: Trail,
    /// The world in force.
    pub snapshots: Arc<Snapshots>,
    /// The bounds.
    pub limits: Limits,
    /// How long the first listings wait for upstreams that are still starting.
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
    pub(crate) identity: Identity,
    pub(crate) credentials: Credentials,
    pub(crate) upstreams: Upstreams,
    pub(crate) trail: Trail,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) limits: Limits,
    pub(crate) info: ServerInfo,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Drain,
    pub(crate) sessions: Sessions,
    startup_wait: Duration,
    settle_until: Mutex<Instant>,
    lazy_woken: AtomicBool,
    in_flight: AtomicUsize,
}

impl Proxy {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            sessions: Sessions::new(parts.limits.sessions(), parts.limits.session_idle()),
            settle_until: Mutex::new(Instant::now() + parts.startup_wait),
            startup_wait: parts.startup_wait,
            lazy_woken: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            identity: parts.identity,
            credentials: parts.credentials,
            upstreams: parts.upstreams,
            trail: parts.trail,
            snapshots: parts.snapshots,
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

    /// Forgets idle sessions until the gateway stops. Its death only means that idle sessions stay longer.
    pub async fn sweep_sessions(self: Arc<Self>) {
        let stopping = self.drain.stopping().clone();
        while stopping.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
            self.sessions.sweep();
        }
    }

    /// Takes a place among the requests in progress; `None` when all are taken.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Slot> {
        let limit = self.limits.in_flight();
        let take = |taken: usize| (taken < limit).then_some(taken + 1);
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Slot(self.clone()))
    }

    /// Waits until every upstream that is starting has listed or failed, but not longer than the start may take.
    /// Lazy upstreams are started by the first listing and get the same time from then on.
    pub(crate) async fn settle(&self) {
        if !self.lazy_woken.swap(true, Ordering::Relaxed) {
            self.wake_lazy();
        }
        let until = *self.settle_until.lock();
        let mut revisions = self.snapshots.changes();
        while !self.snapshots.current().settled && Instant::now() < until {
            if timeout_at(until, revisions.changed()).await.is_err() {
                return;
            }
        }
    }

    fn wake_lazy(&self) {
        if self.upstreams.states().iter().any(|state| state.health == Health::Lazy) {
            self.upstreams.wake_lazy();
            *self.settle_until.lock() = Instant::now() + self.startup_wait;
        }
    }

    /// Writes down that a request was refused at the door.
    pub(crate) fn audit_refusal(&self, reason: &str, peer: SocketAddr) {
        let peer = peer.ip().to_string();
        let event = Event { name: reason, details: &[("peer", Detail::Text(&peer))] };
        if let Err(error) = self.trail.event(event) {
            tracing::error!(%error, reason, "a refusal could not be audited");
        }
    }
}

/// A place among the requests in progress.
pub(crate) struct Slot(Arc<Proxy>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

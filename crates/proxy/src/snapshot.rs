//! The world in which one request is judged: immutable, replaced as a whole, taken once per request.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use catalog::Catalog;
use credentials::Credentials;
use guardrails::Guardrails;
use policy::Policy;
use tokio::sync::watch;

use crate::{ExposureSettings, RateLimits, Roster};

/// The part of the world that comes from the configuration. A reload replaces it as a whole.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Who may use what.
    pub policy: Policy,
    /// What is screened.
    pub guardrails: Guardrails,
    /// What upstreams are shown.
    pub credentials: Arc<Credentials>,
    /// How clients see tools.
    pub exposure: Arc<ExposureSettings>,
    /// How often tools may be called.
    pub rate_limits: RateLimits,
    /// The configured servers, in order.
    pub roster: Arc<Roster>,
    /// Where all this was read.
    pub files: Files,
}

/// The files that a configuration was read from, for people to find them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The file of the servers.
    pub servers: Option<PathBuf>,
    /// The file of the rules.
    pub rules: Option<PathBuf>,
}

/// Everything that decides about a request.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every change; stands in every audit line.
    pub revision: u64,
    /// What all upstreams offer.
    pub catalog: Catalog,
    /// What the configuration says.
    pub configured: Configured,
    /// Whether every started upstream has listed or failed once.
    pub settled: bool,
    /// How often sleeping upstreams had been woken when `settled` was read ([`upstream::Upstreams::wakings`]).
    pub wakings: u64,
}

/// The snapshot in force, and a way to wait for the next.
#[derive(Debug)]
pub struct Snapshots {
    current: ArcSwap<Snapshot>,
    revisions: watch::Sender<u64>,
}

impl Snapshots {
    /// Starts with this snapshot.
    pub fn new(first: Snapshot) -> Self {
        let revisions = watch::Sender::new(first.revision);
        Self { current: ArcSwap::from_pointee(first), revisions }
    }

    /// Returns the snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts a snapshot in force. Requests that began keep theirs.
    pub fn publish(&self, next: Snapshot) {
        let revision = next.revision;
        self.current.store(Arc::new(next));
        self.revisions.send_replace(revision);
    }

    /// Returns a receiver that wakes whenever a snapshot is put in force.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }
}

//! The world in which one request is judged: immutable, replaced as a whole, taken once per request.

use std::sync::Arc;

use arc_swap::ArcSwap;
use catalog::Catalog;
use guardrails::Guardrails;
use policy::Policy;
use tokio::sync::watch;

/// Everything that decides about a request.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every change; stands in every audit line.
    pub revision: u64,
    /// What all upstreams offer.
    pub catalog: Catalog,
    /// Who may use it.
    pub policy: Policy,
    /// What is screened.
    pub guardrails: Guardrails,
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

//! Turns what upstreams report into the next snapshot. The only task that publishes; requests only read.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use catalog::{Catalog, Finding, Listing, Naming};
use credentials::Credentials;
use domain::{ServerId, Subject, Target};
use guardrails::{Cleared, Untrusted};
use identity::Identity;
use proxy::{Configured, Snapshot, Snapshots, ToolSearch};
use tokio::sync::{mpsc, oneshot};
use upstream::{UpstreamEvent, Upstreams, config::ServerSettings};

use crate::gateway::Plan;

/// Most reports that are taken into one snapshot.
const BATCH: usize = 256;

/// Most findings that are remembered as already reported.
const MAX_REPORTED: usize = 10_000;

/// A change of the configuration in force. Whoever asks for one has checked it.
pub enum Change {
    /// Another configuration as a whole.
    Reload {
        /// The configuration.
        plan: Box<Plan>,
        /// Gets the revision in which it is in force.
        revision: oneshot::Sender<u64>,
    },
}

/// Builds snapshots.
pub struct Publisher {
    snapshots: Arc<Snapshots>,
    upstreams: Upstreams,
    naming: Naming,
    configured: Configured,
    identity: Arc<Identity>,
    search: ToolSearch,
    listings: BTreeMap<ServerId, Cleared<Listing>>,
    reported: HashSet<(ServerId, String, String)>,
    revision: u64,
}

impl Publisher {
    /// Returns the world before any upstream has reported.
    pub fn first_snapshot(configured: Configured) -> Snapshot {
        Snapshot { revision: 1, catalog: Catalog::default(), configured, settled: false, wakings: 0 }
    }

    /// Makes the publisher of these snapshots.
    pub fn new(
        snapshots: Arc<Snapshots>,
        upstreams: Upstreams,
        identity: Arc<Identity>,
        search: ToolSearch,
        naming: Naming,
    ) -> Self {
        let world = snapshots.current();
        let (configured, revision) = (world.configured.clone(), world.revision);
        let (listings, reported) = (BTreeMap::new(), HashSet::new());
        Self { snapshots, upstreams, naming, configured, identity, search, listings, reported, revision }
    }

    /// Publishes until the upstreams are gone. Its death freezes the catalog: running and new calls go on with the last
    /// snapshot.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<UpstreamEvent>,
        mut changes: mpsc::Receiver<Change>,
    ) {
        loop {
            let settled = self.settled_wakings();
            tokio::select! {
                Some(change) = changes.recv() => self.change(change),
                event = events.recv() => match event {
                    Some(event) => self.take(event, &mut events),
                    None => return,
                },
                () = self.upstreams.settled_anew(settled) => self.drain(&mut events, true),
            }
        }
    }

    /// Returns which wakings the snapshot in force is settled after; `None` while it is not settled.
    fn settled_wakings(&self) -> Option<u64> {
        let world = self.snapshots.current();
        world.settled.then_some(world.wakings)
    }

    fn take(&mut self, event: UpstreamEvent, events: &mut mpsc::Receiver<UpstreamEvent>) {
        let changed = self.apply(event);
        self.drain(events, changed);
    }

    /// Takes what else was reported meanwhile, and publishes once for all of it.
    ///
    /// Whether everything is settled is read before the reports: a listing is reported before its server counts as
    /// settled, so a settled snapshot holds every listing. The wakings are read before that, so that no upstream that
    /// still slept is taken for one that has settled since.
    fn drain(&mut self, events: &mut mpsc::Receiver<UpstreamEvent>, mut changed: bool) {
        let wakings = self.upstreams.wakings();
        let settled = self.upstreams.is_settled();
        for _ in 0..BATCH {
            let Ok(event) = events.try_recv() else { break };
            changed |= self.apply(event);
        }
        if changed || settled != self.snapshots.current().settled {
            self.publish(settled, wakings);
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Reload { plan, revision } => {
                self.reload(*plan);
                // Whoever asked may be gone.
                let _ = revision.send(self.revision);
            }
        }
    }

    /// Puts another configuration in force: who may call first, then the servers, then the world. Unchanged servers keep
    /// their connections; a changed one is shown as it was until it has listed anew.
    fn reload(&mut self, plan: Plan) {
        let Plan { config, servers, roster, files, .. } = plan;
        self.identity.reconfigure(config.agent, config.agent_source, config.tokens);
        let credentials = Credentials::new(servers.values().map(ServerSettings::credential));
        let is_gone = |server: &&ServerId| !servers.contains_key(*server);
        for server in self.listings.keys().filter(is_gone).cloned().collect::<Vec<_>>() {
            self.gone(&server);
        }
        self.upstreams.apply(servers);
        self.naming = config.naming;
        self.configured = Configured {
            policy: config.policy,
            guardrails: self.configured.guardrails.clone(),
            credentials: Arc::new(credentials),
            exposure: Arc::new(config.exposure),
            rate_limits: self.configured.rate_limits.reconfigured(config.rate_limits),
            roster: Arc::new(roster),
            files,
        };
        let wakings = self.upstreams.wakings();
        self.publish(self.upstreams.is_settled(), wakings);
    }

    /// Takes one report; tells whether the catalog changes.
    fn apply(&mut self, event: UpstreamEvent) -> bool {
        match event {
            UpstreamEvent::Listed { server, listing } => self.listed(server, *listing),
            UpstreamEvent::Gone { server } => self.gone(&server),
            UpstreamEvent::Notified { .. } | UpstreamEvent::StateChanged { .. } => false,
        }
    }

    fn listed(&mut self, server: ServerId, listing: Untrusted<Listing>) -> bool {
        let subject = Subject { server: server.clone(), target: Target::Server };
        match self.configured.guardrails.screen_result(&subject, listing) {
            Ok(listing) => {
                self.search.update(&server, listing.get());
                self.listings.insert(server, listing);
                true
            }
            Err(block) => {
                tracing::warn!(upstream = %server, %block, "listing blocked; its tools are not offered");
                self.gone(&server)
            }
        }
    }

    fn gone(&mut self, server: &ServerId) -> bool {
        self.search.remove(server);
        self.listings.remove(server).is_some()
    }

    fn publish(&mut self, settled: bool, wakings: u64) {
        let catalog = Catalog::build(self.naming, &self.listings);
        self.report(catalog.findings());
        self.revision += 1;
        self.snapshots.publish(Snapshot {
            revision: self.revision,
            catalog,
            configured: self.configured.clone(),
            settled,
            wakings,
        });
    }

    /// Reports each finding once, not with every snapshot.
    fn report(&mut self, findings: &[Finding]) {
        for Finding { server, item, what } in findings {
            let key = (server.clone(), item.clone(), what.clone());
            if self.reported.len() < MAX_REPORTED && self.reported.insert(key) {
                tracing::warn!(upstream = %server, item, what, "odd item in a listing");
            }
        }
    }
}

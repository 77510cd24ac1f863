//! Tells listening clients that what they may see has changed. Each stream compares what it saw last with the world
//! in force, so none can miss the final state, and a storm of changes becomes at most one message a second. What
//! a client is told of resources and tasks that it named is in `updates`.

use std::time::Duration;

use protocol::ListKind;
use tokio::{sync::watch, time::Instant};

use crate::{
    Proxy, Snapshot,
    admission::{Shown, Viewpoint},
};

/// Least time between two announcements to the same client.
const INTERVAL: Duration = Duration::from_secs(1);

/// The kinds of change that clients are told of. Templates are announced as resources, as the specification has it.
const ANNOUNCED: [(ListKind, &str); 3] = [
    (ListKind::Tools, "notifications/tools/list_changed"),
    (ListKind::Prompts, "notifications/prompts/list_changed"),
    (ListKind::Resources, "notifications/resources/list_changed"),
];

type Seen = [u64; 4];

/// One client's view of the changing world.
#[derive(Clone)]
pub(crate) struct Changes {
    viewpoint: Viewpoint,
    revisions: watch::Receiver<u64>,
    seen: Seen,
    last: Option<Instant>,
}

impl Changes {
    /// Starts with the world in force: only later changes are announced.
    pub(crate) fn new(proxy: &Proxy, viewpoint: Viewpoint) -> Self {
        let mut revisions = proxy.snapshots.changes();
        revisions.mark_unchanged();
        let seen = fingerprints(&proxy.snapshots.current(), &viewpoint);
        Self { viewpoint, revisions, seen, last: None }
    }

    /// From now on tells whoever looks from there, who is the same principal; what it was told stays.
    pub(crate) fn look_from(&mut self, viewpoint: &Viewpoint) {
        self.viewpoint.clone_from(viewpoint);
    }

    /// Waits for the next change that the client can see; returns the methods of the notifications to send. Who would
    /// not be let in any more is told nothing, and what was missed if it is let in again. Blocks for one file access
    /// when there is a change. Cancel safe. Never completes once the gateway has stopped publishing.
    pub(crate) async fn next(&mut self, proxy: &Proxy) -> Vec<&'static str> {
        loop {
            // What is there is compared first, so that a wait that was dropped halfway loses nothing.
            self.revisions.mark_unchanged();
            self.viewpoint.follow(&proxy.identity);
            let now = fingerprints(&proxy.snapshots.current(), &self.viewpoint);
            let methods = announcements(&self.seen, &now);
            if methods.is_empty() {
                self.revised().await;
                continue;
            }
            if let Some(last) = self.last.filter(|last| last.elapsed() < INTERVAL) {
                tokio::time::sleep_until(last + INTERVAL).await;
                continue;
            }
            if !self.viewpoint.still_stands(&proxy.identity) {
                self.revised().await;
                continue;
            }
            self.seen = now;
            self.last = Some(Instant::now());
            return methods;
        }
    }

    /// Waits until another world is in force.
    async fn revised(&mut self) {
        if self.revisions.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn fingerprints(world: &Snapshot, viewpoint: &Viewpoint) -> Seen {
    let sight = world.configured.policy.sight(viewpoint.caller.principal());
    let of_upstreams = |kind| world.catalog.fingerprint(&viewpoint.view, kind, &sight);
    ListKind::ALL.map(|kind| match (kind, viewpoint.shown(world)) {
        // The gateway's own tools stay the same, whatever upstreams do.
        (ListKind::Tools, Shown::Discovery) => 1,
        (ListKind::Tools, Shown::Search) => 2,
        (_, _) => of_upstreams(kind),
    })
}

fn announcements(before: &Seen, now: &Seen) -> Vec<&'static str> {
    let changed = |kind: ListKind| {
        let at = ListKind::ALL.iter().position(|other| *other == kind).expect("ALL holds every kind");
        before[at] != now[at]
    };
    let is_announced = |kind: ListKind| match kind {
        ListKind::Resources => changed(kind) || changed(ListKind::ResourceTemplates),
        ListKind::Tools | ListKind::Prompts | ListKind::ResourceTemplates => changed(kind),
    };
    ANNOUNCED.into_iter().filter(|(kind, _)| is_announced(*kind)).map(|(_, method)| method).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_announced_as_resources() {
        assert_eq!(announcements(&[1, 2, 3, 4], &[1, 2, 3, 4]), Vec::<&str>::new());
        assert_eq!(announcements(&[1, 2, 3, 4], &[1, 2, 3, 5]), ["notifications/resources/list_changed"]);
        assert_eq!(announcements(&[1, 2, 3, 4], &[0, 0, 3, 4]).len(), 2);
    }
}

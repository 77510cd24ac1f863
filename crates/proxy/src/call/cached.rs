//! When a read is answered from what was read before, and when its result is kept. What may be kept is decided in
//! `read_cache.rs`.

use std::sync::Arc;

use bytes::Bytes;
use domain::Target;
use policy::Permit;
use protocol::{Era, MethodRow, Params};
use upstream::{Event, Payload, Reply};

use crate::{
    Proxy,
    admission::Admission,
    read_cache::{Read, ReadCache, World},
};

/// A read whose result may be kept.
pub(super) struct Reading {
    read: Read,
    cache: Arc<ReadCache>,
}

impl Reading {
    /// Returns the read that a permitted request is; `None` for everything else. Only modern servers say how long a
    /// result stays good, and a modern client is told how long that still is.
    pub(super) fn of(
        proxy: &Proxy,
        admission: &Admission,
        permit: &Permit,
        row: &MethodRow,
        params: &Params,
    ) -> Option<Self> {
        let (Target::Resource(uri), true) = (&permit.subject().target, row.cacheable) else { return None };
        let server = &permit.subject().server;
        let changes = proxy.upstreams.resource_changes(server);
        let world = World { revision: admission.world().revision, changes };
        let is_modern = admission.era() == Era::Modern;
        let read = is_modern.then(|| Read::of(server, uri, permit.principal(), params, world)).flatten()?;
        Some(Self { read, cache: Arc::clone(&proxy.read_cache) })
    }

    /// Returns what was read before, if it is still good.
    pub(super) fn before(&self) -> Option<Reply> {
        self.cache.find(&self.read).map(|result: Bytes| Reply::kept(result, Era::Modern))
    }

    /// Keeps a result, if it may be kept.
    pub(super) fn keep(&self, event: &Event) {
        if let Event::Result(Payload::Whole(result)) = event {
            self.cache.keep(&self.read, result);
        }
    }
}

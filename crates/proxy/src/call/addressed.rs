//! A permit with the credential for the server that it was given for, and what becomes of both when that server is
//! changed before anything was sent.

use std::time::Duration;

use credentials::Credentials;
use domain::{Credential, ServerId};
use policy::Permit;
use tokio::time::{Instant, timeout_at};
use upstream::CallError;

use super::what_of;
use crate::{
    Proxy,
    admission::Admission,
    error::{Failure, shown},
};

/// How long a call waits for the world that a reload is putting in force; that takes microseconds.
const NEXT_WORLD: Duration = Duration::from_secs(1);

/// A permit with the credential for the server that it was given for.
pub(super) struct Addressed {
    pub(super) permit: Permit,
    pub(super) credential: Credential,
}

impl Addressed {
    pub(super) fn new(credentials: &Credentials, permit: Permit) -> Result<Self, Failure> {
        let credential = credentials.issue(&permit).map_err(|error| {
            tracing::warn!(upstream = %permit.subject().server, %error, "no credential");
            Failure::Credential(permit.subject().server.clone())
        })?;
        Ok(Self { permit, credential })
    }

    pub(super) fn server(&self) -> &ServerId {
        &self.permit.subject().server
    }

    /// Judges the call in the world that changed its server, for which it waits a moment: neither a permit nor a
    /// credential of the old world is good for a server of the new one.
    pub(super) async fn anew(self, proxy: &Proxy, admission: &Admission) -> Result<Self, Failure> {
        let until = Instant::now() + NEXT_WORLD;
        let mut worlds = proxy.snapshots.changes();
        loop {
            let world = proxy.snapshots.current();
            let (policy, route) = (&world.configured.policy, self.permit.route().clone());
            let permit = policy.authorize(admission.principal(), route).map_err(|denial| {
                let name = self.permit.route().upstream_key().unwrap_or_default();
                Failure::Denied { what: what_of(self.permit.subject()), name: shown(&name), denial }
            })?;
            let Ok(next) = Self::new(&world.configured.credentials, permit) else {
                return Err(Failure::Upstream(CallError::NotConfigured(self.server().clone())));
            };
            if proxy.upstreams.accepts(&next.credential) || timeout_at(until, worlds.changed()).await.is_err()
            {
                return Ok(next);
            }
        }
    }
}

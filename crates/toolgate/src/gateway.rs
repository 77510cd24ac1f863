//! Puts the gateway together from checked settings: every part once, in the order in which they need each other.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use audit::{Detail, Event, Trail};
use credentials::Credentials;
use domain::{ServerId, SystemClock};
use guardrails::Guardrails;
use identity::{Identity, IdentitySettings};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use proxy::{
    Configured, Drain, Files, Metrics, NoRandomness, Operations, Parts, Proxy, RateLimits, Reloads,
    RequestStates, Roster, ServerInfo, Snapshots, ToolSearch,
};
use tokio::{sync::mpsc, task::JoinHandle};
use upstream::{
    SelfInfo, Settings, Upstreams,
    child::Launcher,
    config::{Builtin, ServerSettings},
};

use crate::{
    config::Config,
    demo_server::DemoServer,
    publisher::{Change, Publisher},
    telemetry,
};

/// Changes of the configuration that wait for the publisher; whoever asks for one waits for its verdict.
const CHANGES: usize = 8;

/// How long answers may take to be written once the grace time is over.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Checked settings of one gateway.
pub struct Plan {
    /// Everything but the servers.
    pub config: Config,
    /// The upstreams.
    pub servers: BTreeMap<ServerId, ServerSettings>,
    /// Where keys and tokens are.
    pub state_dir: PathBuf,
    /// The servers as agents are told of them.
    pub roster: Roster,
    /// Where the configuration was read.
    pub files: Files,
}

/// Why a gateway cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit trail cannot be opened. Without it no call may be made.
    #[error(
        "there is no audit trail, and no call without one: {0} (`--state-dir`, or `audit.file` in toolgate.yaml, names another place)"
    )]
    Audit(#[from] audit::AuditError),
    /// The thread that starts children cannot be started.
    #[error("children cannot be started: {0}")]
    Launcher(#[from] std::io::Error),
    /// Keys cannot be drawn.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Too many gateways stand above this one.
    #[error(
        "this gateway was started by a chain of {0} gateways, which looks like a loop: look for a server entry that starts Toolgate itself"
    )]
    Loop(u32),
}

/// A running gateway without listeners.
pub struct Gateway {
    /// The data plane.
    pub proxy: Arc<Proxy>,
    /// The upstreams.
    pub upstreams: Upstreams,
    /// The world in force.
    pub snapshots: Arc<Snapshots>,
    /// The audit trail.
    pub trail: Trail,
    /// The counters.
    pub registry: Arc<Mutex<Registry>>,
    /// How it stops.
    pub drain: Drain,
    /// Takes changes of the configuration.
    pub changes: mpsc::Sender<Change>,
    /// What became of them.
    pub reloads: Reloads,
    shutdown_grace: Duration,
    publisher: JoinHandle<()>,
    sweeper: JoinHandle<()>,
}

impl Gateway {
    /// Starts everything but the listeners. Upstreams start in the background. Call it within a runtime.
    ///
    /// # Errors
    /// [`StartError`] when a part that nothing works without cannot be had.
    pub fn start(plan: Plan) -> Result<Self, StartError> {
        let trail = Trail::open(&plan.config.audit)?;
        let version = [("version", Detail::Text(env!("CARGO_PKG_VERSION")))];
        trail.event(Event { name: "started", details: &version })?;
        let (upstreams, events) = Upstreams::new(upstream_settings(&plan.config)?);
        let credentials = Credentials::new(plan.servers.values().map(ServerSettings::credential));
        let (identity, configured) = (Arc::new(identity(&plan)), configured(&plan, credentials));
        let search = ToolSearch::default();
        // Before anybody publishes: an empty table counts as settled.
        upstreams.apply(plan.servers);
        let snapshots = Arc::new(Snapshots::new(Publisher::first_snapshot(configured)));
        let publisher = Publisher::new(
            snapshots.clone(),
            upstreams.clone(),
            identity.clone(),
            search.clone(),
            plan.config.naming,
        );
        let (changes, asked) = mpsc::channel(CHANGES);
        let publisher = tokio::spawn(publisher.run(events, asked));
        let reloads = Reloads::default();
        let mut registry = Registry::default();
        let (metrics, drain) = (Metrics::register(&mut registry), Drain::new());
        telemetry::register(&mut registry, &trail, &upstreams);
        let proxy = Proxy::new(Parts {
            identity,
            upstreams: upstreams.clone(),
            trail: trail.clone(),
            snapshots: snapshots.clone(),
            search,
            reloads: reloads.clone(),
            operations: Operations::register(&mut registry),
            request_states: RequestStates::new()?,
            limits: plan.config.limits.clone(),
            startup_wait: plan.config.startup_wait,
            info: ServerInfo::new("toolgate", env!("CARGO_PKG_VERSION")),
            metrics,
            drain: drain.clone(),
        });
        let sweeper = tokio::spawn(proxy.clone().sweep_sessions());
        let (registry, shutdown_grace) = (Arc::new(Mutex::new(registry)), plan.config.shutdown_grace);
        Ok(Self {
            proxy,
            upstreams,
            snapshots,
            trail,
            registry,
            drain,
            changes,
            reloads,
            shutdown_grace,
            publisher,
            sweeper,
        })
    }

    /// Stops in order: running calls, upstreams, the catalog, the audit trail.
    pub async fn stop(self) {
        self.drain.stop(self.shutdown_grace, LAST_ANSWERS).await;
        self.upstreams.shutdown().await;
        self.publisher.abort();
        self.sweeper.abort();
        // The last connections may have been refused after the doors had told theirs.
        self.proxy.audit_suppressed();
        let closed =
            self.trail.event(Event { name: "stopped", details: &[] }).and_then(|()| self.trail.close());
        if let Err(error) = closed {
            tracing::error!(%error, "the audit trail could not be closed");
        }
    }
}

fn configured(plan: &Plan, credentials: Credentials) -> Configured {
    Configured {
        policy: plan.config.policy.clone(),
        guardrails: Guardrails::none(),
        credentials: Arc::new(credentials),
        exposure: Arc::new(plan.config.exposure.clone()),
        rate_limits: RateLimits::new(plan.config.rate_limits.clone()),
        roster: Arc::new(plan.roster.clone()),
        files: plan.files.clone(),
    }
}

fn identity(plan: &Plan) -> Identity {
    let settings = IdentitySettings {
        agent: plan.config.agent.clone(),
        agent_source: plan.config.agent_source,
        configured: plan.config.tokens.clone(),
        state_dir: Some(plan.state_dir.clone()),
    };
    Identity::new(settings, Arc::new(SystemClock))
}

/// Returns what upstreams are run with, in a gateway or by a command that only tries or lists them. Call it within a
/// runtime.
///
/// # Errors
/// [`StartError`] when children cannot be started, or too many gateways stand above this one.
pub(crate) fn upstream_settings(config: &Config) -> Result<Settings, StartError> {
    let depth = depth(std::env::var(upstream::DEPTH_VARIABLE).ok().as_deref())?;
    let launcher = Launcher::start(tokio::runtime::Handle::current())?;
    let info = SelfInfo { name: "toolgate".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    Ok(Settings {
        result_bytes: config.limits.result_bytes(),
        line_bytes: config.limits.line_bytes(),
        depth,
        builtins: vec![(Builtin::Demo, Arc::new(DemoServer::default()))],
        ..Settings::new(launcher, info)
    })
}

/// Reads how many gateways stand above this one; refuses to be one too many.
fn depth(variable: Option<&str>) -> Result<u32, StartError> {
    let depth = variable.and_then(|text| text.parse().ok()).unwrap_or(0);
    if depth < upstream::MAX_DEPTH { Ok(depth) } else { Err(StartError::Loop(depth)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_gateways_ends() {
        assert_eq!(depth(None).unwrap(), 0);
        assert_eq!(depth(Some("3")).unwrap(), 3);
        assert!(matches!(depth(Some("8")), Err(StartError::Loop(8))));
    }
}

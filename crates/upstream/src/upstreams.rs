//! The table of all upstreams: who is configured, how a call finds its connection, how everything is let go.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use catalog::Listing;
use domain::{Credential, ServerId};
use guardrails::{Cleared, Untrusted};
use parking_lot::Mutex;
use policy::Permit;
use protocol::ClientCapabilities;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    CallError, News, Outgoing, Reply, ServerState, Settings, SharedSession,
    config::{DEFAULT_TIMEOUT_MS, ServerSettings},
    instances::Instances,
    outgoing::Forwarded,
    server::{Link, Server},
    supervisor,
    transports::Exchange,
    watching::Watching,
};

/// Events that wait for the publisher. Notifications beyond are dropped and counted; listings wait for room.
const EVENT_CAPACITY: usize = 1_024;
/// How long shutdown waits for children and sessions: the steps of ending a child, and a little more.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(12);
/// How often a call that waits for a server starts anew because the server's configuration was changed meanwhile.
const MAX_CHANGES: usize = 8;

/// All upstreams of the gateway. Clones are the same table.
#[derive(Clone)]
pub struct Upstreams(Arc<Inner>);

struct Inner {
    table: ArcSwap<Table>,
    /// Held while the table is replaced or its servers are woken.
    changing: Mutex<()>,
    /// Some server may wait for the first request; spares every other request a look at the whole table.
    may_sleep: AtomicBool,
    wakings: AtomicU64,
    shared: Arc<Shared>,
}

/// Who serves calls.
#[derive(Default)]
struct Table {
    configured: HashMap<ServerId, Arc<Server>>,
    /// Servers that were changed or removed, for calls that began before that. Each lives as long as its supervisor.
    leaving: HashMap<ServerId, Weak<Server>>,
}

/// What all supervisors share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) events: mpsc::Sender<UpstreamEvent>,
    /// Signalled whenever a server settles, is woken or is let go.
    pub(crate) settling: watch::Sender<()>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// The JSON text of our `clientInfo`.
    pub(crate) own_info: String,
    /// The parameters of `initialize`.
    pub(crate) initialize: Bytes,
    /// The gateways that this one leads to.
    pub(crate) instances: Arc<Instances>,
    /// Who wants to hear of which resource.
    pub(crate) watching: Watching,
}

/// Something that happened at an upstream, for the one who publishes the catalog.
#[derive(Debug)]
pub enum UpstreamEvent {
    /// It has told us everything it offers, for the first time or anew.
    Listed {
        /// The upstream.
        server: ServerId,
        /// What it offers.
        listing: Box<Untrusted<Listing>>,
    },
    /// It is not to be offered any more: removed, or failed too often. `Listed` brings it back.
    Gone {
        /// The upstream.
        server: ServerId,
    },
    /// It sent a notification that belongs to no call, and not to subscriptions, which a [`Watcher`](crate::Watcher)
    /// hears of.
    Notified {
        /// The upstream.
        server: ServerId,
        /// The method's name, as it came.
        method: Box<str>,
        /// The JSON text of the parameters.
        params: Untrusted<Option<Bytes>>,
    },
    /// Its state is another; [`Upstreams::states`] tells which. May be left out when many events wait.
    StateChanged {
        /// The upstream.
        server: ServerId,
    },
}

impl Upstreams {
    /// Makes the table, empty, and the receiver of its events. Whoever receives must go on receiving: a supervisor
    /// with a listing waits for room.
    pub fn new(settings: Settings) -> (Self, mpsc::Receiver<UpstreamEvent>) {
        let (events, receiver) = mpsc::channel(EVENT_CAPACITY);
        let shared = Arc::new(Shared {
            own_info: settings.self_info.to_json(),
            initialize: settings.self_info.initialize_params(&ClientCapabilities::NONE).into(),
            settings,
            instances: Instances::new(),
            watching: Watching::default(),
            events,
            settling: watch::Sender::new(()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let inner = Inner {
            table: ArcSwap::default(),
            changing: Mutex::default(),
            may_sleep: AtomicBool::new(false),
            wakings: AtomicU64::new(0),
            shared,
        };
        (Self(Arc::new(inner)), receiver)
    }

    /// Returns the ids of this gateway and of those behind it, as [`crate::INSTANCES_HEADER`] names them.
    pub fn instances(&self) -> String {
        self.0.shared.instances.named()
    }

    /// Makes `servers` the configured ones. Unchanged servers keep their connections; changed and removed ones get
    /// some time to finish their calls. Nothing is awaited; must be called within a runtime.
    pub fn apply(&self, servers: BTreeMap<ServerId, ServerSettings>) {
        let _changing = self.0.changing.lock();
        if self.0.shared.stop.is_cancelled() {
            return;
        }
        let before = self.0.table.load_full();
        let mut configured = HashMap::with_capacity(servers.len());
        let mut fresh = Vec::new();
        for (id, settings) in servers {
            let kept = before.configured.get(&id).filter(|server| server.settings == settings);
            let server = kept.cloned().unwrap_or_else(|| {
                let server = Arc::new(Server::new(settings, self.0.shared.stop.child_token()));
                fresh.push(Arc::clone(&server));
                server
            });
            configured.insert(id, server);
        }
        let leaving = before.leaving_after(&configured);
        let after = Arc::new(Table { configured, leaving });
        self.0.table.store(Arc::clone(&after));
        if fresh.iter().any(|server| server.is_asleep()) {
            self.0.may_sleep.store(true, Ordering::Release);
        }
        for server in fresh {
            // Its death would leave the server as it is, without restarts: it does not end before it is stopped.
            self.0.shared.tasks.spawn(supervisor::supervise(server, Arc::clone(&self.0.shared)));
        }
        for (id, server) in &before.configured {
            match after.configured.get(id) {
                Some(current) if Arc::ptr_eq(current, server) => {}
                Some(_) => server.stop.cancel(),
                None => {
                    self.0.shared.instances.forget(id);
                    // Said at once where there is room, so that it comes before a later return of the server.
                    let gone = UpstreamEvent::Gone { server: id.clone() };
                    if self.0.shared.events.try_send(gone).is_err() {
                        server.leave_farewell_unsaid();
                    }
                    server.stop.cancel();
                }
            }
        }
        self.0.shared.settling.send_replace(());
    }

    /// Sends a call and returns its reply, of which nothing may have arrived yet.
    ///
    /// Cancel safe: dropped, the call is cancelled at the upstream if it was sent. It is sent at most once.
    ///
    /// # Errors
    /// [`CallError`]; all but [`CallError::Lost`] and the errors about answers say that nothing was sent.
    pub async fn call(
        &self,
        permit: &Permit,
        request: &Cleared<Outgoing>,
        credential: &Credential,
    ) -> Result<Reply, CallError> {
        let mut changes = 0;
        let (server, ticket, link) = loop {
            let server = self.serving(permit, credential)?;
            let ticket = server.enter()?;
            match server.link(None).await {
                Ok(link) => break (server, ticket, link),
                // It was changed or removed while it was waited for. Nothing was sent, so another may take the call.
                Err(_) if server.stop.is_cancelled() && changes < MAX_CHANGES => changes += 1,
                Err(error) => return Err(error),
            }
        };
        server.counters.calls.add_one();
        server.note_caller(permit.principal(), &link);
        let first = self.send(&link, permit, request.get(), credential).await;
        let (link, sent) = match first {
            // The connection had just ended. Nothing was sent, so the next one may be used.
            Err(CallError::Unavailable { .. }) if link.has_ended() => {
                let next = server.link(Some(&link)).await?;
                let sent = self.send(&next, permit, request.get(), credential).await;
                (next, sent)
            }
            sent => (link, sent),
        };
        Ok(Reply::arriving(sent?, link.version.era(), ticket))
    }

    /// Returns the server that takes a call with `credential`: the configured one, or else the one that is leaving, if
    /// the call began before that. None but the one that the credential is for.
    fn serving(&self, permit: &Permit, credential: &Credential) -> Result<Arc<Server>, CallError> {
        let id = &permit.subject().server;
        let table = self.0.table.load();
        let configured = table.configured.get(id).cloned();
        let leaving = table.leaving.get(id).and_then(Weak::upgrade).filter(|server| server.has_link());
        let found = configured.iter().chain(&leaving).find(|server| server.takes(credential));
        found.cloned().ok_or_else(|| match configured.or(leaving) {
            Some(_) => CallError::ForeignCredential(id.clone()),
            None => CallError::NotConfigured(id.clone()),
        })
    }

    /// Returns the credential that the configuration gives for `server`, with which its own requests are made.
    pub fn configured_credential(&self, server: &ServerId) -> Option<Credential> {
        self.server(server).map(|server| server.credential.clone())
    }

    /// Tells whether a call with `credential` would not be refused for it: its server is configured at the address that
    /// the credential is for, or was and is leaving.
    pub fn accepts(&self, credential: &Credential) -> bool {
        let table = self.0.table.load();
        let configured = table.configured.get(credential.server());
        let leaving = table.leaving.get(credential.server()).and_then(Weak::upgrade);
        configured.is_some_and(|server| server.takes(credential))
            || leaving.is_some_and(|server| server.has_link() && server.takes(credential))
    }

    async fn send(
        &self,
        link: &Link,
        permit: &Permit,
        outgoing: &Outgoing,
        credential: &Credential,
    ) -> Result<crate::transports::ReplySource, CallError> {
        let key = permit.route().upstream_key();
        let params = Forwarded::new(outgoing, key.as_deref(), link.version, &self.0.shared.own_info)?;
        let exchange = Exchange {
            passed: outgoing.caller.passed,
            method: outgoing.method.name,
            params: &params,
            name: key.as_deref().filter(|_| outgoing.method.name_header.is_some()),
            param_headers: (permit.route().param_headers(), outgoing.params.arguments()),
            credential: Some(credential),
            principal: Some(permit.principal()),
            session: outgoing.caller.session.as_ref(),
        };
        link.connection.request(exchange).await
    }

    /// Tells every server that knows of a client's session that something about it has changed. Nothing is awaited; must
    /// be called within a runtime.
    pub fn tell(&self, session: &SharedSession, news: News) {
        for server in self.0.table.load().configured.values() {
            if let Some(link) = server.current_link() {
                link.connection.tell(session, news);
            }
        }
    }

    /// Returns how long a call to `server` may be silent; the default if it is not configured.
    pub fn timeout(&self, server: &ServerId) -> Duration {
        let configured = self.server(server).map(|server| server.settings.timeout());
        configured.unwrap_or(Duration::from_millis(DEFAULT_TIMEOUT_MS))
    }

    /// Returns a number that grows whenever `server` says that resources have changed, or may have and was not heard;
    /// what was read before may not be kept. Another configuration of the server begins anew.
    pub fn resource_changes(&self, server: &ServerId) -> u64 {
        self.server(server).map_or(0, |server| server.counters.resource_changes.get())
    }

    /// Starts the servers that are configured to wait for the first request; tells whether there were any. Their
    /// listings follow as events. Whoever is told `false` finds them counted by [`Upstreams::wakings`] already. Costs
    /// one atomic load when none sleeps.
    pub fn wake_lazy(&self) -> bool {
        if !self.0.may_sleep.load(Ordering::Acquire) {
            return false;
        }
        let _changing = self.0.changing.lock();
        let woken = self.0.table.load().configured.values().filter(|server| server.wake()).count();
        if woken > 0 {
            // Counted once they are awake: whoever sees the count does not take a sleeping server for a settled one.
            self.0.wakings.fetch_add(1, Ordering::Release);
            self.0.shared.settling.send_replace(());
        }
        self.0.may_sleep.store(false, Ordering::Release);
        woken > 0
    }

    /// Returns how often [`Upstreams::wake_lazy`] found sleeping servers. What was settled before the last time is not
    /// settled any more.
    pub fn wakings(&self) -> u64 {
        self.0.wakings.load(Ordering::Acquire)
    }

    /// Tells whether every started server has listed or failed once.
    pub fn is_settled(&self) -> bool {
        self.0.table.load().configured.values().all(|server| server.is_settled())
    }

    /// Waits until [`Upstreams::is_settled`]. Cancel safe; the caller bounds the time.
    pub async fn settled(&self) {
        self.settled_anew(None).await;
    }

    /// Waits until [`Upstreams::is_settled`] with other [`Upstreams::wakings`] than `seen`. Cancel safe; the caller
    /// bounds the time.
    pub async fn settled_anew(&self, seen: Option<u64>) {
        let mut settling = self.0.shared.settling.subscribe();
        while seen == Some(self.wakings()) || !self.is_settled() {
            if settling.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns the state of every server, sorted by name.
    pub fn states(&self) -> Vec<ServerState> {
        let table = self.0.table.load();
        let mut states: Vec<_> = table.configured.values().map(|server| server.state()).collect();
        states.sort_by(|a, b| a.server.cmp(&b.server));
        states
    }

    /// Closes sessions and ends children; calls in flight are lost. Takes at most 12 s. Nothing can be applied after.
    ///
    /// Not cancel safe in the sense that children not ended by then are killed when their processes are dropped.
    pub async fn shutdown(&self) {
        {
            let _changing = self.0.changing.lock();
            self.0.shared.stop.cancel();
            self.0.shared.tasks.close();
        }
        if timeout(SHUTDOWN_LIMIT, self.0.shared.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.0.shared.tasks.len(),
                "upstreams did not end in time and are given up"
            );
        }
        self.0.table.store(Arc::default());
    }

    /// Wakes a server and waits until it can be spoken with, as a call would.
    pub(crate) async fn reach(&self, id: &ServerId) -> Result<(), CallError> {
        let server = self.server(id).ok_or_else(|| CallError::NotConfigured(id.clone()))?;
        server.link(None).await.map(|_| ())
    }

    /// Returns who wants to hear of which resource.
    pub(crate) fn watching(&self) -> &Watching {
        &self.0.shared.watching
    }

    fn server(&self, id: &ServerId) -> Option<Arc<Server>> {
        self.0.table.load().configured.get(id).cloned()
    }
}

impl Table {
    /// Returns who is leaving once `configured` are in force: who leaves with this change, and who did before and has not
    /// been followed by another of the same name.
    fn leaving_after(&self, configured: &HashMap<ServerId, Arc<Server>>) -> HashMap<ServerId, Weak<Server>> {
        let earlier = self.leaving.iter().filter(|(_, server)| server.strong_count() > 0);
        let stays = |id: &ServerId, server: &Arc<Server>| {
            configured.get(id).is_some_and(|current| Arc::ptr_eq(current, server))
        };
        let now = self.configured.iter().filter(|(id, server)| !stays(id, server));
        let now = now.map(|(id, server)| (id.clone(), Arc::downgrade(server)));
        earlier.map(|(id, server)| (id.clone(), Weak::clone(server))).chain(now).collect()
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").field("servers", &self.0.table.load().configured.len()).finish()
    }
}

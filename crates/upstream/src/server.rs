//! One configured upstream as calls and its supervisor share it: settings, the link in force, its status.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{Credential, PrincipalKey};
use parking_lot::Mutex;
use protocol::Version;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    CallError,
    config::{ServerSettings, Startup},
    in_flight::{InFlight, Ticket},
    metrics::Counters,
    state::{Health, ServerState, Status},
    transports::Connection,
};

/// How long a call waits for a server that is just being started again. A restart after a crash takes less.
const RECONNECT_WAIT: Duration = Duration::from_secs(2);
/// How long a call waits for a server that has never answered yet, because it is new or its configuration was changed.
/// The call's own time ends the wait as well.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// What is said of a connection with several callers.
const SHARED: &str = "one connection serves several callers; what one leaves in it, others may see";

/// One upstream.
pub(crate) struct Server {
    pub(crate) settings: ServerSettings,
    pub(crate) credential: Credential,
    pub(crate) counters: Arc<Counters>,
    pub(crate) in_flight: Arc<InFlight>,
    /// Cancelled when the server is to be let go.
    pub(crate) stop: CancellationToken,
    link: watch::Sender<Option<Arc<Link>>>,
    started: watch::Sender<bool>,
    status: Mutex<Status>,
    /// The server was removed, and nobody has been told yet.
    farewell_unsaid: AtomicBool,
    first_caller: OnceLock<PrincipalKey>,
    /// Several principals have called over one connection.
    is_shared: AtomicBool,
}

/// A connection that was greeted.
pub(crate) struct Link {
    pub(crate) connection: Connection,
    pub(crate) version: Version,
}

impl Link {
    /// Tells whether the connection is over; what could not be sent over it may go over the next one.
    pub(crate) fn has_ended(&self) -> bool {
        self.connection.has_ended()
    }
}

impl Server {
    pub(crate) fn new(settings: ServerSettings, stop: CancellationToken) -> Self {
        let starts_now = settings.startup() == Startup::Eager;
        let health = if starts_now { Health::Starting } else { Health::Lazy };
        Self {
            credential: settings.credential(),
            counters: Arc::default(),
            in_flight: InFlight::new(usize::try_from(settings.max_in_flight()).unwrap_or(usize::MAX)),
            stop,
            link: watch::Sender::new(None),
            started: watch::Sender::new(starts_now),
            status: Mutex::new(Status::new(health)),
            farewell_unsaid: AtomicBool::new(false),
            first_caller: OnceLock::new(),
            is_shared: AtomicBool::new(false),
            settings,
        }
    }

    /// Has a lazy server started; tells whether it slept until now.
    pub(crate) fn wake(&self) -> bool {
        let woken = self.started.send_if_modified(|started| !std::mem::replace(started, true));
        if woken {
            self.update(|status| status.health = Health::Starting);
        }
        woken
    }

    /// Tells whether the server waits for the first request.
    pub(crate) fn is_asleep(&self) -> bool {
        !*self.started.borrow()
    }

    /// Waits until the server is to be started. Cancel safe.
    pub(crate) async fn awake(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    /// Tells whether nothing is to be waited for: it is not started, or has listed or failed once.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_asleep() || self.status.lock().is_settled
    }

    /// Returns the link in force, other than `dead`. Starts a lazy server and waits a little for one that restarts;
    /// one that fails again and again is not waited for, nor one that is let go.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] with the reason of the server's state.
    pub(crate) async fn link(&self, dead: Option<&Arc<Link>>) -> Result<Arc<Link>, CallError> {
        let is_alive = |link: &Arc<Link>| dead.is_none_or(|dead| !Arc::ptr_eq(dead, link));
        if let Some(link) = self.link.borrow().as_ref().filter(|link| is_alive(link)) {
            return Ok(Arc::clone(link));
        }
        if self.status.lock().health == Health::Failed {
            return Err(self.unavailable());
        }
        self.wake();
        let found = self.stop.run_until_cancelled(self.next_link(is_alive)).await;
        found.flatten().ok_or_else(|| self.unavailable())
    }

    /// Waits for a link. One that has never answered gets long, but only until it fails for the first time: then there is
    /// a reason to be told.
    async fn next_link(&self, is_alive: impl Fn(&Arc<Link>) -> bool) -> Option<Arc<Link>> {
        let mut links = self.link.subscribe();
        let is_there = |link: &Option<Arc<Link>>| link.as_ref().is_some_and(&is_alive);
        let settled = timeout(FIRST_WAIT, links.wait_for(|link| is_there(link) || self.is_settled())).await;
        settled.ok()?.ok()?;
        let found = timeout(RECONNECT_WAIT, links.wait_for(is_there)).await;
        found.ok()?.ok()?.clone()
    }

    /// Has calls that wait for a link look at the server's state.
    pub(crate) fn nudge_waiting(&self) {
        self.link.send_modify(|_| {});
    }

    /// Tells whether a call with `credential` may be shown to this server.
    pub(crate) fn takes(&self, credential: &Credential) -> bool {
        credential.is_for_the_same_as(&self.credential)
    }

    /// Takes a place among the calls in flight.
    ///
    /// # Errors
    /// [`CallError::Busy`] when all are taken.
    pub(crate) fn enter(&self) -> Result<Ticket, CallError> {
        self.in_flight.enter().ok_or_else(|| {
            self.counters.busy.add_one();
            CallError::Busy { server: self.settings.id().clone(), limit: self.in_flight.limit() }
        })
    }

    /// Tells whether calls can go out at this moment.
    pub(crate) fn has_link(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Returns the link in force, if there is one now.
    pub(crate) fn current_link(&self) -> Option<Arc<Link>> {
        self.link.borrow().clone()
    }

    /// Puts a link in force, or takes it away.
    pub(crate) fn set_link(&self, link: Option<Arc<Link>>) {
        self.link.send_replace(link);
    }

    /// Notes who calls over `link`. A server with one connection keeps in it what callers leave there, so several
    /// callers are worth a warning.
    pub(crate) fn note_caller(&self, principal: &PrincipalKey, link: &Link) {
        if link.connection.is_shared()
            && self.first_caller.get_or_init(|| principal.clone()) != principal
            && !self.is_shared.load(Ordering::Relaxed)
            && !self.is_shared.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(upstream = %self.settings.id(), "{SHARED}");
        }
    }

    /// Has the supervisor say that the server is gone.
    pub(crate) fn leave_farewell_unsaid(&self) {
        self.farewell_unsaid.store(true, Ordering::Release);
    }

    /// Tells once whether it must still be said that the server is gone.
    pub(crate) fn take_unsaid_farewell(&self) -> bool {
        self.farewell_unsaid.swap(false, Ordering::AcqRel)
    }

    /// Changes the status.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock());
    }

    /// Returns the server's state.
    pub(crate) fn state(&self) -> ServerState {
        let status = self.status.lock().clone();
        let mut findings = status.findings;
        findings.extend(self.is_shared.load(Ordering::Relaxed).then(|| SHARED.to_owned()));
        let connection = self.link.borrow().as_ref().map(|link| link.connection.clone());
        if let Some(Connection::Stdio(connection)) = &connection {
            let garbage = connection.garbage().into_iter();
            findings.extend(garbage.map(|sample| format!("no message on its standard output: {sample}")));
        }
        ServerState {
            server: self.settings.id().clone(),
            transport: connection
                .as_ref()
                .map_or_else(|| self.settings.transport().as_str(), Connection::transport),
            version: status.version,
            health: status.health,
            reason: status.reason.as_deref().map(str::to_owned),
            restarts: self.counters.restarts.get(),
            failures_in_a_row: status.failures_in_a_row,
            in_flight: self.in_flight.count(),
            pid: status.pid,
            stderr: status.stderr,
            findings,
            counters: self.counters.values(),
        }
    }

    fn unavailable(&self) -> CallError {
        let status = self.status.lock();
        let reason = status
            .reason
            .as_deref()
            .map_or_else(|| format!("it is {}", status.health.as_str()), str::to_owned);
        CallError::Unavailable { server: self.settings.id().clone(), reason }
    }
}

//! One server's life: started, greeted, listed, kept up to date, started again when it fails, let go at the end.
//! One task per server; a server that is slow or broken delays nobody else.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use guardrails::Untrusted;
use protocol::Era;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, timeout},
};

use crate::{
    CallError, UpstreamEvent,
    backoff::{Backoff, STABLE},
    child::{Command, Grace},
    config::{ChildSettings, HttpTransport, TransportSettings},
    era::{self, Manner, Ungreeted},
    handshake::Greeting,
    inbox::{Inbox, Mail, inbox},
    listing::{self, Walked},
    own_request::Asker,
    refresh::Refresh,
    server::{Link, Server},
    settings::DEPTH_VARIABLE,
    state::Health,
    subscription,
    transports::{
        Connection, Incoming, Opening, builtin::BuiltinConnection, http::HttpConnection, sse::SseConnection,
        stdio::StdioConnection,
    },
    upstreams::Shared,
};

/// How long a server may take to be greeted. Long, because some are downloaded at their first start.
const GREETING_LIMIT: Duration = Duration::from_secs(120);
/// How long one walk through all listings may take.
const LISTING_LIMIT: Duration = Duration::from_secs(120);
/// After so many failures in a row a server's tools are not offered any more.
const FAILURES_UNTIL_GONE: u32 = 5;
/// What a failed child is given to end by itself; another is to take its place.
const FAILED_GRACE: Grace =
    Grace { closed: Duration::from_millis(200), terminated: Duration::from_millis(800) };
/// How long the end of a child's output is waited for once its input is closed; the reader takes less.
const CAUSE_LIMIT: Duration = Duration::from_secs(1);
/// How long the calls of a server that was removed or changed may go on: as long as any call may take, and a little more.
const DRAIN_LIMIT: Duration = Duration::from_secs(610);
/// How long a removed or changed server is kept for calls that took their world before that and have not reached it yet.
/// Between the two lie the audit's line and the screening.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// Runs `server` until it is stopped. Its end is the end of the server.
pub(crate) async fn supervise(server: Arc<Server>, shared: Arc<Shared>) {
    let mut supervisor = Supervisor { server, shared, known_era: None, backoff: Backoff::default() };
    let stop = supervisor.server.stop.clone();
    if stop.run_until_cancelled(supervisor.server.awake()).await.is_some() {
        while let Err(reason) = supervisor.live().await {
            let pause = supervisor.note_failure(&reason).await;
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
            supervisor.server.counters.restarts.add_one();
        }
    }
    supervisor.say_farewell().await;
}

struct Supervisor {
    server: Arc<Server>,
    shared: Arc<Shared>,
    /// The era that the last greeting found; forgotten when a greeting fails.
    known_era: Option<Era>,
    backoff: Backoff,
}

/// A server was stopped on purpose.
struct Stopped;

impl Supervisor {
    /// Goes through one life of the server. Returns when it is stopped, or with the reason of its failure.
    async fn live(&mut self) -> Result<Stopped, String> {
        let stop = self.server.stop.clone();
        let interests = self.shared.watching.of(self.server.settings.id());
        let (inbox, mail) = inbox(Arc::clone(&self.server.counters), interests);
        let opened = stop.run_until_cancelled(self.open(inbox.clone())).await;
        let Some(opened) = opened else { return Ok(Stopped) };
        let mut connection = opened?;
        let ended = stop.run_until_cancelled(self.converse(&mut connection, inbox, mail)).await;
        match ended {
            Some(reason) => {
                self.server.set_link(None);
                let reason = root_cause(&connection, reason).await;
                self.keep_last_words(&connection);
                connection.close(FAILED_GRACE).await;
                Err(reason)
            }
            None => {
                self.let_go(&connection).await;
                Ok(Stopped)
            }
        }
    }

    /// Opens the connection. A child is running then, or a server has opened its one stream; no message was sent.
    async fn open(&self, inbox: Inbox) -> Result<Connection, String> {
        let (server, opening) = (&self.server.settings, self.opening(inbox));
        let settings = &self.shared.settings;
        match server.transport() {
            TransportSettings::Child(child) => {
                let command = command(child, opening.depth);
                let child = settings
                    .launcher
                    .spawn(server.id(), &command)
                    .await
                    .map_err(|error| error.to_string())?;
                self.server.update(|status| status.pid = Some(child.process.pid()));
                let connection = StdioConnection::open(child, opening).map_err(CallError::into_reason)?;
                Ok(Connection::Stdio(connection))
            }
            TransportSettings::Http(http) => match http.transport() {
                HttpTransport::Streamable => {
                    let connection = HttpConnection::open(http, opening).map_err(CallError::into_reason)?;
                    Ok(Connection::Http(connection))
                }
                HttpTransport::Sse => {
                    let connection =
                        SseConnection::open(http, opening).await.map_err(CallError::into_reason)?;
                    Ok(Connection::Sse(connection))
                }
            },
            TransportSettings::Builtin(name) => {
                let builtin = settings.builtin(*name).ok_or("this program has no such built-in server")?;
                Ok(Connection::Builtin(BuiltinConnection::open(server.id().clone(), builtin)))
            }
        }
    }

    fn opening(&self, inbox: Inbox) -> Opening {
        let settings = &self.shared.settings;
        Opening {
            server: self.server.settings.id().clone(),
            inbox,
            counters: Arc::clone(&self.server.counters),
            tasks: self.shared.tasks.clone(),
            initialize: self.shared.initialize.clone(),
            result_bytes: settings.result_bytes,
            line_bytes: settings.line_bytes,
            depth: settings.depth.saturating_add(1),
            instances: Arc::clone(&self.shared.instances),
        }
    }

    /// Greets, lists, and keeps listening until the connection fails; returns why it did. A server that speaks an older
    /// transport is spoken with over another `connection`.
    async fn converse(&mut self, connection: &mut Connection, inbox: Inbox, mail: Mail) -> String {
        let greeting = match self.greet_anyhow(connection, inbox).await {
            Ok(greeting) => greeting,
            Err(reason) => {
                self.known_era = None;
                return reason;
            }
        };
        connection.speak(greeting.version);
        self.known_era = Some(greeting.version.era());
        self.server.update(|status| status.version = Some(greeting.version));
        // Calls may go out before the listing is here: after a restart the catalog still has the server's tools.
        let link = Link { connection: connection.clone(), version: greeting.version };
        self.server.set_link(Some(Arc::new(link)));
        let begun = Instant::now();
        let reason = self.stay_up_to_date(connection, &greeting, mail).await;
        if begun.elapsed() >= STABLE {
            self.backoff.reset();
        }
        reason
    }

    /// Greets the server, if need be in the transport that was there before Streamable HTTP.
    async fn greet_anyhow(&self, connection: &mut Connection, inbox: Inbox) -> Result<Greeting, String> {
        let refused = match self.greet(connection).await {
            Ok(greeting) => return Ok(greeting),
            Err(Ungreeted::Failed(reason)) => return Err(reason),
            Err(Ungreeted::PerhapsOlder(reason)) => reason,
        };
        let TransportSettings::Http(http) = self.server.settings.transport() else { return Err(refused) };
        let Ok(older) = SseConnection::open(http, self.opening(inbox)).await else { return Err(refused) };
        let newer = std::mem::replace(connection, Connection::Sse(older));
        newer.close(FAILED_GRACE).await;
        self.greet(connection).await.map_err(|ungreeted| match ungreeted {
            Ungreeted::PerhapsOlder(reason) | Ungreeted::Failed(reason) => reason,
        })
    }

    /// Lists, and lists again when something changes, until the connection fails; returns why it did.
    async fn stay_up_to_date(&self, connection: &Connection, greeting: &Greeting, mail: Mail) -> String {
        // Both ways of hearing of changes open before the listing, so that no change falls between.
        connection.listen(&self.server.credential);
        let Mail { queue, lists_changed, subscriptions } = mail;
        let tenure = self.shared.watching.of(self.server.settings.id()).begin();
        let asker = self.asker(connection);
        let mut subscription =
            pin!(subscription::keep(asker, greeting, &lists_changed, subscriptions, tenure));
        let listed = tokio::select! {
            biased;
            never = &mut subscription => match never {},
            listed = self.list(connection, greeting) => listed,
        };
        let mut refresh = Refresh::new();
        match listed {
            Ok(walked) => refresh.ask_when_stale(self.publish(walked).await),
            Err(reason) => return reason,
        }
        self.listen(connection, greeting, (queue, &lists_changed), (subscription, refresh)).await
    }

    async fn greet(&self, connection: &Connection) -> Result<Greeting, Ungreeted> {
        if let Connection::Builtin(builtin) = connection {
            let listing = builtin.listing();
            let (version, capabilities) = (listing.version, listing.capabilities);
            return Ok(Greeting { version, capabilities, instructions: listing.instructions });
        }
        let settings = &self.server.settings;
        let initialize = self.shared.settings.self_info.initialize_params(&connection.declared());
        let manner = Manner {
            choice: settings.era(),
            known: self.known_era,
            probe_timeout: settings.probe_timeout(),
            initialize: &initialize,
        };
        let greeted = timeout(GREETING_LIMIT, era::greet(self.asker(connection), &manner)).await;
        greeted.unwrap_or_else(|_| {
            Err(Ungreeted::Failed(format!("it was not ready within {} s", GREETING_LIMIT.as_secs())))
        })
    }

    async fn list(&self, connection: &Connection, greeting: &Greeting) -> Result<Walked, String> {
        self.server.counters.listings.add_one();
        if let Connection::Builtin(builtin) = connection {
            return Ok(Walked { listing: builtin.listing(), findings: Vec::new() });
        }
        let walked = timeout(LISTING_LIMIT, listing::walk(self.asker(connection), greeting)).await;
        walked.unwrap_or_else(|_| Err(format!("its listings took longer than {} s", LISTING_LIMIT.as_secs())))
    }

    /// Hands out a listing; the server is ready then. Returns when the first part of it is not fresh any more.
    async fn publish(&self, walked: Walked) -> Option<std::time::Instant> {
        let Walked { listing, findings } = walked;
        let stale = listing.freshness.iter().filter_map(|freshness| freshness.until).min();
        let tools = listing.tools.len();
        tracing::info!(upstream = %self.server.settings.id(), tools, version = %listing.version, "upstream listed");
        self.server.update(|status| {
            status.health = Health::Ready;
            status.reason = None;
            status.stderr.clear();
            status.failures_in_a_row = 0;
            status.findings = findings;
        });
        let server = self.server.settings.id().clone();
        self.send(UpstreamEvent::Listed { server, listing: Box::new(Untrusted::new(listing)) }).await;
        // Settled means that the listing can be received.
        self.server.update(|status| status.is_settled = true);
        self.state_changed();
        stale
    }

    /// Hands on what the server says of its own accord, and lists it again when it says so. Returns why the connection
    /// ended.
    async fn listen<'a>(
        &'a self,
        connection: &'a Connection,
        greeting: &'a Greeting,
        (mut queue, lists_changed): (mpsc::Receiver<Incoming>, &Notify),
        (mut subscription, mut refresh): (
            Pin<&mut impl Future<Output = Infallible>>,
            Refresh<'a, Result<Walked, String>>,
        ),
    ) -> String {
        let mut closed = pin!(connection.closed());
        loop {
            let refreshed = tokio::select! {
                // The queue comes last: a server that talks without end must not keep us from the rest.
                biased;
                reason = &mut closed => return reason,
                listed = refresh.next(|| self.list(connection, greeting)) => listed,
                () = lists_changed.notified() => {
                    refresh.ask();
                    continue;
                }
                never = &mut subscription => match never {},
                Some(incoming) = queue.recv() => {
                    self.hand_on(incoming);
                    continue;
                }
            };
            match refreshed {
                Ok(walked) => refresh.ask_when_stale(self.publish(walked).await),
                Err(reason) => {
                    tracing::warn!(upstream = %self.server.settings.id(), reason, "the listing was not refreshed");
                    self.server
                        .update(|status| status.findings = vec![format!("not listed again: {reason}")]);
                    refresh.ask_later();
                }
            }
        }
    }

    fn hand_on(&self, Incoming { method, params }: Incoming) {
        let server = self.server.settings.id().clone();
        let event = UpstreamEvent::Notified { server, method, params: Untrusted::new(params) };
        if self.shared.events.try_send(event).is_err() {
            self.server.counters.dropped_notifications.add_one();
        }
    }

    /// Records a failure and returns how long to wait before the next attempt.
    async fn note_failure(&mut self, reason: &str) -> Duration {
        let pause = self.backoff.next();
        let mut failures = 0;
        self.server.update(|status| {
            failures = status.failures_in_a_row.saturating_add(1);
            status.health = if failures < FAILURES_UNTIL_GONE { Health::Restarting } else { Health::Failed };
            status.reason = Some(reason.into());
            status.failures_in_a_row = failures;
            status.pid = None;
            status.is_settled = true;
        });
        self.server.nudge_waiting();
        let pause_ms = pause.as_millis();
        tracing::warn!(upstream = %self.server.settings.id(), reason, failures, pause_ms, "upstream failed");
        if failures == FAILURES_UNTIL_GONE {
            self.send(UpstreamEvent::Gone { server: self.server.settings.id().clone() }).await;
        }
        self.state_changed();
        pause
    }

    /// Keeps what a failing child said last.
    fn keep_last_words(&self, connection: &Connection) {
        if let Connection::Stdio(connection) = connection {
            let stderr = connection.process().recent_stderr();
            self.server.update(|status| status.stderr = stderr);
        }
    }

    /// Ends a connection that is not wanted any more. Its calls may finish unless the whole gateway goes down, and so may
    /// those that began before and have not got here yet: the link stays for them.
    async fn let_go(&self, connection: &Connection) {
        self.say_gone().await;
        let drained = async {
            sleep(STRAGGLERS).await;
            self.server.in_flight.idle().await;
            self.server.set_link(None);
            // Between the last call and the link's end another may have come.
            self.server.in_flight.idle().await;
        };
        // Late is as good as never: what is still in flight is lost with the connection.
        let _ = self.shared.stop.run_until_cancelled(timeout(DRAIN_LIMIT, drained)).await;
        self.server.set_link(None);
        connection.close(Grace::default()).await;
    }

    /// Says that a removed server is not to be offered any more, if that could not be said at once.
    async fn say_gone(&self) {
        if self.server.take_unsaid_farewell() {
            let event = UpstreamEvent::Gone { server: self.server.settings.id().clone() };
            // No receiver any more: the gateway is going down.
            let _ = self.shared.stop.run_until_cancelled(self.shared.events.send(event)).await;
        }
    }

    /// The last thing that is heard of the server.
    async fn say_farewell(&self) {
        self.say_gone().await;
        self.server.update(|status| {
            status.health = Health::Stopped;
            status.pid = None;
            status.is_settled = true;
        });
        self.state_changed();
    }

    fn asker<'a>(&'a self, connection: &'a Connection) -> Asker<'a> {
        Asker { connection, credential: &self.server.credential, own_info: &self.shared.own_info }
    }

    /// Sends an event that must arrive. The one who stops us does not wait for that.
    async fn send(&self, event: UpstreamEvent) {
        // No receiver any more: the gateway is going down.
        let _ = self.server.stop.run_until_cancelled(self.shared.events.send(event)).await;
    }

    fn state_changed(&self) {
        self.shared.settling.send_replace(());
        // Left out when many events wait; whoever is behind looks at the states anyway.
        let _ = self
            .shared
            .events
            .try_send(UpstreamEvent::StateChanged { server: self.server.settings.id().clone() });
    }
}

/// Returns why a connection ended rather than which of our writes noticed it first.
async fn root_cause(connection: &Connection, reason: String) -> String {
    if !connection.has_ended() {
        return reason;
    }
    timeout(CAUSE_LIMIT, connection.closed()).await.unwrap_or(reason)
}

fn command(child: &ChildSettings, depth: u32) -> Command {
    let mut env: std::collections::BTreeMap<_, _> = child.environment().iter().cloned().collect();
    env.insert(DEPTH_VARIABLE.to_owned(), domain::Secret::new(depth.to_string()));
    Command {
        program: child.program().to_owned(),
        args: child.arguments().iter().map(|argument| argument.expose().clone()).collect(),
        cwd: child.directory().map(Into::into),
        env,
    }
}

//! The one path of a call, from an admitted request to its upstream and back. Every request that reaches an
//! upstream on a caller's behalf takes it: tools, prompts, resources, completions.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use catalog::{NoRoute, Route, View};
use credentials::Credentials;
use domain::{Credential, ServerId, Subject, Target};
use guardrails::Cleared;
use policy::Permit;
use protocol::{Era, MethodRow, Params, Routing};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use upstream::{CallError, Caller, Event, Outgoing, Payload, Reply, ResultStream, SharedSession};

use crate::{
    Configured, Proxy,
    admission::Admission,
    error::{Asked, Failure, shown},
    logs::Wish,
    observe::{self, Note, Record},
    result_kind::{Expected, ResultKind},
    session::Session,
    tasks::Tasks,
};

/// Longest time a call may take, whatever progress it reports.
pub(crate) const HARD_LIMIT: Duration = Duration::from_secs(600);

/// How often a call is judged again because its server was changed before it was sent.
const MAX_WORLDS: usize = 4;

/// How long a call waits for the world that a reload is putting in force; that takes microseconds.
const NEXT_WORLD: Duration = Duration::from_secs(1);

/// A request that goes to an upstream.
#[derive(Debug)]
pub(crate) struct Routed {
    /// The method.
    pub(crate) row: &'static MethodRow,
    /// Its parameters.
    pub(crate) params: Params,
    /// What was asked of `execute_tool`, if the request came through it.
    pub(crate) asked: Option<Arc<Asked>>,
    /// The longest time that the caller gives the call; it can only shorten what the configuration gives.
    pub(crate) time: Option<Duration>,
}

/// A call whose answer is on its way. Dropping it cancels the call at the upstream and ends its record.
pub(crate) struct Running {
    admission: Admission,
    row: &'static MethodRow,
    permit: Permit,
    reply: Reply,
    deadline: Deadline,
    shutdown: CancellationToken,
    record: Option<Record>,
    logs: Wish,
    expected: Expected,
    tasks: Arc<Tasks>,
    asked: Option<Arc<Asked>>,
}

/// Begins a call and waits until its upstream takes it.
///
/// # Errors
/// [`Failure`], recorded; nothing was sent unless it says that the outcome is unknown. Not cancel safe: dropping the
/// future cancels the call.
pub(crate) async fn start(proxy: &Proxy, admission: Admission, request: Routed) -> Result<Running, Failure> {
    let (admission, route) = find_route(proxy, admission, &request).await;
    let mut record = observe::begin(proxy, &admission, &Note::routed(&request, route.as_ref().ok())).await?;
    let (row, asked) = (request.row, request.asked.clone());
    let logs = Wish::of(admission.client(), &request.params);
    let expected = Expected::of(row, &request.params, admission.era());
    let route = route.map_err(|_| absent(proxy, &admission, &request));
    match send(proxy, &admission, request, route, &mut record).await {
        Ok((permit, reply, deadline)) => {
            let shutdown = proxy.drain.over().clone();
            Ok(Running {
                admission,
                row,
                permit,
                reply,
                deadline,
                shutdown,
                record: Some(record),
                logs,
                expected,
                tasks: Arc::clone(&proxy.tasks),
                asked,
            })
        }
        Err(failure) => {
            record.failed(&failure);
            Err(failure.asked(asked.as_ref()))
        }
    }
}

/// Finds the route. A name that is not known wakes lazy upstreams, and is waited for while upstreams are starting.
async fn find_route(
    proxy: &Proxy,
    admission: Admission,
    request: &Routed,
) -> (Admission, Result<Route, NoRoute>) {
    let find = |admission: &Admission| match request.row.routing {
        Routing::Task => task_route(proxy, admission, &request.params.key()),
        routing => {
            let (view, sight) = (admission.view(), admission.sight());
            admission.world().catalog.route(view, routing, &request.params.key(), &sight)
        }
    };
    match find(&admission) {
        Err(NoRoute) => {
            proxy.settle().await;
            let admission = admission.refreshed(proxy);
            let route = find(&admission);
            (admission, route)
        }
        route => (admission, route),
    }
}

/// Finds the server that runs the caller's task.
fn task_route(proxy: &Proxy, admission: &Admission, task: &str) -> Result<Route, NoRoute> {
    let (catalog, view) = (&admission.world().catalog, admission.view());
    let server = proxy.tasks.server(&admission.principal().key(), view, catalog.server_ids(), task);
    catalog.task_route(view, &server.ok_or(NoRoute)?, task)
}

/// Says why there is no route. Whoever names the server itself may know that it is there, and is told when it only
/// cannot be reached.
fn absent(proxy: &Proxy, admission: &Admission, request: &Routed) -> Failure {
    let unknown = || Failure::Unknown { what: what(request.row.routing), name: shown(&request.params.key()) };
    if let Routing::Feature(_) = request.row.routing {
        return Failure::UnknownMethod;
    }
    match (&request.asked, admission.view()) {
        (Some(_), View::Server(server)) if !admission.world().catalog.has_server(server) => {
            Failure::Upstream(CallError::Unavailable {
                server: server.clone(),
                reason: proxy.why_unavailable(server),
            })
        }
        (Some(_) | None, _) => unknown(),
    }
}

/// Route, permit, limits, screen, credential, upstream: each step takes the proof of the one before.
async fn send(
    proxy: &Proxy,
    admission: &Admission,
    request: Routed,
    route: Result<Route, Failure>,
    record: &mut Record,
) -> Result<(Permit, Reply, Deadline), Failure> {
    let world = &admission.world().configured;
    let Routed { row, params, time, .. } = request;
    let permit = world.policy.authorize(admission.principal(), route?).map_err(|denial| Failure::Denied {
        what: what(row.routing),
        name: shown(&params.key()),
        denial,
    })?;
    within_limits(world, admission, permit.subject())?;
    let outgoing = Outgoing { method: row, params, caller: caller(admission) };
    let outgoing = world.guardrails.screen_arguments(permit.subject(), outgoing)?;
    let mut addressed = Addressed::new(&world.credentials, permit)?;
    let mut deadline = Deadline::new(proxy.upstreams.timeout(addressed.server()), time);
    if row.waits_for_work {
        deadline.suspend();
    }
    record.sent();
    for _ in 0..MAX_WORLDS {
        let sent = {
            let sending = pin!(proxy.upstreams.call(&addressed.permit, &outgoing, &addressed.credential));
            deadline.bound(addressed.server(), proxy.drain.over(), sending).await?
        };
        match sent {
            Ok(reply) => return Ok((addressed.permit, reply, deadline)),
            // The server was changed before anything was sent to it.
            Err(CallError::ForeignCredential(_)) => addressed = addressed.anew(proxy, admission).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Upstream(CallError::ForeignCredential(addressed.server().clone())))
}

/// A permit with the credential for the server that it was given for.
struct Addressed {
    permit: Permit,
    credential: Credential,
}

impl Addressed {
    fn new(credentials: &Credentials, permit: Permit) -> Result<Self, Failure> {
        let credential = credentials.issue(&permit).map_err(|error| {
            tracing::warn!(upstream = %permit.subject().server, %error, "no credential");
            Failure::Credential(permit.subject().server.clone())
        })?;
        Ok(Self { permit, credential })
    }

    fn server(&self) -> &ServerId {
        &self.permit.subject().server
    }

    /// Judges the call in the world that changed its server, for which it waits a moment: neither a permit nor a
    /// credential of the old world is good for a server of the new one.
    async fn anew(self, proxy: &Proxy, admission: &Admission) -> Result<Self, Failure> {
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

const fn what_of(subject: &Subject) -> &'static str {
    match subject.target {
        Target::Tool(_) => "tool",
        Target::Prompt(_) => "prompt",
        Target::Resource(_) => "resource",
        Target::Task(_) => "task",
        Target::Server => "server",
    }
}

/// Counts a tool call against the rate limits, which are about tools alone.
fn within_limits(world: &Configured, admission: &Admission, subject: &Subject) -> Result<(), Failure> {
    let Target::Tool(tool) = &subject.target else { return Ok(()) };
    let agent = admission.principal().agent.as_str();
    let now = Instant::now().into_std();
    Ok(world.rate_limits.admit(agent, subject.server.as_str(), tool.as_str(), now)?)
}

fn caller(admission: &Admission) -> Caller {
    let client = admission.client();
    let session = client.session.clone().map(|session| session as SharedSession);
    Caller { version: client.version, client_info: client.info.clone(), session, passed: client.passed }
}

const fn what(routing: Routing) -> &'static str {
    match routing {
        Routing::Tool | Routing::Local | Routing::List(_) => "tool",
        Routing::Prompt => "prompt",
        Routing::Resource => "resource",
        Routing::Reference => "reference",
        Routing::Task => "task",
        Routing::Feature(_) => "feature",
    }
}

impl Running {
    /// Waits for the next event, screened. After a final one the call is over. Cancel safe.
    ///
    /// # Errors
    /// [`Failure`], recorded; the call is over then as well.
    pub(crate) async fn next(&mut self) -> Result<Cleared<Event>, Failure> {
        let event = self.wanted_event().await;
        match &event {
            Ok(event) => self.note(event.get()),
            Err(failure) => self.fail(failure),
        }
        event.map_err(|failure| failure.asked(self.asked.as_ref()))
    }

    /// Returns the era of the upstream that answers.
    pub(crate) const fn upstream_era(&self) -> Era {
        self.reply.era()
    }

    /// Returns the era of the client that asked.
    pub(crate) fn client_era(&self) -> Era {
        self.admission.era()
    }

    /// Returns the method that was called.
    pub(crate) const fn row(&self) -> &'static MethodRow {
        self.row
    }

    /// Makes the failure of a result that is larger than the client's door can carry.
    pub(crate) fn too_large(&self, limit: usize) -> Failure {
        let too_large = CallError::TooLarge { server: self.permit.subject().server.clone(), limit };
        Failure::Upstream(too_large).asked(self.asked.as_ref())
    }

    /// Ends the record of a result that was passed on while it arrived.
    pub(crate) fn returned(&mut self, result_bytes: u64) {
        if let Some(record) = self.record.take() {
            record.returned(result_bytes);
        }
    }

    /// Ends the record of a call that failed after its reply began.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if let Some(record) = self.record.take() {
            record.failed(failure);
        }
    }

    /// Waits until the next chunk of a large result, within the call's time.
    ///
    /// # Errors
    /// [`Failure`], recorded; the client has an incomplete answer then and must be told by a broken connection.
    pub(crate) async fn next_chunk(&mut self, stream: &mut ResultStream) -> Result<Option<Bytes>, Failure> {
        self.deadline.extend();
        let server = &self.permit.subject().server;
        let chunk = self.deadline.bound(server, &self.shutdown, pin!(stream.next_chunk())).await;
        let chunk = chunk.and_then(|chunk| chunk.transpose().map_err(Failure::from));
        chunk.map_err(|failure| {
            self.fail(&failure);
            failure.asked(self.asked.as_ref())
        })
    }

    async fn wanted_event(&mut self) -> Result<Cleared<Event>, Failure> {
        loop {
            let subject = self.permit.subject();
            let event =
                self.deadline.bound(&subject.server, &self.shutdown, pin!(self.reply.next())).await??;
            let event = self.admission.world().configured.guardrails.screen_result(subject, event)?;
            self.check_kind(event.get())?;
            if !self.is_wanted(event.get()) {
                continue;
            }
            if let Some(event) = self.unless_refused(event) {
                return Ok(event);
            }
        }
    }

    /// Progress gives the call more time; a final answer ends its record, unless it is still arriving.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Notification { method, .. } if &**method == PROGRESS => self.deadline.extend(),
            // Whoever is asked may need minutes; the hard limit stays.
            Event::Request(_) => self.deadline.suspend(),
            Event::Notification { .. } | Event::Result(Payload::Streamed(_)) => {}
            Event::Result(Payload::Whole(result)) => {
                if let Some(record) = self.record.take() {
                    record.answered(result);
                }
            }
            Event::Error(error) => {
                if let Some(record) = self.record.take() {
                    record.refused_by_server(error);
                }
            }
        }
    }

    /// A log message that the client does not want is dropped.
    fn is_wanted(&self, event: &Event) -> bool {
        match event {
            Event::Notification { method, params } if &**method == "notifications/message" => {
                self.logs.takes(params.as_deref())
            }
            Event::Notification { .. } | Event::Request(_) | Event::Result(_) | Event::Error(_) => true,
        }
    }

    /// A server's request is refused when the client did not declare that it can be asked this.
    fn unless_refused(&self, event: Cleared<Event>) -> Option<Cleared<Event>> {
        let Event::Request(request) = event.get() else { return Some(event) };
        let session = self.session()?;
        // Dropped, the request is refused; this says so in the words of a client.
        if session.capabilities().allow(request.method()) {
            return Some(event);
        }
        if let Event::Request(request) = event.into_inner() {
            request.refuse();
        }
        None
    }

    /// Returns the legacy client's session.
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.admission.client().session.as_ref()
    }

    /// Refuses a result of a kind that the client cannot take, and remembers whose a new task is.
    fn check_kind(&self, event: &Event) -> Result<(), Failure> {
        let Event::Result(Payload::Whole(result)) = event else { return Ok(()) };
        let server = || self.permit.subject().server.clone();
        match self.expected.judge(result, self.upstream_era()) {
            ResultKind::Complete | ResultKind::InputRequired => Ok(()),
            ResultKind::Task(id) => {
                self.tasks.enter(self.permit.principal().clone(), &server(), &id);
                Ok(())
            }
            // A legacy client cannot take a question back as a result.
            ResultKind::Foreign(kind) if kind == "input_required" && self.client_era() == Era::Legacy => {
                Err(Failure::NeedsInput { server: server() })
            }
            ResultKind::Foreign(kind) => {
                let what = format!("its result is of the kind `{}`, which nobody agreed on", shown(&kind));
                Err(Failure::Upstream(CallError::Protocol { server: server(), what }))
            }
        }
    }
}

const PROGRESS: &str = "notifications/progress";

/// How long a call may still take.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    idle: Duration,
    most: Duration,
    until: Instant,
    hard: Instant,
}

impl Deadline {
    /// `idle` is how long an upstream may be silent; `time` is the caller's own limit, which progress does not extend.
    fn new(idle: Duration, time: Option<Duration>) -> Self {
        let now = Instant::now();
        let most = time.map_or(HARD_LIMIT, |time| time.min(HARD_LIMIT));
        Self { idle, most, until: now + idle.min(most), hard: now + most }
    }

    /// Starts the time anew, within the hard limit.
    fn extend(&mut self) {
        self.until = (Instant::now() + self.idle).min(self.hard);
    }

    /// Leaves only the hard limit, until the next event.
    fn suspend(&mut self) {
        self.until = self.hard;
    }

    /// Waits for `work` until the time is over or the gateway gives up its running calls. It takes a pinned future,
    /// because futures passed by value are copied into each layer around them.
    async fn bound<T>(
        &self,
        server: &ServerId,
        over: &CancellationToken,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = timeout_at(self.until, work) => done.map_err(|_| self.expired(server)),
            () = over.cancelled() => Err(Failure::ShuttingDown),
        }
    }

    fn expired(&self, server: &ServerId) -> Failure {
        let limit = if self.until == self.hard { self.most } else { self.idle };
        Failure::Timeout { server: server.clone(), limit_ms: limit.as_millis() as u64 }
    }
}

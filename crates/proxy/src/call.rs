//! The one path of a call, from an admitted request to its upstream and back. Every request that reaches an
//! upstream on a caller's behalf takes it: tools, prompts, resources, completions.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Bytes;
use catalog::{NoRoute, Route};
use domain::ServerId;
use guardrails::Cleared;
use policy::Permit;
use protocol::{Era, MethodRow, Object, Params, Routing};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use upstream::{CallError, Caller, Event, Outgoing, Payload, Reply, ResultStream};

use crate::{
    Proxy,
    admission::Admission,
    error::{Failure, shown},
    logs::Wish,
    observe::{self, Record},
};

/// Longest time a call may take, whatever progress it reports.
pub(crate) const HARD_LIMIT: Duration = Duration::from_secs(600);

/// A request that goes to an upstream.
#[derive(Debug)]
pub(crate) struct Routed {
    /// The method.
    pub(crate) row: &'static MethodRow,
    /// Its parameters.
    pub(crate) params: Params,
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
}

/// Begins a call and waits until its upstream takes it.
///
/// # Errors
/// [`Failure`], recorded; nothing was sent unless it says that the outcome is unknown. Not cancel safe: dropping the
/// future cancels the call.
pub(crate) async fn start(proxy: &Proxy, admission: Admission, request: Routed) -> Result<Running, Failure> {
    let (admission, route) = find_route(proxy, admission, &request).await;
    let mut record = observe::begin(proxy, &admission, &request, route.as_ref().ok()).await?;
    let (row, logs) = (request.row, Wish::of(admission.client(), &request.params));
    let route =
        route.map_err(|_| Failure::Unknown { what: what(row.routing), name: shown(&request.params.key()) });
    match send(proxy, &admission, request, route, &mut record).await {
        Ok((permit, reply, deadline)) => {
            let shutdown = proxy.drain.over().clone();
            Ok(Running { admission, row, permit, reply, deadline, shutdown, record: Some(record), logs })
        }
        Err(failure) => {
            record.failed(&failure);
            Err(failure)
        }
    }
}

/// Finds the route. A name that is not known wakes lazy upstreams, and is waited for while upstreams are starting.
async fn find_route(
    proxy: &Proxy,
    admission: Admission,
    request: &Routed,
) -> (Admission, Result<Route, NoRoute>) {
    let find = |admission: &Admission| {
        let (view, scope) = (admission.view(), &admission.principal().servers);
        admission.world().catalog.route(view, request.row.routing, &request.params.key(), scope)
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

/// Route, permit, screen, credential, upstream: each step takes the proof of the one before.
async fn send(
    proxy: &Proxy,
    admission: &Admission,
    request: Routed,
    route: Result<Route, Failure>,
    record: &mut Record,
) -> Result<(Permit, Reply, Deadline), Failure> {
    let world = admission.world();
    let Routed { row, params } = request;
    let permit = world.policy.authorize(admission.principal(), route?).map_err(|denial| Failure::Denied {
        what: what(row.routing),
        name: shown(&params.key()),
        denial,
    })?;
    let outgoing = Outgoing { method: row, params, caller: caller(admission) };
    let outgoing = world.guardrails.screen_arguments(permit.subject(), outgoing)?;
    let credential = proxy.credentials.issue(&permit).map_err(|error| {
        tracing::warn!(upstream = %permit.subject().server, %error, "no credential");
        Failure::Credential(permit.subject().server.clone())
    })?;
    let deadline = Deadline::new(proxy.upstreams.timeout(&permit.subject().server));
    record.sent();
    let reply = {
        let sending = pin!(proxy.upstreams.call(&permit, outgoing, &credential));
        deadline.bound(&permit.subject().server, proxy.drain.over(), sending).await??
    };
    Ok((permit, reply, deadline))
}

fn caller(admission: &Admission) -> Caller {
    let client = admission.client();
    let log_level = client.session.as_ref().and_then(|session| session.log_level());
    let (client_info, log_level) = (client.info.clone(), log_level.map(Into::into));
    Caller { version: client.version, client_info, log_level, passed: client.passed }
}

const fn what(routing: Routing) -> &'static str {
    match routing {
        Routing::Tool | Routing::Local | Routing::List(_) => "tool",
        Routing::Prompt => "prompt",
        Routing::Resource => "resource",
        Routing::Reference => "reference",
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
        event
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
        Failure::Upstream(CallError::TooLarge { server: self.permit.subject().server.clone(), limit })
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
        chunk.inspect_err(|failure| {
            if let Some(record) = self.record.take() {
                record.failed(failure);
            }
        })
    }

    async fn wanted_event(&mut self) -> Result<Cleared<Event>, Failure> {
        loop {
            let subject = self.permit.subject();
            let event =
                self.deadline.bound(&subject.server, &self.shutdown, pin!(self.reply.next())).await??;
            let event = self.admission.world().guardrails.screen_result(subject, event)?;
            self.refuse_input_request(event.get())?;
            if self.is_wanted(event.get()) {
                return Ok(event);
            }
        }
    }

    /// Progress gives the call more time; a final answer ends its record, unless it is still arriving.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Notification { method, .. } if &**method == PROGRESS => self.deadline.extend(),
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
            Event::Notification { .. } | Event::Result(_) | Event::Error(_) => true,
        }
    }

    /// A modern upstream may answer `input_required`; a legacy client cannot take that as a result.
    fn refuse_input_request(&self, event: &Event) -> Result<(), Failure> {
        let Event::Result(Payload::Whole(result)) = event else { return Ok(()) };
        if self.client_era() == Era::Modern || self.upstream_era() == Era::Legacy {
            return Ok(());
        }
        let asks = memchr::memmem::find(result, b"input_required").is_some()
            && Object::parse(result, &[])
                .is_ok_and(|r| r.string("resultType").as_deref() == Some("input_required"));
        if asks { Err(Failure::NeedsInput { server: self.permit.subject().server.clone() }) } else { Ok(()) }
    }
}

const PROGRESS: &str = "notifications/progress";

/// How long a call may still take.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    idle: Duration,
    until: Instant,
    hard: Instant,
}

impl Deadline {
    fn new(idle: Duration) -> Self {
        let now = Instant::now();
        Self { idle, until: now + idle.min(HARD_LIMIT), hard: now + HARD_LIMIT }
    }

    /// Starts the time anew, within the hard limit.
    fn extend(&mut self) {
        self.until = (Instant::now() + self.idle).min(self.hard);
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
        let limit = if self.until == self.hard { HARD_LIMIT } else { self.idle };
        Failure::Timeout { server: server.clone(), limit_ms: limit.as_millis() as u64 }
    }
}

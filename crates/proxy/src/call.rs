//! The one path of a call, from an admitted request to its upstream and back. Every request that reaches an
//! upstream on a caller's behalf takes it: tools, prompts, resources, completions.

mod addressed;
mod cached;
mod deadline;
mod gathering;
mod own_tasks;
mod running;
mod state;

use std::{pin::pin, sync::Arc, time::Duration};

use catalog::{NoRoute, Route, View};
use domain::{Subject, Target};
use policy::Permit;
use protocol::{MethodRow, Params, Routing};
use tokio::time::Instant;
use upstream::{CallError, Caller, Outgoing, Reply, SharedSession};

use self::{addressed::Addressed, cached::Reading, deadline::Deadline, own_tasks::Listed, state::Sealing};
pub(crate) use self::{deadline::HARD_LIMIT, running::Running};
use crate::{
    Configured, Proxy,
    admission::Admission,
    error::{Asked, Failure, shown},
    logs::Wish,
    observe::{self, Note, Record},
    result_kind::Expected,
};

/// How often a call is judged again because its server was changed before it was sent.
const MAX_WORLDS: usize = 4;

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
    let sealing = Sealing::of(proxy, &admission, row, &request.params);
    let listed = Listed::of(proxy, &admission, row);
    let route = route.map_err(|_| absent(proxy, &admission, &request));
    match send(proxy, &admission, request, route, sealing.as_ref(), &mut record).await {
        Ok(Sent { permit, reply, deadline, reading }) => {
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
                listed,
                sealing,
                reading,
                asked,
                gathering: None,
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
    let caller = (admission.principal(), admission.company(&proxy.identity));
    let server = proxy.tasks.server(caller, view, catalog.server_ids(), task);
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

/// A call that its upstream has taken.
struct Sent {
    permit: Permit,
    reply: Reply,
    deadline: Deadline,
    /// The read that the result may be kept for.
    reading: Option<Reading>,
}

/// Route, permit, limits, screen, credential, upstream: each step takes the proof of the one before.
async fn send(
    proxy: &Proxy,
    admission: &Admission,
    request: Routed,
    route: Result<Route, Failure>,
    sealing: Option<&Sealing>,
    record: &mut Record,
) -> Result<Sent, Failure> {
    let world = &admission.world().configured;
    let Routed { row, params, time, .. } = request;
    let permit = world.policy.authorize(admission.principal(), route?).map_err(|denial| Failure::Denied {
        what: what(row.routing),
        name: shown(&params.key()),
        denial,
    })?;
    within_limits(world, admission, permit.subject())?;
    let params = sealing.map_or(Ok(params), |sealing| sealing.opened(&permit))?;
    let reading = Reading::of(proxy, admission, &permit, row, &params);
    let mut deadline = Deadline::new(proxy.upstreams.timeout(&permit.subject().server), time);
    if row.waits_for_work {
        deadline.suspend();
    }
    if let Some(reply) = reading.as_ref().and_then(Reading::before) {
        return Ok(Sent { permit, reply, deadline, reading: None });
    }
    let outgoing = Outgoing { method: row, params, caller: caller(admission) };
    let outgoing = world.guardrails.screen_arguments(permit.subject(), outgoing)?;
    let mut addressed = Addressed::new(&world.credentials, permit)?;
    record.sent();
    for _ in 0..MAX_WORLDS {
        let sent = {
            let sending = pin!(proxy.upstreams.call(&addressed.permit, &outgoing, &addressed.credential));
            deadline.bound(addressed.server(), proxy.drain.over(), sending).await?
        };
        match sent {
            Ok(reply) => return Ok(Sent { permit: addressed.permit, reply, deadline, reading }),
            // The server was changed before anything was sent to it.
            Err(CallError::ForeignCredential(_)) => addressed = addressed.anew(proxy, admission).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Upstream(CallError::ForeignCredential(addressed.server().clone())))
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

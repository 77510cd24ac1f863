//! Subscriptions to single things: `resources/subscribe` and `resources/unsubscribe` (specification 2025-11-25,
//! resources), and the resources and tasks that a modern client names in `subscriptions/listen`. Judged and written down
//! like a read; what keeps a server telling is `upstream`'s, and what a client is told, judged anew each time, is in
//! `updates`.

use std::time::Duration;

use bytes::Bytes;
use catalog::Route;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use protocol::{MethodRow, Params, Routing};
use tokio::time::{Instant, timeout_at};
use upstream::{AGREEMENT_LIMIT, CallError, WatchError, Watcher};

use crate::{
    Proxy,
    admission::Admission,
    call::Routed,
    error::{Failure, Holder, shown},
    observe::{self, Note},
};

/// The method that begins a subscription.
const SUBSCRIBE: &str = "resources/subscribe";
/// The method that names a task.
const GET_TASK: &str = "tasks/get";
/// The method that ends a subscription.
const UNSUBSCRIBE: &str = "resources/unsubscribe";
/// What a successful request of these is answered with.
const DONE: &[u8] = b"{}";
/// How long the subscriptions that a modern client names together may take. What is not agreed to by then is left out
/// of the acknowledgement, which the client waits for.
const TOGETHER_LIMIT: Duration = Duration::from_secs(10);

/// Something that a client names: it is judged, and called when it is not there, as by the method that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A resource, by its URI.
    Resource,
    /// A task, by its id. Only whoever is known to have started it hears of it.
    Task,
}

/// Tells whether a method begins or ends a subscription.
pub(super) fn is_about(row: &MethodRow) -> bool {
    matches!(row.name, SUBSCRIBE | UNSUBSCRIBE)
}

/// Answers `resources/subscribe` or `resources/unsubscribe` of a client with a session.
///
/// # Errors
/// [`Failure`], recorded: for a resource that cannot be read the same as for reading it.
pub(super) async fn answer(
    proxy: &Proxy,
    admission: Admission,
    row: &'static MethodRow,
    params: Params,
) -> Result<Bytes, Failure> {
    let session = admission.client().session.clone().ok_or(Failure::UnknownMethod)?;
    let watcher = session.watcher(proxy);
    if row.name == UNSUBSCRIBE {
        return unsubscribe(proxy, admission, watcher, row, params).await;
    }
    subscribe(proxy, admission, watcher, row, (Kind::Resource, params)).await?;
    Ok(Bytes::from_static(DONE))
}

/// Has those of `named` watched that the caller may read and their servers agree to; returns them in order.
pub(super) async fn subscribe_together(
    proxy: &Proxy,
    admission: &Admission,
    watcher: &Watcher,
    row: &'static MethodRow,
    named: &[(Kind, String)],
) -> Vec<(Kind, String)> {
    let until = Instant::now() + TOGETHER_LIMIT;
    let asking = named.iter().enumerate().map(async |(at, (kind, name))| {
        let asking = subscribe(proxy, admission.clone(), watcher, row, (*kind, kind.params(name)?));
        timeout_at(until, asking).await.ok()?.ok().map(|()| at)
    });
    let mut asking: FuturesUnordered<_> = asking.collect();
    let mut agreed = Vec::new();
    while let Some(answered) = asking.next().await {
        agreed.extend(answered);
    }
    agreed.sort_unstable();
    agreed.into_iter().map(|at| named[at].clone()).collect()
}

/// Routes, records, judges and watches: each step takes the proof of the one before.
async fn subscribe(
    proxy: &Proxy,
    admission: Admission,
    watcher: &Watcher,
    row: &'static MethodRow,
    (kind, params): (Kind, Params),
) -> Result<(), Failure> {
    let what = kind.what();
    let (admission, route) = route(proxy, admission, kind, &params).await;
    let request = Routed { row, params, asked: None, time: None };
    let mut record = observe::begin(proxy, &admission, &Note::routed(&request, route.as_ref())).await?;
    let name = || shown(&request.params.key());
    let watching = async {
        let route = route.ok_or_else(|| Failure::Unknown { what, name: name() })?;
        let world = &admission.world().configured;
        let permit = world
            .policy
            .authorize(admission.principal(), route)
            .map_err(|denial| Failure::Denied { what, name: name(), denial })?;
        world.guardrails.screen_arguments(permit.subject(), request.params.raw())?;
        record.sent();
        watcher.watch(&permit).await.map_err(|error| failure(error, what, name()))
    };
    match watching.await {
        Ok(()) => {
            record.answered(&Bytes::from_static(DONE));
            Ok(())
        }
        Err(failure) => {
            record.failed(&failure);
            Err(failure)
        }
    }
}

/// Ends a subscription. A caller may always end its own, and one that is not there has ended.
async fn unsubscribe(
    proxy: &Proxy,
    admission: Admission,
    watcher: &Watcher,
    row: &'static MethodRow,
    params: Params,
) -> Result<Bytes, Failure> {
    let (admission, route) = route(proxy, admission, Kind::Resource, &params).await;
    let request = Routed { row, params, asked: None, time: None };
    let record = observe::begin(proxy, &admission, &Note::routed(&request, route.as_ref())).await?;
    let led = route.as_ref().and_then(|route| Some((&route.subject().server, route.upstream_key()?)));
    let left = led.map(|(server, uri)| watcher.unwatch(Some(server), &uri)).unwrap_or_default();
    if left.is_empty() {
        // What it was subscribed to may since lead elsewhere, or nowhere.
        watcher.unwatch(None, &request.params.key());
    }
    let done = Bytes::from_static(DONE);
    record.answered(&done);
    Ok(done)
}

/// Finds the route to what is named. For an unknown one lazy upstreams are woken, and those that are starting waited
/// for.
async fn route(
    proxy: &Proxy,
    admission: Admission,
    kind: Kind,
    params: &Params,
) -> (Admission, Option<Route>) {
    let find = |admission: &Admission| match kind {
        Kind::Resource => {
            let (view, sight) = (admission.view(), admission.sight());
            admission.world().catalog.route(view, Routing::Resource, &params.key(), &sight).ok()
        }
        Kind::Task => own_task(proxy, admission, &params.key()),
    };
    match find(&admission) {
        None => {
            proxy.settle().await;
            let admission = admission.refreshed(proxy);
            let route = find(&admission);
            (admission, route)
        }
        route => (admission, route),
    }
}

/// Finds the route to a task that the caller is known to have started.
fn own_task(proxy: &Proxy, admission: &Admission, id: &str) -> Option<Route> {
    let (catalog, view, caller) = (&admission.world().catalog, admission.view(), admission.principal());
    let known = (caller, admission.company(&proxy.identity));
    let server = proxy.tasks.server(known, view, catalog.server_ids(), id)?;
    let is_own = proxy.tasks.is_own(&caller.key(), &server, id);
    is_own.then(|| catalog.task_route(view, &server, id).ok()).flatten()
}

impl Kind {
    const fn what(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Task => "task",
        }
    }

    /// Makes the parameters of a request for one thing of this kind.
    fn params(self, name: &str) -> Option<Params> {
        let (method, member) = match self {
            Self::Resource => (SUBSCRIBE, "uri"),
            Self::Task => (GET_TASK, "taskId"),
        };
        let row = protocol::method(method)?;
        Params::parse(Some(serde_json::json!({ member: name }).to_string().into()), row).ok()
    }
}

fn failure(error: WatchError, what: &'static str, name: String) -> Failure {
    let reason = error.to_string();
    match error {
        WatchError::Unsupported(server) => Failure::NoSubscriptions(server),
        // What servers say of resources that they do not know, in either era.
        WatchError::Refused { code: -32002 | -32602, .. } | WatchError::LeftOut(_) | WatchError::TooLong => {
            Failure::Unknown { what, name }
        }
        WatchError::Refused { server, .. } => Failure::Upstream(CallError::Protocol { server, what: reason }),
        WatchError::Full { limit } => Failure::Subscriptions { holder: Holder::Client, limit },
        WatchError::ServerFull { server, limit } => {
            Failure::Subscriptions { holder: Holder::Upstream(server), limit }
        }
        WatchError::Late(server) => Failure::Timeout { server, limit_ms: AGREEMENT_LIMIT.as_millis() as u64 },
        WatchError::NoTopic => Failure::Internal,
        WatchError::Call(error) => Failure::Upstream(error),
    }
}

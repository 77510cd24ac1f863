//! The operations port: metrics for Prometheus, the state for `toolgate status`. It has no tokens of its own and
//! belongs on loopback.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::ServerId;
use parking_lot::Mutex;
use prometheus_client::{encoding::text::encode, registry::Registry};
use proxy::{Proxy, Reloads, Snapshot, Snapshots};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use upstream::{ServerState, Upstreams};

/// The media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the operations port shows.
pub struct Operations {
    /// The counters.
    pub registry: Arc<Mutex<Registry>>,
    /// The data plane.
    pub proxy: Arc<Proxy>,
    /// The world in force.
    pub snapshots: Arc<Snapshots>,
    /// The upstreams.
    pub upstreams: Upstreams,
    /// Where the port is bound; beside loopback names only this address is accepted as a host name.
    pub address: std::net::SocketAddr,
    /// Servers of the configuration that are not started.
    pub left_out: Arc<ArcSwap<Vec<LeftOut>>>,
    /// What became of reloads.
    pub reloads: Reloads,
}

/// A server of the configuration that is not started.
pub struct LeftOut {
    server: ServerId,
    state: &'static str,
    reason: Option<String>,
}

impl LeftOut {
    /// One that is switched off.
    pub const fn disabled(server: ServerId) -> Self {
        Self { server, state: "disabled", reason: None }
    }

    /// One whose entry is faulty.
    pub const fn faulty(server: ServerId, reason: String) -> Self {
        Self { server, state: "invalid", reason: Some(reason) }
    }

    fn shown(&self) -> Value {
        json!({"name": self.server.as_str(), "state": self.state, "reason": self.reason})
    }
}

/// Serves the operations port until `stopping` completes.
///
/// # Errors
/// [`std::io::Error`] when the listener breaks.
pub async fn serve(
    listener: TcpListener,
    operations: Arc<Operations>,
    stopping: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .layer(from_fn_with_state(operations.clone(), only_local_names))
        .with_state(operations);
    axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).await
}

/// Refuses requests under a foreign host name, and any from a web page (DNS rebinding).
async fn only_local_names(
    State(operations): State<Arc<Operations>>,
    request: Request,
    next: Next,
) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_local =
        matches!(name, "localhost" | "127.0.0.1" | "[::1]") || name == operations.address.ip().to_string();
    if is_local && hosts.next().is_none() && !request.headers().contains_key(header::ORIGIN) {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

async fn metrics(State(operations): State<Arc<Operations>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &operations.registry.lock()) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(State(operations): State<Arc<Operations>>) -> axum::response::Json<Value> {
    let world = operations.snapshots.current();
    let states = operations.upstreams.states();
    let running = states.iter().map(|state| shown(state, &world));
    let left_out = operations.left_out.load();
    let servers: Vec<Value> = running.chain(left_out.iter().map(LeftOut::shown)).collect();
    axum::response::Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": world.revision,
        "settled": world.settled,
        "sessions": operations.proxy.sessions(),
        "servers": servers,
        "reload": operations.reloads.to_json(),
    }))
}

fn shown(state: &ServerState, world: &Snapshot) -> Value {
    json!({
        "name": state.server.as_str(),
        "transport": state.transport,
        "state": state.health.as_str(),
        "reason": state.reason,
        "era": state.era().map(protocol::Era::as_str),
        "version": state.version.map(protocol::Version::as_str),
        "tools": world.catalog.tool_count(&state.server),
        "in_flight": state.in_flight,
        "restarts": state.restarts,
        "pid": state.pid,
        "stderr": state.stderr,
        "findings": state.findings,
    })
}

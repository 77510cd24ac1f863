//! `/health` (the process answers) and `/ready` (it takes work), for probes and for scripts.

use std::net::SocketAddr;

use catalog::Sight;
use http::{HeaderValue, Method, Response, StatusCode, header};
use identity::{Authenticated, Peer, Presented};
use serde_json::json;

use super::{body::ReplyBody, refusal::Refusal};
use crate::{Proxy, admission};

/// Answers 200 as long as the process runs.
pub(super) fn health(method: &Method) -> Result<Response<ReplyBody>, Refusal> {
    only_get(method)?;
    Ok(plain(StatusCode::OK, "application/json", r#"{"status":"ok"}"#.to_owned()))
}

/// Answers 200 while new work is taken, else 503. Local callers also see the state of each upstream.
pub(super) fn ready(
    proxy: &Proxy,
    method: &Method,
    peer: SocketAddr,
) -> Result<Response<ReplyBody>, Refusal> {
    only_get(method)?;
    let accepting = proxy.drain.is_accepting();
    let mut body = json!({"status": if accepting { "ready" } else { "stopping" }});
    if let Some(caller) = local_caller(proxy, peer) {
        let states = proxy.upstreams.states();
        let world = proxy.snapshots.current();
        let sight = world.configured.policy.sight(caller.principal());
        let seen = states.iter().filter(|state| sight.sees_server(&state.server));
        let servers = seen.map(|state| (state.server.to_string(), json!(state.health.as_str())));
        body["servers"] = servers.collect::<serde_json::Map<_, _>>().into();
    }
    let status = if accepting { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(plain(status, "application/json", body.to_string()))
}

/// A caller on this machine who needs no token. Where tokens are needed, a proxy may stand on this machine with the
/// whole world behind it.
fn local_caller(proxy: &Proxy, peer: SocketAddr) -> Option<Authenticated> {
    let presented = Presented { bearer: None, peer: Peer::Loopback };
    admission::authenticate(proxy, presented).ok().filter(|_| peer.ip().is_loopback())
}

fn only_get(method: &Method) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD) { Ok(()) } else { Err(Refusal::MethodNotAllowed) }
}

fn plain(status: StatusCode, media_type: &'static str, body: String) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Whole(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

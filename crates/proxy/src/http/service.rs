//! From an HTTP request to its answer: path, guard, caller, method.

use std::{net::SocketAddr, pin::pin, sync::Arc};

use catalog::View;
use domain::ServerId;
use http::{HeaderMap, Method, Request, Response, header};
use hyper::body::Incoming;
use identity::{AuthError, Authenticated, Peer, Presented};

use super::{
    body::ReplyBody, connection::Connections, health, legacy, panics, post, refusal::Refusal, rings, sse,
    streams,
};
use crate::{
    Proxy,
    admission::{self, Door, Viewpoint},
};

/// Where a path leads.
enum Place {
    Endpoint(View),
    /// Where a stream of HTTP+SSE is opened.
    Stream(View),
    /// Where its messages are posted.
    Messages(View),
    Health,
    Ready,
}

/// Answers one request. Every refusal is counted; those of the guard and of identity are audited.
pub(super) async fn serve(
    connections: Arc<Connections>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let proxy = connections.proxy();
    let asks_gateway = request.headers().contains_key(upstream::DEPTH_HEADER);
    let answering = pin!(answer(&connections, peer, request));
    match panics::guarded(None, answering).await {
        Ok(mut response) => {
            if asks_gateway {
                rings::tell(proxy, &mut response);
            }
            response
        }
        Err(refusal) => {
            proxy.metrics.refused(refusal.reason());
            if refusal.is_audited() {
                proxy.audit_refusal(refusal.reason(), peer);
            }
            refusal.into_response()
        }
    }
}

async fn answer(
    connections: &Arc<Connections>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Refusal> {
    let proxy = connections.proxy();
    connections.guard().check(request.uri(), request.headers())?;
    match place(request.uri().path()).ok_or(Refusal::NotFound)? {
        Place::Health => health::health(request.method()),
        Place::Ready => health::ready(proxy, request.method(), peer),
        Place::Endpoint(view) => {
            let caller = authenticate(proxy, peer, request.headers())?;
            endpoint(proxy, Viewpoint { caller, door: Door::Http, view }, request).await
        }
        Place::Stream(view) => {
            let caller = authenticate(proxy, peer, request.headers())?;
            let viewpoint = Viewpoint { caller, door: Door::Sse, view };
            only(&Method::GET, &request)?;
            sse::open(proxy, connections.streams(), viewpoint, request.uri(), request.headers())
        }
        Place::Messages(view) => {
            let caller = authenticate(proxy, peer, request.headers())?;
            let viewpoint = Viewpoint { caller, door: Door::Sse, view };
            only(&Method::POST, &request)?;
            sse::message(proxy, connections.streams(), viewpoint, request).await
        }
    }
}

fn only(method: &Method, request: &Request<Incoming>) -> Result<(), Refusal> {
    if request.method() == method { Ok(()) } else { Err(Refusal::MethodNotAllowed) }
}

async fn endpoint(
    proxy: &Arc<Proxy>,
    viewpoint: Viewpoint,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Refusal> {
    match *request.method() {
        Method::POST => post::post(proxy, viewpoint, request).await,
        Method::GET => streams::open(proxy, &viewpoint, request.headers()),
        Method::DELETE => legacy::delete(proxy, &viewpoint, request.headers()),
        _ => Err(Refusal::MethodNotAllowed),
    }
}

/// The paths of the data port. Everything else, whatever it may mean elsewhere, is not here.
fn place(path: &str) -> Option<Place> {
    match path {
        "/mcp" => Some(Place::Endpoint(View::All)),
        "/sse" => Some(Place::Stream(View::All)),
        "/messages" => Some(Place::Messages(View::All)),
        "/health" => Some(Place::Health),
        "/ready" => Some(Place::Ready),
        _ => {
            let rest = path.strip_prefix("/mcp/")?;
            match rest.split_once('/') {
                None => server(rest).map(Place::Endpoint),
                Some((name, "sse")) => server(name).map(Place::Stream),
                Some((name, "messages")) => server(name).map(Place::Messages),
                Some(_) => None,
            }
        }
    }
}

/// Reads the path segment that names a server.
fn server(segment: &str) -> Option<View> {
    ServerId::new(percent_decoded(segment)?).ok().map(View::Server)
}

/// Decodes `%XX` in a path segment; `None` when it is malformed or no UTF-8.
fn percent_decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn authenticate(proxy: &Proxy, peer: SocketAddr, headers: &HeaderMap) -> Result<Authenticated, Refusal> {
    let peer = if peer.ip().is_loopback() { Peer::Loopback } else { Peer::Network };
    let presented = Presented { bearer: bearer(headers), peer };
    admission::authenticate(proxy, presented).map_err(|error| {
        if let AuthError::TokensUnavailable(reason) = &error {
            tracing::error!(%reason, "access tokens cannot be read; nobody is let in");
        }
        Refusal::Unauthorized(error)
    })
}

/// Returns the token of `Authorization: Bearer`; anything else in that header is an empty token, which nobody has.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let first = values.next()?;
    let text = first.to_str().unwrap_or_default();
    let token = match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        Some(_) | None => "",
    };
    Some(if values.next().is_none() { token } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let leads = |path: &str| match place(path) {
            Some(Place::Endpoint(View::All)) => "all".to_owned(),
            Some(Place::Endpoint(View::Server(server))) => server.to_string(),
            Some(Place::Stream(View::All)) => "stream of all".to_owned(),
            Some(Place::Stream(View::Server(server))) => format!("stream of {server}"),
            Some(Place::Messages(View::All)) => "messages of all".to_owned(),
            Some(Place::Messages(View::Server(server))) => format!("messages of {server}"),
            Some(Place::Health) => "health".to_owned(),
            Some(Place::Ready) => "ready".to_owned(),
            None => "nowhere".to_owned(),
        };
        let cases = [
            ("/mcp", "all"),
            ("/mcp/git", "git"),
            ("/mcp/my%20server", "my server"),
            ("/mcp/", "nowhere"),
            ("/mcp/a/b", "nowhere"),
            ("/sse", "stream of all"),
            ("/messages", "messages of all"),
            ("/mcp/sse", "sse"),
            ("/mcp/my%20server/sse", "stream of my server"),
            ("/mcp/git/messages", "messages of git"),
            ("/mcp//sse", "nowhere"),
            ("/mcp/a/b/sse", "nowhere"),
            ("/sse/", "nowhere"),
            ("/mcp/%zz", "nowhere"),
            ("/mcp/%0a", "nowhere"),
            ("/metrics", "nowhere"),
            ("/.env", "nowhere"),
            ("/admin", "nowhere"),
            ("/health", "health"),
            ("/ready", "ready"),
        ];
        for (path, expected) in cases {
            assert_eq!(leads(path), expected, "{path}");
        }
    }
}

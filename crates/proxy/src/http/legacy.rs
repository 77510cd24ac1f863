//! The legacy era over HTTP: `initialize` opens a session, everything else names one, DELETE ends it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use protocol::{Era, Message, Notification, Request, RequestId, Version, encode};

use super::{
    body::ReplyBody,
    post::{Extent, accepted},
    refusal::Refusal,
    reply,
};
use crate::{
    Proxy,
    admission::{Admission, Client, Viewpoint},
    methods, notified,
    session::{OpenError, Opening, Session},
};

/// The header that names a session.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Answers a legacy message.
pub(super) async fn post(
    proxy: &Arc<Proxy>,
    viewpoint: Viewpoint,
    headers: &HeaderMap,
    message: Message,
    extent: Extent,
) -> Result<Response<ReplyBody>, Refusal> {
    check_version(headers, id_of(&message))?;
    match message {
        Message::Request(request) if &*request.method == "initialize" => {
            initialize(proxy, viewpoint, &request)
        }
        Message::Request(request) => {
            let session = session(proxy, &viewpoint, headers, Some(&request.id))?;
            let admission = Admission::new(proxy, viewpoint, Client::of_session(session, extent.passed));
            Ok(reply::respond(proxy.clone(), admission, request, extent.accepts).await)
        }
        Message::Notification(note) => {
            let session = session(proxy, &viewpoint, headers, None)?;
            notified(proxy, &session, &note);
            Ok(accepted())
        }
        Message::Response(response) => {
            session(proxy, &viewpoint, headers, None)?.asked().answer(response);
            Ok(accepted())
        }
    }
}

/// Takes a client's notification.
pub(super) fn notified(proxy: &Proxy, session: &Arc<Session>, note: &Notification) {
    notified::take(proxy, Some(session), session.cancellable(), note);
}

/// DELETE: ends a session.
pub(super) fn delete(
    proxy: &Proxy,
    viewpoint: &Viewpoint,
    headers: &HeaderMap,
) -> Result<Response<ReplyBody>, Refusal> {
    check_legacy(headers)?;
    if !headers.contains_key(SESSION) {
        return Err(Refusal::MethodNotAllowed);
    }
    proxy.sessions.close(&*session(proxy, viewpoint, headers, None)?);
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Finds the session that a request names; it must be this caller's, at this endpoint.
pub(super) fn session(
    proxy: &Proxy,
    viewpoint: &Viewpoint,
    headers: &HeaderMap,
    id: Option<&RequestId>,
) -> Result<Arc<Session>, Refusal> {
    let mut named = headers.get_all(SESSION).iter();
    let handle = named.next().ok_or_else(|| Refusal::NoSession(id.cloned()))?;
    let unknown = || Refusal::UnknownSession(id.cloned());
    let handle = handle.to_str().ok().filter(|_| named.next().is_none()).ok_or_else(unknown)?;
    proxy.sessions.find(handle, &viewpoint.caller.principal().key(), &viewpoint.view).map_err(|_| unknown())
}

fn initialize(
    proxy: &Proxy,
    viewpoint: Viewpoint,
    request: &Request,
) -> Result<Response<ReplyBody>, Refusal> {
    let opened = methods::initialize(proxy, &viewpoint, request.params.as_ref());
    let opened = match opened {
        Ok(opened) => opened,
        Err(failure) => return Ok(reply::failed(&failure, &request.id, Era::Legacy)),
    };
    let opening = Opening {
        owner: viewpoint.caller.principal().key(),
        view: viewpoint.view,
        version: opened.version,
        client_info: opened.client_info,
        capabilities: opened.capabilities,
    };
    let session = proxy.sessions.open(opening).map_err(|error| match error {
        OpenError::NoRandomness => Refusal::NoRandomness,
        OpenError::TooMany => Refusal::TooManySessions(request.id.clone()),
    })?;
    let mut response = Response::new(ReplyBody::Whole(encode::result(&request.id, &opened.result).into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(SESSION, HeaderValue::from_str(session.id()).expect("a session id is hexadecimal"));
    Ok(response)
}

/// `MCP-Protocol-Version` may be absent (then it is 2025-03-26 or older); a revision that we do not speak is refused.
pub(super) fn check_version(headers: &HeaderMap, id: Option<&RequestId>) -> Result<(), Refusal> {
    version(headers, id).map(drop)
}

/// The same for GET and DELETE, which are of the legacy era alone (specification 2026-07-28, transports).
pub(super) fn check_legacy(headers: &HeaderMap) -> Result<(), Refusal> {
    match version(headers, None)?.map(Version::era) {
        Some(Era::Modern) => Err(Refusal::MethodNotAllowed),
        Some(Era::Legacy) | None => Ok(()),
    }
}

/// Reads `MCP-Protocol-Version`.
fn version(headers: &HeaderMap, id: Option<&RequestId>) -> Result<Option<Version>, Refusal> {
    let Some(value) = headers.get("mcp-protocol-version") else { return Ok(None) };
    let text = value.to_str().unwrap_or("?");
    let unknown = |_| Refusal::Version { id: id.cloned(), requested: crate::error::shown(text) };
    text.parse().map(Some).map_err(unknown)
}

/// Returns the id of a request.
pub(super) const fn id_of(message: &Message) -> Option<&RequestId> {
    match message {
        Message::Request(request) => Some(&request.id),
        Message::Notification(_) | Message::Response(_) => None,
    }
}

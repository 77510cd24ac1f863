//! POST: one JSON-RPC message of either era.

use std::sync::Arc;

use catalog::View;
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use identity::Authenticated;
use protocol::{Malformed, Message};

use super::{body::ReplyBody, legacy, modern, receive, refusal::Refusal, reply, rings};
use crate::{
    Proxy,
    admission::{Admission, Client, Door},
};

/// What the client can take as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// Either form; JSON for a single message, an event stream for several.
    Both,
    /// Only `application/json`.
    OnlyJson,
    /// Only `text/event-stream`.
    OnlyEvents,
}

/// What the transport says beside the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// What the client can take as an answer.
    pub(super) accepts: Accepts,
    /// How many gateways the request has passed before this one.
    pub(super) passed: u32,
}

/// Answers a POST of an authenticated caller.
pub(super) async fn post(
    proxy: &Arc<Proxy>,
    caller: Authenticated,
    view: View,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Refusal> {
    if !proxy.drain.is_accepting() {
        return Err(Refusal::ShuttingDown);
    }
    receive::check_media_type(request.headers())?;
    let accepts = accepts(request.headers())?;
    let passed = rings::passed(request.headers())?;
    let (head, body) = request.into_parts();
    let body = receive::receive(body, proxy.limits.request_bytes(), proxy.limits.body_timeout()).await?;
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::Batch);
    }
    let message = Message::parse(&body).map_err(Refusal::Malformed)?;
    match message {
        Message::Request(request)
            if modern::is_modern(&head.headers, &request.method, request.params.as_deref()) =>
        {
            let version = modern::check(&head.headers, &request)?;
            let admission = Admission::new(proxy, caller, Door::Http, view, Client::modern(version, passed));
            let (world, scope) = (admission.world(), &admission.principal().servers);
            modern::check_param_headers(&head.headers, &request, world, admission.view(), scope)?;
            Ok(reply::respond(proxy.clone(), admission, request, accepts).await)
        }
        // The modern era has no client notifications over HTTP; one is taken and means nothing.
        Message::Notification(note)
            if modern::is_modern(&head.headers, &note.method, note.params.as_deref()) =>
        {
            Ok(accepted())
        }
        Message::Response(response) if modern::is_modern(&head.headers, "", None) => {
            let reason =
                protocol::Unreadable::Invalid("a client sends no responses in this revision".to_owned());
            Err(Refusal::Malformed(Malformed { reason, id: response.id }))
        }
        message => {
            legacy::post(proxy, caller, view, &head.headers, message, Extent { accepts, passed }).await
        }
    }
}

/// The answer to a notification that was taken.
pub(super) fn accepted() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// Reads `Accept`. A missing header, or one for anything, stands for both forms, as older clients send it.
fn accepts(headers: &HeaderMap) -> Result<Accepts, Refusal> {
    let Some(value) = headers.get(header::ACCEPT) else { return Ok(Accepts::Both) };
    let text = value.to_str().map_err(|_| Refusal::NotAcceptable)?.to_ascii_lowercase();
    let mut ranges = text.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    let (mut json, mut events) = (false, false);
    for range in ranges.by_ref() {
        json |= matches!(range, "*/*" | "application/*" | "application/json");
        events |= matches!(range, "*/*" | "text/*" | "text/event-stream");
    }
    match (json, events) {
        (true, true) => Ok(Accepts::Both),
        (true, false) => Ok(Accepts::OnlyJson),
        (false, true) => Ok(Accepts::OnlyEvents),
        (false, false) => Err(Refusal::NotAcceptable),
    }
}

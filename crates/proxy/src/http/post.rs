//! POST: one JSON-RPC message of either era; what holds several is `batch`'s.

use std::{pin::pin, sync::Arc};

use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use protocol::{Malformed, Message};

use super::{batch, body::ReplyBody, legacy, modern, panics, receive, refusal::Refusal, reply, rings};
use crate::{
    Proxy,
    admission::{Admission, Client, Viewpoint},
    batch::is_batch,
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
    viewpoint: Viewpoint,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Refusal> {
    if !proxy.drain.is_accepting() {
        return Err(Refusal::ShuttingDown);
    }
    receive::check_media_type(request.headers())?;
    let accepts = accepts(request.headers())?;
    let passed = rings::passed(request.headers())?;
    let (head, body) = request.into_parts();
    let body = receive::receive(body, &proxy.limits, &proxy.arriving).await?;
    if is_batch(&body) {
        return batch::post(proxy, &viewpoint, &head.headers, &body, Extent { accepts, passed });
    }
    let message = Message::parse(&body).map_err(Refusal::Malformed)?;
    let id = legacy::id_of(&message).cloned();
    let answering = pin!(answer(proxy, viewpoint, &head.headers, message, Extent { accepts, passed }));
    panics::guarded(id, answering).await
}

/// Answers a single message of either era.
async fn answer(
    proxy: &Arc<Proxy>,
    viewpoint: Viewpoint,
    headers: &HeaderMap,
    message: Message,
    extent: Extent,
) -> Result<Response<ReplyBody>, Refusal> {
    match message {
        Message::Request(request)
            if modern::is_modern(headers, &request.method, request.params.as_deref()) =>
        {
            let version = modern::check(headers, &request)?;
            let admission = Admission::new(proxy, viewpoint, Client::modern(version, extent.passed));
            modern::check_param_headers(headers, &request, &admission)?;
            Ok(reply::respond(proxy.clone(), admission, request, extent.accepts).await)
        }
        // The modern era has no client notifications over HTTP; one is taken and means nothing.
        Message::Notification(note) if modern::is_modern(headers, &note.method, note.params.as_deref()) => {
            Ok(accepted())
        }
        Message::Response(response) if modern::is_modern(headers, "", None) => {
            let reason =
                protocol::Unreadable::Invalid("a client sends no responses in this revision".to_owned());
            Err(Refusal::Malformed(Malformed { reason, id: response.id }))
        }
        message => legacy::post(proxy, viewpoint, headers, message, extent).await,
    }
}

/// The answer to a notification that was taken.
pub(super) fn accepted() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// Reads every line of `Accept`. A missing header, or one for anything, stands for both forms, as older clients send it.
pub(super) fn accepts(headers: &HeaderMap) -> Result<Accepts, Refusal> {
    if !headers.contains_key(header::ACCEPT) {
        return Ok(Accepts::Both);
    }
    let (mut json, mut events) = (false, false);
    for range in media_ranges(headers) {
        json |= matches!(&*range, "*/*" | "application/*" | "application/json");
        events |= matches!(&*range, "*/*" | "text/*" | "text/event-stream");
    }
    match (json, events) {
        (true, true) => Ok(Accepts::Both),
        (true, false) => Ok(Accepts::OnlyJson),
        (false, true) => Ok(Accepts::OnlyEvents),
        (false, false) => Err(Refusal::NotAcceptable),
    }
}

/// Returns the media ranges of all `Accept` lines, in small letters and without parameters (RFC 9110, 5.3 and 12.5.1).
/// A line that is no text names none.
pub(super) fn media_ranges(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_accept_line_counts() {
        let read = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::ACCEPT, HeaderValue::from_static(line));
            }
            accepts(&headers).ok()
        };
        let cases: [(&[&'static str], Option<Accepts>); 7] = [
            (&[], Some(Accepts::Both)),
            (&["application/json"], Some(Accepts::OnlyJson)),
            (&["text/event-stream;q=0.5"], Some(Accepts::OnlyEvents)),
            (&["application/json", "TEXT/event-stream"], Some(Accepts::Both)),
            (&["text/html", "application/json, text/event-stream"], Some(Accepts::Both)),
            (&["text/html", "image/*"], None),
            (&[""], None),
        ];
        for (lines, expected) in cases {
            assert_eq!(read(lines), expected, "{lines:?}");
        }
    }
}

//! Takes in the body of a request: bounded in size and time, without copying when it comes in one piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::refusal::Refusal;

/// Checks that the body is plain JSON. Compressed bodies are refused, so there is nothing to bomb.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let media_type =
        text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_plain =
        text(header::CONTENT_ENCODING).is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    if media_type.eq_ignore_ascii_case("application/json") && is_plain {
        Ok(())
    } else {
        Err(Refusal::MediaType)
    }
}

/// Receives a body of at most `limit` bytes within `time`.
pub(super) async fn receive(body: Incoming, limit: usize, time: Duration) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge { limit });
    }
    tokio::time::timeout(time, collect(body, limit)).await.map_err(|_| Refusal::TooSlow)?
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BrokenBody)?.into_data() else { continue };
        if whole.len() + joined.len() + data.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        if whole.is_empty() && joined.is_empty() {
            whole = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { whole } else { joined.freeze() })
}

//! GET: a legacy client's standing stream, on which it hears of changes.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Response};
use protocol::sse;

use super::{body::ReplyBody, legacy, post, refusal::Refusal, reply};
use crate::{Proxy, admission::Viewpoint, places::Place, standing::Standing};

/// Opens the standing stream of a session.
pub(super) fn open(
    proxy: &Arc<Proxy>,
    viewpoint: &Viewpoint,
    headers: &HeaderMap,
) -> Result<Response<ReplyBody>, Refusal> {
    let accepts_events = post::media_ranges(headers).any(|range| range == "text/event-stream");
    if !accepts_events || !headers.contains_key("mcp-session-id") {
        return Err(Refusal::MethodNotAllowed);
    }
    let session = legacy::session(proxy, viewpoint, headers, None)?;
    let place = proxy.stand().ok_or(Refusal::TooManyStreams)?;
    let standing = Standing::new(proxy, viewpoint.clone(), session);
    Ok(reply::events(ReplyBody::stream(stream(proxy.clone(), standing, place))))
}

/// The stream ends with its session, or when the gateway stops.
fn stream(
    proxy: Arc<Proxy>,
    standing: Standing,
    place: Place,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let opened = futures_util::stream::iter([Ok(Bytes::from_static(sse::KEEP_ALIVE))]);
    let following = futures_util::stream::unfold(
        (proxy, standing, place),
        |(proxy, mut standing, place)| async move {
            let session = Arc::clone(standing.session());
            let chunk = tokio::select! {
                messages = standing.next(&proxy) => messages.iter().flat_map(|message| sse::encode(message)).collect(),
                () = tokio::time::sleep(proxy.limits.sse_keep_alive()) => sse::KEEP_ALIVE.to_vec(),
                () = session.closed().cancelled() => return None,
                () = proxy.drain.stopping().cancelled() => return None,
            };
            Some((Ok(Bytes::from(chunk)), (proxy, standing, place)))
        },
    );
    futures_util::StreamExt::chain(opened, following)
}

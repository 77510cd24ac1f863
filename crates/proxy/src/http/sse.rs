//! HTTP+SSE, the transport of revision 2024-11-05: GET opens the stream on which everything comes to the client, and
//! tells it where to POST its messages. Between the two is the same message stream as on stdio (`duplex`). When the
//! stream ends its session ends; what runs then goes on until its caller's token is revoked, and its answers are dropped.

mod open;
mod stream;

use std::sync::Arc;

use http::{HeaderMap, Request, Response, Uri};
use hyper::body::Incoming;
use protocol::Message;

pub(super) use self::open::OpenStreams;
use self::stream::Writing;
use super::{
    body::ReplyBody,
    post::{self, Accepts},
    receive,
    refusal::Refusal,
    reply, rings,
};
use crate::{
    Proxy,
    admission::Viewpoint,
    batch,
    duplex::{Arrival, Duplex},
};

/// GET: opens a stream. `uri` is its own address, from which that of its messages follows.
pub(super) fn open(
    proxy: &Arc<Proxy>,
    streams: &Arc<OpenStreams>,
    viewpoint: Viewpoint,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response<ReplyBody>, Refusal> {
    if !proxy.drain.is_accepting() {
        return Err(Refusal::ShuttingDown);
    }
    match post::accepts(headers) {
        Ok(Accepts::Both | Accepts::OnlyEvents) => {}
        Ok(Accepts::OnlyJson) | Err(_) => return Err(Refusal::EventsNotAcceptable),
    }
    let place = proxy.stand().ok_or(Refusal::TooManyStreams)?;
    let caller = viewpoint.caller.clone();
    let (duplex, messages) = Duplex::new(proxy.clone(), viewpoint);
    let open = streams.enter(duplex).map_err(|_| Refusal::NoRandomness)?;
    let endpoint = stream::endpoint(uri.path(), open.id());
    let writing = Writing::new(proxy.clone(), open, &caller, messages, place);
    Ok(reply::events(ReplyBody::stream(writing.into_chunks(endpoint))))
}

/// POST: takes a message, or a batch of a revision that has them. The answers come on the stream.
pub(super) async fn message(
    proxy: &Proxy,
    streams: &OpenStreams,
    viewpoint: Viewpoint,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Refusal> {
    if !proxy.drain.is_accepting() {
        return Err(Refusal::ShuttingDown);
    }
    receive::check_media_type(request.headers())?;
    let passed = rings::passed(request.headers())?;
    let duplex = find(streams, &viewpoint, request.uri())?;
    let (_, body) = request.into_parts();
    let body = receive::receive(body, &proxy.limits, &proxy.arriving).await?;
    let arrival = Arrival { caller: Some(viewpoint.caller), passed };
    if batch::is_batch(&body) {
        if !duplex.has_batches() {
            return Err(Refusal::Batch);
        }
        let texts = batch::split(&body).map_err(Refusal::Malformed)?;
        duplex.take_batch(texts.iter().map(Message::parse).collect(), &arrival);
    } else {
        duplex.take(Message::parse(&body).map_err(Refusal::Malformed)?, arrival).await;
    }
    Ok(post::accepted())
}

/// Finds the stream that the address names; it must be this caller's, at this endpoint.
fn find(streams: &OpenStreams, viewpoint: &Viewpoint, uri: &Uri) -> Result<Arc<Duplex>, Refusal> {
    let mut named =
        uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix(SESSION_ID));
    let id = named.next().ok_or(Refusal::NoStream)?;
    let duplex = streams.find(id).filter(|_| named.next().is_none());
    duplex
        .filter(|duplex| duplex.is_of(&viewpoint.caller.principal().key()) && duplex.is_at(&viewpoint.view))
        .ok_or(Refusal::UnknownStream)
}

/// How an address of messages names its stream.
const SESSION_ID: &str = "sessionId=";

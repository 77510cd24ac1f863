//! GET: a legacy client's standing stream, on which it hears what belongs to no request; or, with `Last-Event-ID`, a
//! stream that broke and goes on where it was (specification 2025-11-25, transports, resumability).
//!
//! An id that means nothing here, because it is too old or of another session, gives nothing: in place of a standing
//! stream a new one begins, in place of an answer there is a stream without an event. A 404 would say that the session is
//! over.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Response};
use protocol::sse;
use tokio::time::{Instant, sleep_until};

use super::{
    body::ReplyBody,
    legacy, post,
    refusal::Refusal,
    reply::{
        self,
        watched::{Patience, Watched},
    },
};
use crate::{
    Proxy,
    admission::Viewpoint,
    places::Place,
    session::{EventId, Greeting, Leaving, Listener, Piece, Session, StreamKind},
    vouching::Lost,
};

/// Opens a standing stream of a session, or goes on with a stream that broke.
pub(super) fn open(
    proxy: &Arc<Proxy>,
    viewpoint: &Viewpoint,
    headers: &HeaderMap,
) -> Result<Response<ReplyBody>, Refusal> {
    legacy::check_legacy(headers)?;
    let accepts_events = post::media_ranges(headers).any(|range| range == "text/event-stream");
    if !accepts_events || !headers.contains_key("mcp-session-id") {
        return Err(Refusal::MethodNotAllowed);
    }
    let session = legacy::session(proxy, viewpoint, headers, None)?;
    let place = proxy.stand().ok_or(Refusal::TooManyStreams)?;
    let found = last_event(headers).map(|event| (event, session.events().find(event)));
    let body = match found {
        Some((event, Some(stream))) if event.stream.kind() == StreamKind::Call => {
            let leaving = Leaving::GoOn(proxy.drain.tasks().clone());
            let reader = stream.resume(event.number, None, leaving);
            let revoked = proxy.vouching.revoked(&viewpoint.caller);
            let reader = reader.take_until(revoked).map(move |chunk| {
                let _place = &place;
                chunk
            });
            watched(proxy, reader)
        }
        Some((event, None)) if event.stream.kind() == StreamKind::Call => {
            ReplyBody::Whole(Bytes::from_static(sse::KEEP_ALIVE))
        }
        Some((_, None)) | None => {
            let greeting = reply::greeting(&session, Greeting::Comment);
            let stream = session.events().open(StreamKind::Standing, None);
            let source = Box::pin(standing(proxy, viewpoint, session, place));
            watched(proxy, stream.begin(source, greeting, Leaving::End))
        }
        Some((event, Some(stream))) => {
            let source = Box::pin(standing(proxy, viewpoint, session, place));
            watched(proxy, stream.resume(event.number, Some(source), Leaving::End))
        }
    };
    Ok(reply::events(body))
}

/// Reads the id of the last event that the client has; one that is not ours is none.
fn last_event(headers: &HeaderMap) -> Option<EventId> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// A client that does not read is cut off.
fn watched(proxy: &Proxy, chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> ReplyBody {
    ReplyBody::stream(Watched::new(chunks, Patience::with_standing(&proxy.limits)))
}

/// What a standing stream tells, for as long as its session and its caller's right to it last.
struct Telling {
    proxy: Arc<Proxy>,
    listener: Listener,
    /// Completes when the caller may not listen any more.
    lost: Lost,
    /// When the client gets a sign of life next.
    due: Instant,
    _place: Place,
}

fn standing(
    proxy: &Arc<Proxy>,
    viewpoint: &Viewpoint,
    session: Arc<Session>,
    place: Place,
) -> impl Stream<Item = io::Result<Piece>> + Send + use<> {
    let telling = Telling {
        proxy: Arc::clone(proxy),
        listener: Listener::new(session, viewpoint.clone()),
        lost: proxy.vouching.lost(&viewpoint.caller),
        due: Instant::now() + proxy.limits.sse_keep_alive(),
        _place: place,
    };
    futures_util::stream::unfold(telling, |mut telling| async move {
        let piece = telling.next().await?;
        Some((Ok(piece), telling))
    })
}

impl Telling {
    /// Waits for what comes next; `None` when the session is over, the gateway stops, or the caller may not listen any
    /// more.
    async fn next(&mut self) -> Option<Piece> {
        let Self { proxy, listener, lost, due, .. } = self;
        let session = Arc::clone(listener.session());
        tokio::select! {
            biased;
            () = session.closed().cancelled() => None,
            () = proxy.drain.stopping().cancelled() => None,
            () = lost => None,
            () = sleep_until(*due) => {
                *due = Instant::now() + proxy.limits.sse_keep_alive();
                Some(Piece::Alive)
            }
            messages = listener.next(proxy) => Some(Piece::Messages(messages)),
        }
    }
}

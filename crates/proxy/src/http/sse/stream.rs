//! What comes on a stream: where to POST, then messages, and signs of life. It ends with the caller's right to it, and
//! then the calls that run for it end as well.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use identity::Authenticated;
use protocol::sse;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    super::reply::watched::{Patience, Watched},
    SESSION_ID,
    open::OpenStream,
};
use crate::{Proxy, places::Place, vouching::Lost};

/// A stream that is being written.
pub(super) struct Writing {
    proxy: Arc<Proxy>,
    /// `None` once the gateway stops: then only the answers of running requests are still to come.
    open: Option<OpenStream>,
    /// Completes when the caller may not listen any more.
    lost: Lost,
    messages: mpsc::Receiver<Bytes>,
    /// When the client gets a sign of life next.
    due: Instant,
    _place: Place,
}

/// Returns the first event of the stream at `path`: the address of its messages, beside its own.
pub(super) fn endpoint(path: &str, id: &str) -> Bytes {
    let parent = path.strip_suffix("/sse").unwrap_or_default();
    format!("event: endpoint\ndata: {parent}/messages?{SESSION_ID}{id}\n\n").into()
}

impl Writing {
    /// Makes a stream of which nothing is written yet.
    pub(super) fn new(
        proxy: Arc<Proxy>,
        open: OpenStream,
        caller: &Authenticated,
        messages: mpsc::Receiver<Bytes>,
        place: Place,
    ) -> Self {
        let due = Instant::now() + proxy.limits.sse_keep_alive();
        let lost = proxy.vouching.lost(caller);
        Self { proxy, open: Some(open), lost, messages, due, _place: place }
    }

    /// Writes the stream until its client goes. When the gateway stops, it ends after the last answer of a running
    /// request. A client that does not read is cut off.
    pub(super) fn into_chunks(self, endpoint: Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let patience = Patience::with_standing(&self.proxy.limits);
        let following = futures_util::stream::unfold(self, |mut writing| async move {
            let chunk = writing.next().await?;
            Some((Ok(chunk), writing))
        });
        Watched::new(futures_util::stream::iter([Ok(endpoint)]).chain(following), patience)
    }

    async fn next(&mut self) -> Option<Bytes> {
        let stopping = self.proxy.drain.stopping().clone();
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled(), if self.open.is_some() => drop(self.open.take()),
                () = &mut self.lost => return self.end(),
                () = sleep_until(self.due) => {
                    self.due = Instant::now() + self.proxy.limits.sse_keep_alive();
                    return Some(Bytes::from_static(sse::KEEP_ALIVE));
                }
                message = self.messages.recv() => return message.map(|message| sse::encode(&message).into()),
            }
        }
    }

    /// Ends the stream, and with it what its caller has running.
    fn end(&mut self) -> Option<Bytes> {
        if let Some(open) = self.open.take() {
            open.cancel_all();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_posted_beside_the_stream() {
        for (path, expected) in [
            ("/sse", "/messages?sessionId=0f"),
            ("/mcp/git/sse", "/mcp/git/messages?sessionId=0f"),
            ("/mcp/my%20server/sse", "/mcp/my%20server/messages?sessionId=0f"),
        ] {
            assert_eq!(endpoint(path, "0f"), format!("event: endpoint\ndata: {expected}\n\n"));
        }
    }
}

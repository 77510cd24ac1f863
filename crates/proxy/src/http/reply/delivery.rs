//! From the pieces of an answer to the body of its response: whom it is for decides what becomes of it when that client
//! goes or does not read.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use protocol::{RequestId, Version};
use tokio_util::task::TaskTracker;

use super::{
    framing::{Framing, on_one_line},
    watched::{Patience, Watched},
};
use crate::{
    detached::Detached,
    http::body::ReplyBody,
    session::{Greeting, Leaving, Piece, Session, StreamKind},
};

/// Whom an answer is for.
pub(super) struct Recipient {
    /// The session of a legacy client.
    pub(super) session: Option<Arc<Session>>,
    /// The request that is answered.
    pub(super) request: RequestId,
    /// Where the call of a legacy client goes on when it went away.
    pub(super) tasks: TaskTracker,
    /// How long its client may take.
    pub(super) patience: Patience,
}

impl Recipient {
    /// Makes the body of an answer that is written while it arrives. A modern client that goes cancels its call; a legacy
    /// one does not, and may come back for its events. One that does not read counts as gone.
    pub(super) fn body(
        self,
        pieces: impl Stream<Item = io::Result<Piece>> + Send + 'static,
        framing: Framing,
    ) -> ReplyBody {
        match (self.session, framing) {
            (Some(session), Framing::Events) => {
                let pieces = Box::pin(pieces.map(|piece| piece.map(on_one_line)));
                let stream = session.events().open(StreamKind::Call, Some(self.request));
                let leaving = Leaving::GoOn(self.tasks);
                let reader = stream.begin(pieces, greeting(&session, Greeting::None), leaving);
                ReplyBody::stream(Watched::new(reader, self.patience))
            }
            (Some(_), Framing::Json) => {
                let chunks = Watched::new(written(pieces, framing), self.patience);
                ReplyBody::stream(Detached::stream(self.tasks, chunks))
            }
            (None, _) => ReplyBody::stream(Watched::new(written(pieces, framing), self.patience)),
        }
    }
}

fn written(
    pieces: impl Stream<Item = io::Result<Piece>> + Send,
    framing: Framing,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    pieces.map(move |piece| piece.map(|piece| framing.write(piece)))
}

/// Returns how a new stream begins for the client of this session; `otherwise` says how it does for one of a revision
/// that knows no priming event.
pub(in crate::http) fn greeting(session: &Session, otherwise: Greeting) -> Greeting {
    if session.version() >= Version::V2025_11_25 { Greeting::Priming } else { otherwise }
}

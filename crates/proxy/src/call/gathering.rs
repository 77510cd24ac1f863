//! A large result that must be judged as a whole: it is collected as far as one of its kind can be large. A larger one
//! is an answer, and passed on while it arrives.

use bytes::Bytes;
use guardrails::Cleared;
use upstream::{Event, Payload, ResultStream};

/// Largest result that is looked into for what it is.
pub(super) const JUDGED_BYTES: usize = 256 * 1024;

/// What has arrived of such a result. It is kept with its call, so that who stops waiting loses nothing.
pub(super) struct Gathering {
    screened: Cleared<()>,
    stream: ResultStream,
    chunks: Vec<Bytes>,
    bytes: usize,
}

/// How far it has come.
pub(super) enum Gathered {
    /// More is to come.
    Partly(Gathering),
    /// All of it is there.
    Whole(Cleared<Event>),
    /// It is larger; nothing of it is lost.
    Streamed(Cleared<Event>),
}

impl Gathering {
    /// Begins with a result that arrives in pieces; gives back what is none.
    pub(super) fn begin(event: Cleared<Event>) -> Result<Self, Cleared<Event>> {
        let is_streamed = matches!(event.get(), Event::Result(Payload::Streamed(_)));
        if !is_streamed {
            return Err(event);
        }
        let mut taken = None;
        let screened = event.map(|event| taken = Some(event));
        match taken {
            Some(Event::Result(Payload::Streamed(stream))) => {
                Ok(Self { screened, stream, chunks: Vec::new(), bytes: 0 })
            }
            Some(other) => Err(screened.map(|()| other)),
            None => unreachable!("the event was moved just now"),
        }
    }

    /// Returns where the next chunk comes from.
    pub(super) const fn stream(&mut self) -> &mut ResultStream {
        &mut self.stream
    }

    /// Adds the next chunk; `None` is the end of the result.
    pub(super) fn take(mut self, chunk: Option<Bytes>) -> Gathered {
        let Some(chunk) = chunk else {
            let whole = Payload::Whole(self.chunks.concat().into());
            return Gathered::Whole(self.screened.map(|()| Event::Result(whole)));
        };
        self.bytes += chunk.len();
        self.chunks.push(chunk);
        if self.bytes <= JUDGED_BYTES {
            return Gathered::Partly(self);
        }
        // As they came: a large result is not copied.
        self.stream.give_back(self.chunks);
        Gathered::Streamed(self.screened.map(|()| Event::Result(Payload::Streamed(self.stream))))
    }
}

//! The ids of events, `<stream>-<number>`: which stream of a session, and how far along it. Each session numbers its
//! streams from a random number on (`session.rs`), so an id says nothing in another session, nor after a restart.

use std::{fmt, str::FromStr};

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// It carries the answer to one request (POST).
    Call,
    /// It carries what belongs to no request (GET).
    Standing,
}

/// A stream of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamId {
    kind: StreamKind,
    number: u64,
}

/// An event of one session. Number 0 is the place before the first event of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    /// Its stream.
    pub(crate) stream: StreamId,
    /// Its number on the stream.
    pub(crate) number: u64,
}

/// A text that is no id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no event id of the gateway")]
pub(crate) struct NoEventId;

impl StreamId {
    /// Names the stream with this number.
    pub(super) const fn new(kind: StreamKind, number: u64) -> Self {
        Self { kind, number }
    }

    /// Returns what the stream is for.
    pub(crate) const fn kind(self) -> StreamKind {
        self.kind
    }

    /// Names an event of the stream.
    pub(super) const fn event(self, number: u64) -> EventId {
        EventId { stream: self, number }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.stream.kind {
            StreamKind::Call => 'c',
            StreamKind::Standing => 's',
        };
        write!(f, "{kind}{:x}-{}", self.stream.number, self.number)
    }
}

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (stream, number) = text.split_once('-').ok_or(NoEventId)?;
        let kind = match stream.get(..1) {
            Some("c") => StreamKind::Call,
            Some("s") => StreamKind::Standing,
            Some(_) | None => return Err(NoEventId),
        };
        let stream = u64::from_str_radix(&stream[1..], 16).map_err(|_| NoEventId)?;
        Ok(StreamId::new(kind, stream).event(number.parse().map_err(|_| NoEventId)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        for kind in [StreamKind::Call, StreamKind::Standing] {
            for stream in [0, 12, u64::MAX] {
                let id = StreamId::new(kind, stream).event(u64::MAX);
                assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
        let long = ["c1-18446744073709551616", "c10000000000000000-1"];
        for foreign in ["", "-", "c-1", "c1", "x1-1", "c1-", "c1-x", "cx-1", "ä1-1"].into_iter().chain(long)
        {
            assert_eq!(foreign.parse::<EventId>(), Err(NoEventId), "{foreign}");
        }
    }
}

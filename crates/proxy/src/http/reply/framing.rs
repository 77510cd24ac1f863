//! How the pieces of an answer stand in the body of its response: one JSON message, or events. Events of a session have
//! ids and are kept; those get their frames where they are kept (`session/events`).

use bytes::Bytes;
use protocol::sse;

use crate::{answer, session::Piece};

/// How messages stand in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One JSON message, nothing else.
    Json,
    /// Events with one message each.
    Events,
}

impl Framing {
    /// Writes a piece. A client that takes only a single JSON message gets none but the last.
    pub(super) fn write(self, piece: Piece) -> Bytes {
        match self {
            Self::Json => in_json(piece),
            Self::Events => in_events(on_one_line(piece)),
        }
    }
}

/// White space before a JSON message is a sign of life.
fn in_json(piece: Piece) -> Bytes {
    match piece {
        Piece::Alive | Piece::Messages(_) => Bytes::from_static(b" "),
        Piece::Last(text) | Piece::Begin(text) | Piece::More(text) | Piece::End(text) => text,
    }
}

fn in_events(piece: Piece) -> Bytes {
    match piece {
        Piece::Alive => Bytes::from_static(sse::KEEP_ALIVE),
        Piece::Messages(messages) => messages.iter().flat_map(|message| sse::encode(message)).collect(),
        Piece::Last(message) => sse::encode(&message).into(),
        Piece::Begin(head) => [b"event: message\ndata: ", &head[..]].concat().into(),
        Piece::More(part) => part,
        Piece::End(rest) => [&rest[..], b"\n\n"].concat().into(),
    }
}

/// In an event a line end would begin a new field. In JSON one can only be white space between tokens.
pub(super) fn on_one_line(piece: Piece) -> Piece {
    match piece {
        Piece::Begin(head) => Piece::Begin(answer::on_one_line(head)),
        Piece::More(part) => Piece::More(answer::on_one_line(part)),
        Piece::End(rest) => Piece::End(answer::on_one_line(rest)),
        whole @ (Piece::Alive | Piece::Messages(_) | Piece::Last(_)) => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(framing: Framing, pieces: &[Piece]) -> Vec<u8> {
        pieces.iter().flat_map(|piece| framing.write(piece.clone())).collect()
    }

    #[test]
    fn a_large_message_is_one_message_in_either_framing() {
        let texts = ["{\"a\":[\n", "1,\r\n2", "]}"].map(|text| Bytes::from_static(text.as_bytes()));
        let [head, part, rest] = texts;
        let note = Piece::Messages(vec![Bytes::from_static(b"{}")]);
        let pieces = [note, Piece::Alive, Piece::Begin(head), Piece::More(part), Piece::End(rest)];
        assert_eq!(written(Framing::Json, &pieces), b"  {\"a\":[\n1,\r\n2]}");
        let events =
            b"event: message\ndata: {}\n\n: keep-alive\n\nevent: message\ndata: {\"a\":[ 1,  2]}\n\n";
        assert_eq!(written(Framing::Events, &pieces), events);
    }
}

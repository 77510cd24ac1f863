//! The events of one stream: each gets its number and its frame here, and is kept for a client that comes back, as far
//! as there is room. The oldest go first. What does not fit is sent all the same; it only cannot be sent again.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use protocol::sse;

use super::{
    budget::{Budget, Room},
    id::StreamId,
};

/// Most events that one stream keeps: as many as wait for a client that does not listen.
const MAX_EVENTS: usize = 256;
/// Most bytes that one stream keeps. An answer of usual size fits, and so do some hundred notifications.
const MAX_BYTES: usize = 256 * 1024;
/// What an event costs beside its text.
const EVENT_COST: usize = size_of::<Kept>();

/// A part of the answer to a request, or something else to be told, on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A sign of life.
    Alive,
    /// Complete messages that others may follow.
    Messages(Vec<Bytes>),
    /// The complete last message.
    Last(Bytes),
    /// The beginning of a large last message.
    Begin(Bytes),
    /// More of it.
    More(Bytes),
    /// The rest of it.
    End(Bytes),
}

/// The events of one stream.
#[derive(Debug)]
pub(super) struct Log {
    stream: StreamId,
    budget: Arc<Budget>,
    kept: VecDeque<Kept>,
    bytes: usize,
    last: u64,
    arriving: Option<Arriving>,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    frame: Bytes,
    room: Room,
}

/// The event after the last one, which is not complete yet.
#[derive(Debug)]
enum Arriving {
    Kept(Vec<u8>, Room),
    /// It is too large to be kept.
    Lost,
}

/// How much of a stream a reader has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The last event that it has completely, or knows to have missed.
    pub(super) number: u64,
    /// Whether it has a part of the event that is arriving.
    pub(super) has_part: bool,
}

/// What a reader gets from what is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A chunk, and how much the reader has with it.
    Chunk(Bytes, Cursor),
    /// It has everything.
    Nothing,
    /// What comes next cannot be sent to it again.
    Lost,
}

impl Log {
    /// Makes an empty log that keeps its events within `budget`.
    pub(super) const fn new(stream: StreamId, budget: Arc<Budget>) -> Self {
        Self { stream, budget, kept: VecDeque::new(), bytes: 0, last: 0, arriving: None }
    }

    /// Returns the number of the last complete event.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// Enters a piece; returns the chunk to write, and how much a reader has who had everything before.
    pub(super) fn enter(&mut self, piece: Piece) -> (Bytes, Cursor) {
        let chunk = match piece {
            Piece::Alive => Bytes::from_static(sse::KEEP_ALIVE),
            Piece::Last(message) => self.add(&message),
            Piece::Messages(messages) => match &*messages {
                [message] => self.add(message),
                several => several.iter().flat_map(|message| self.add(message)).collect::<Vec<u8>>().into(),
            },
            Piece::Begin(head) => self.begin(&head),
            Piece::More(part) => {
                self.extend(&part);
                part
            }
            Piece::End(rest) => self.end(rest),
        };
        (chunk, Cursor { number: self.last, has_part: self.arriving.is_some() })
    }

    /// Returns what comes after `cursor`.
    pub(super) fn next(&self, cursor: Cursor) -> Next {
        if cursor.has_part {
            return Next::Nothing;
        }
        let at = self.kept.partition_point(|kept| kept.number <= cursor.number);
        if let Some(kept) = self.kept.get(at) {
            return Next::Chunk(kept.frame.clone(), Cursor { number: kept.number, has_part: false });
        }
        match &self.arriving {
            Some(Arriving::Kept(text, _)) => {
                let cursor = Cursor { number: self.last, has_part: true };
                Next::Chunk(Bytes::copy_from_slice(text), cursor)
            }
            Some(Arriving::Lost) => Next::Lost,
            None if cursor.number < self.last => Next::Lost,
            None => Next::Nothing,
        }
    }

    /// Tells whether an event has begun and is not complete.
    pub(super) const fn is_arriving(&self) -> bool {
        self.arriving.is_some()
    }

    /// An event that was arriving will not be complete any more.
    pub(super) fn break_off(&mut self) {
        if self.arriving.take().is_some() {
            self.last += 1;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.kept = VecDeque::new();
        self.bytes = 0;
    }

    fn add(&mut self, message: &Bytes) -> Bytes {
        let number = self.last + 1;
        let mut frame = self.id_line(number).into_bytes();
        frame.extend_from_slice(&sse::encode(message));
        let frame = Bytes::from(frame);
        self.last = number;
        if let Some(room) = self.make_room(frame.len() + EVENT_COST) {
            self.keep(frame.clone(), room);
        }
        frame
    }

    fn begin(&mut self, head: &Bytes) -> Bytes {
        let mut text = self.id_line(self.last + 1).into_bytes();
        text.extend_from_slice(b"event: message\ndata: ");
        text.extend_from_slice(head);
        let chunk = Bytes::copy_from_slice(&text);
        let room = self.make_room(text.len() + EVENT_COST);
        self.arriving = Some(room.map_or(Arriving::Lost, |room| Arriving::Kept(text, room)));
        chunk
    }

    fn extend(&mut self, part: &Bytes) {
        if let Some(Arriving::Kept(text, room)) = &mut self.arriving {
            if room.bytes() + part.len() <= MAX_BYTES && room.grow(part.len()) {
                text.extend_from_slice(part);
            } else {
                self.arriving = Some(Arriving::Lost);
            }
        }
    }

    fn end(&mut self, rest: Bytes) -> Bytes {
        let chunk = Bytes::from([&rest[..], b"\n\n"].concat());
        self.extend(&chunk);
        self.last += 1;
        if let Some(Arriving::Kept(text, room)) = self.arriving.take() {
            self.keep(text.into(), room);
        }
        chunk
    }

    fn keep(&mut self, frame: Bytes, room: Room) {
        self.bytes += room.bytes();
        self.kept.push_back(Kept { number: self.last, frame, room });
        while self.bytes > MAX_BYTES {
            self.drop_oldest();
        }
    }

    /// Takes room for an event, and drops older ones for it.
    fn make_room(&mut self, bytes: usize) -> Option<Room> {
        if bytes > MAX_BYTES {
            return None;
        }
        while self.kept.len() >= MAX_EVENTS || self.bytes + bytes > MAX_BYTES {
            self.drop_oldest();
        }
        loop {
            match self.budget.take(bytes) {
                None if self.kept.is_empty() => return None,
                None => self.drop_oldest(),
                room @ Some(_) => return room,
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.bytes -= oldest.room.bytes();
        }
    }

    fn id_line(&self, number: u64) -> String {
        format!("id: {}\n", self.stream.event(number))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::id::StreamKind, *};

    const START: Cursor = Cursor { number: 0, has_part: false };

    fn log(budget: usize) -> Log {
        Log::new(StreamId::new(StreamKind::Call, 7), Budget::new(budget))
    }

    /// Returns everything after `cursor`, and whether that is all there was.
    fn after(log: &Log, mut cursor: Cursor) -> (String, bool) {
        let mut text = String::new();
        loop {
            match log.next(cursor) {
                Next::Chunk(chunk, next) => {
                    text.push_str(std::str::from_utf8(&chunk).unwrap());
                    cursor = next;
                }
                Next::Nothing => return (text, true),
                Next::Lost => return (text, false),
            }
        }
    }

    fn message(text: &str) -> Piece {
        Piece::Messages(vec![Bytes::copy_from_slice(text.as_bytes())])
    }

    fn large(text: String) -> Bytes {
        text.into()
    }

    #[test]
    fn what_is_written_is_what_is_kept() {
        let mut log = log(MAX_BYTES);
        let pieces = [
            message("1"),
            Piece::Alive,
            Piece::Messages(vec![large("2".into()), large("3".into())]),
            Piece::Begin(large("4".into())),
            Piece::More(large("44".into())),
            Piece::End(large("4".into())),
        ];
        let mut written = String::new();
        for piece in pieces {
            let is_comment = piece == Piece::Alive;
            let (chunk, cursor) = log.enter(piece);
            assert_eq!(log.next(cursor), Next::Nothing, "who wrote it has it");
            if !is_comment {
                written.push_str(std::str::from_utf8(&chunk).unwrap());
            }
            assert_eq!(after(&log, START), (written.clone(), true));
        }
        assert!(written.starts_with("id: c7-1\nevent: message\ndata: 1\n\nid: c7-2\n"), "{written}");
        assert!(written.ends_with("id: c7-4\nevent: message\ndata: 4444\n\n"), "{written}");
        let (rest, _) = after(&log, Cursor { number: 3, has_part: false });
        assert_eq!(rest, "id: c7-4\nevent: message\ndata: 4444\n\n");
    }

    #[test]
    fn the_oldest_go_first() {
        let mut log = log(usize::MAX);
        for number in 0..MAX_EVENTS + 10 {
            log.enter(message(&number.to_string()));
        }
        let (text, is_all) = after(&log, START);
        assert!(is_all && text.starts_with("id: c7-11\n"), "{text}");
        let mut log = self::log(1_000);
        for _ in 0..100 {
            log.enter(message("x"));
        }
        assert!(log.budget.taken() <= 1_000);
        assert!(after(&log, START).0.ends_with("id: c7-100\nevent: message\ndata: x\n\n"));
        log.clear();
        assert_eq!((log.budget.taken(), after(&log, START)), (0, (String::new(), false)));
    }

    #[test]
    fn what_does_not_fit_cannot_be_sent_again() {
        let mut log = log(usize::MAX);
        log.enter(message("1"));
        log.enter(Piece::Begin(large("2".into())));
        log.enter(Piece::More(large("x".repeat(MAX_BYTES))));
        assert!(!after(&log, START).1, "while it arrives");
        log.enter(Piece::End(Bytes::new()));
        assert_eq!(after(&log, START), ("id: c7-1\nevent: message\ndata: 1\n\n".to_owned(), false));
        log.enter(Piece::Last(large("x".repeat(MAX_BYTES))));
        assert!(!after(&log, START).1);
        log.enter(Piece::Begin(Bytes::new()));
        log.break_off();
        assert_eq!(log.last(), 4);
        assert!(!after(&log, Cursor { number: 3, has_part: false }).1);
    }
}

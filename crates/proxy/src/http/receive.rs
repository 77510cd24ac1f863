//! Takes in the body of a request: bounded in size and time, and in what all bodies together may hold while they arrive;
//! without copying when it comes in one piece.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::{
    config::Limits,
    session::{Budget, Room},
};

/// What bodies may hold while they arrive, over all clients, in bytes. Whoever sends most of one and waits holds it for
/// `body_timeout_ms`.
const ARRIVING_BYTES: usize = 256 << 20;

/// What of that large bodies may fill, in bytes: up to three of the largest that can be configured, up to 48 of the largest
/// by default; often fewer, because what they are joined in doubles when it is full. The rest is for small ones alone.
const LARGE_ARRIVING_BYTES: usize = ARRIVING_BYTES / 4 * 3;

/// From how many bytes on a body is large: above nearly all calls.
const LARGE_BYTES: usize = 64 * 1024;

/// Makes the room for arriving bodies.
pub(crate) fn arriving() -> Arc<Budget> {
    Budget::new(ARRIVING_BYTES)
}

/// Checks that the body is plain JSON, and says so once. Compressed bodies are refused, so there is nothing to bomb.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let lines =
        |name: HeaderName| headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"));
    let mut media_types = lines(header::CONTENT_TYPE);
    let media_type = media_types.next().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json = media_type.eq_ignore_ascii_case("application/json") && media_types.next().is_none();
    let is_plain = lines(header::CONTENT_ENCODING).all(|coding| coding.eq_ignore_ascii_case("identity"));
    if is_json && is_plain { Ok(()) } else { Err(Refusal::MediaType) }
}

/// A body that arrives.
struct Arriving<'a> {
    limit: usize,
    /// What has arrived, if it came in one piece.
    whole: Bytes,
    /// What has arrived, if it came in several.
    joined: BytesMut,
    room: Option<Room>,
    budget: &'a Arc<Budget>,
}

/// Receives a body within the limits. What it holds until all of it is here comes out of `budget`; what comes at once
/// holds nothing. However many large bodies arrive, there is room for small ones.
pub(super) async fn receive(body: Incoming, limits: &Limits, budget: &Arc<Budget>) -> Result<Bytes, Refusal> {
    let limit = limits.request_bytes();
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge { limit });
    }
    let arriving = Arriving { limit, whole: Bytes::new(), joined: BytesMut::new(), room: None, budget };
    timeout(limits.body_timeout(), arriving.collect(body)).await.map_err(|_| Refusal::TooSlow)?
}

impl Arriving<'_> {
    async fn collect(mut self, mut body: Incoming) -> Result<Bytes, Refusal> {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::BrokenBody)?.into_data() else { continue };
            self.add(data)?;
            if body.is_end_stream() {
                break;
            }
            self.take_room()?;
        }
        Ok(if self.joined.is_empty() { self.whole } else { self.joined.freeze() })
    }

    fn add(&mut self, data: Bytes) -> Result<(), Refusal> {
        let arrived = self.whole.len() + self.joined.len();
        if arrived + data.len() > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        if arrived == 0 {
            self.whole = data;
        } else {
            self.joined.extend_from_slice(&std::mem::take(&mut self.whole));
            self.joined.extend_from_slice(&data);
        }
        Ok(())
    }

    /// Takes room for what is held now, before more is waited for.
    fn take_room(&mut self) -> Result<(), Refusal> {
        let held = self.whole.len().max(self.joined.capacity());
        let more = held.saturating_sub(self.room.as_ref().map_or(0, Room::bytes));
        let has_room = match &mut self.room {
            Some(room) => room.grow(more),
            None => {
                self.room = self.budget.take(more);
                self.room.is_some()
            }
        };
        // Looked at when it is taken: of several at once some may be refused that would have fitted, and none is too much.
        if has_room && (more == 0 || self.is_small() || self.budget.taken() <= LARGE_ARRIVING_BYTES) {
            return Ok(());
        }
        self.room = None;
        let limit = if self.is_small() { ARRIVING_BYTES } else { LARGE_ARRIVING_BYTES };
        Err(Refusal::NoRoom { limit })
    }

    fn is_small(&self) -> bool {
        self.whole.len() + self.joined.len() < LARGE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_line_about_the_body_counts() {
        let (json, identity) = (header::CONTENT_TYPE, header::CONTENT_ENCODING);
        let cases: [(&[(&HeaderName, &'static str)], bool); 8] = [
            (&[], false),
            (&[(&json, "application/json")], true),
            (&[(&json, "Application/JSON; charset=utf-8"), (&identity, "Identity")], true),
            (&[(&json, "application/json"), (&json, "application/json")], false),
            (&[(&json, "application/json"), (&json, "text/plain")], false),
            (&[(&json, "application/json"), (&identity, "identity"), (&identity, "gzip")], false),
            (&[(&json, "application/json"), (&identity, "identity"), (&identity, "identity")], true),
            (&[(&json, "application/json"), (&identity, "")], false),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(check_media_type(&headers).is_ok(), expected, "{lines:?}");
        }
    }

    fn arriving(budget: &Arc<Budget>) -> Arriving<'_> {
        let (whole, joined) = (Bytes::new(), BytesMut::new());
        Arriving { limit: 4 * LARGE_BYTES, whole, joined, room: None, budget }
    }

    #[test]
    fn what_arrives_holds_room_until_it_is_dropped() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (arriving(&budget), arriving(&budget));
        one.add(Bytes::from_static(&[b' '; 60])).unwrap();
        one.take_room().unwrap();
        assert_eq!(budget.taken(), 60);
        other.add(Bytes::from_static(&[b' '; 60])).unwrap();
        assert!(matches!(other.take_room(), Err(Refusal::NoRoom { .. })));
        assert_eq!(budget.taken(), 60, "what is refused holds nothing");
        drop(one);
        other.take_room().unwrap();
        drop(other);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn small_ones_have_room_in_pieces_when_large_ones_have_none() {
        let budget = super::arriving();
        let _taken = budget.take(LARGE_ARRIVING_BYTES).unwrap();
        let mut small = arriving(&budget);
        for _ in 0..3 {
            small.add(Bytes::from_static(&[b' '; 1_000])).unwrap();
            small.take_room().unwrap();
        }
        let mut large = arriving(&budget);
        large.add(vec![b' '; LARGE_BYTES - 1].into()).unwrap();
        large.take_room().unwrap();
        large.add(Bytes::from_static(b" ")).unwrap();
        assert!(matches!(large.take_room(), Err(Refusal::NoRoom { .. })), "it is large now");
        drop(small);
        assert_eq!(budget.taken(), LARGE_ARRIVING_BYTES, "what is refused holds nothing");
    }
}

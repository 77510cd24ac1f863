//! Collects the body of an answer as far as it is wanted whole. Copies only where a body comes in several pieces.

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// The connection ended before the body did, or its framing is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// A body of which a part is held.
pub(super) struct Collecting {
    /// None once the body was handed on.
    body: Option<Incoming>,
    held: Held,
}

/// How far [`Collecting::fill`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// All of the body is held.
    Whole,
    /// More than was asked for is held, or is announced, and something more may come.
    Beyond,
}

#[derive(Default)]
struct Held {
    first: Bytes,
    joined: BytesMut,
}

// === impl Collecting ===

impl Collecting {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body: Some(body), held: Held::default() }
    }

    /// Returns the body's length if its head tells it.
    pub(super) fn announced(&self) -> Option<u64> {
        let rest = self.body.as_ref()?.size_hint().exact()?;
        Some(rest + self.held.len() as u64)
    }

    /// Reads until the body ends or more than `bytes` are held. Cancel safe.
    pub(super) async fn fill(&mut self, bytes: usize) -> Result<Filled, Broken> {
        while self.held.len() <= bytes {
            if !self.fill_more().await? {
                return Ok(Filled::Whole);
            }
        }
        Ok(Filled::Beyond)
    }

    /// Reads one piece; returns whether more may come. Cancel safe.
    pub(super) async fn fill_more(&mut self) -> Result<bool, Broken> {
        let Some(body) = &mut self.body else { return Ok(false) };
        match body.frame().await {
            None => return Ok(false),
            Some(Err(_)) => return Err(Broken),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.held.push(data);
                }
            }
        }
        Ok(!body.is_end_stream())
    }

    /// Returns what is held.
    pub(super) fn held(&self) -> &[u8] {
        self.held.as_slice()
    }

    /// Takes what is held.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into_bytes()
    }

    /// Takes what is held, and the body from which the rest will come.
    pub(super) fn split(&mut self) -> (Bytes, Option<Incoming>) {
        (self.take(), self.body.take())
    }
}

// === impl Held ===

impl Held {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn as_slice(&self) -> &[u8] {
        if self.joined.is_empty() { &self.first } else { &self.joined }
    }

    fn push(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
        } else {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.joined.extend_from_slice(&piece);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

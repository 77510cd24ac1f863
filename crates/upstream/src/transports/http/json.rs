//! Reads an answer that is one JSON text, as far as it must be here before something can be handed on.

use bytes::Bytes;

use super::{
    body::{Broken, Collecting, Filled},
    envelope::{self, Head},
};

/// An answer up to this size is read as a whole, which costs a pooled connection the least.
const WHOLE_BYTES: usize = 64 * 1024;
/// Largest error object, and largest body of a refusal.
pub(super) const MAX_ERROR_BYTES: usize = 1024 * 1024;

/// What was found.
pub(super) enum Found {
    /// The whole text.
    Whole(Bytes),
    /// A result that begins at this byte of what is held, and is still arriving.
    Result(usize),
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadAnswer {
    /// The connection ended too early.
    Broken,
    /// The answer names another request.
    Foreign,
    /// Neither a result begins in it, nor is it an error of bearable size.
    Shapeless,
}

/// Reads until the text is whole or its result has begun; `id` is the JSON text of the request's id. Cancel safe.
pub(super) async fn find(body: &mut Collecting, id: &[u8]) -> Result<Found, BadAnswer> {
    let is_large = body.announced().is_some_and(|bytes| bytes > WHOLE_BYTES as u64);
    // What a large answer is shows in its first piece; the rest need not be waited for.
    let mut wanted = if is_large { 0 } else { WHOLE_BYTES };
    loop {
        if body.fill(wanted).await? == Filled::Whole {
            return Ok(Found::Whole(body.take()));
        }
        wanted = match envelope::scan_head(body.held()) {
            Head::Result { id: Some(place), .. } if body.held()[place.clone()] != *id => {
                return Err(BadAnswer::Foreign);
            }
            Head::Result { result, .. } => return Ok(Found::Result(result)),
            // Twice as much each time: it is looked at from its beginning.
            Head::Partial if body.held().len() <= WHOLE_BYTES => 2 * body.held().len(),
            Head::Other if body.held().len() <= MAX_ERROR_BYTES => MAX_ERROR_BYTES,
            Head::Partial | Head::Other => return Err(BadAnswer::Shapeless),
        };
    }
}

impl From<Broken> for BadAnswer {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

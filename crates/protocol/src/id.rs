//! The id of a JSON-RPC request, kept exactly as the client wrote it.

use std::fmt;

use smallvec::SmallVec;

/// Longest id that is accepted, in bytes of JSON text.
const MAX_ID_BYTES: usize = 512;

/// A request id: the JSON text of a string or a number, echoed byte for byte.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(SmallVec<[u8; 24]>);

impl RequestId {
    /// Accepts the JSON text of a string or a number (JSON-RPC 2.0 section 4; MCP forbids `null`).
    pub fn from_json(text: &str) -> Option<Self> {
        let is_string = text.starts_with('"');
        let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let sound = (is_string || is_number) && text.len() <= MAX_ID_BYTES;
        sound.then(|| Self(SmallVec::from_slice(text.as_bytes())))
    }

    /// Returns the id's JSON text.
    pub fn as_json(&self) -> &[u8] {
        &self.0
    }
}

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        Self(SmallVec::from_slice(number.to_string().as_bytes()))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

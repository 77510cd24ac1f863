//! The two eras of the protocol that the benchmark speaks, and which of them a stub answers.
//! What the eras mean on the wire is written where it is used: `stub::answers` and `load::requests`.

use clap::ValueEnum;
use serde::Serialize;

/// The revision named in modern requests.
pub const MODERN_VERSION: &str = "2026-07-28";
/// The revision named in legacy requests.
pub const LEGACY_VERSION: &str = "2025-11-25";
/// The `_meta` member whose presence makes a request modern.
pub const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";

/// The era of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Era {
    /// A handshake with `initialize`, then a session.
    Legacy,
    /// Stateless requests that carry their version.
    Modern,
}

impl Era {
    /// Returns the name as the command line writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// The eras that a stub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spoken {
    /// Only the legacy era; `server/discover` is an unknown method.
    Legacy,
    /// Only the modern era; `initialize` is an unknown method.
    Modern,
    /// Both, decided per request.
    Both,
}

impl Spoken {
    /// Tells whether requests of `era` are answered.
    pub const fn includes(self, era: Era) -> bool {
        match (self, era) {
            (Self::Both, Era::Legacy | Era::Modern)
            | (Self::Legacy, Era::Legacy)
            | (Self::Modern, Era::Modern) => true,
            (Self::Legacy, Era::Modern) | (Self::Modern, Era::Legacy) => false,
        }
    }
}

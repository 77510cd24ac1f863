//! Protocol revisions and the two eras they fall into.

use std::{fmt, str::FromStr};

/// How a revision keeps state: sessions opened by `initialize`, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: `initialize`, sessions, server-to-client requests.
    Legacy,
    /// 2026-07-28 and later: every request carries its version and capabilities.
    Modern,
}

impl Era {
    /// Returns the word used in audit, metrics and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// A revision of MCP that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 2024-11-05, HTTP+SSE.
    V2024_11_05,
    /// 2025-03-26, Streamable HTTP, batches.
    V2025_03_26,
    /// 2025-06-18, structured content, elicitation.
    V2025_06_18,
    /// 2025-11-25, the last with sessions.
    V2025_11_25,
    /// 2026-07-28, stateless.
    V2026_07_28,
}

/// A version string that names no revision we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol version")]
pub struct UnknownVersion;

impl Version {
    /// All revisions, newest first: the order in which we name them as supported.
    pub const ALL: [Self; 5] =
        [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26, Self::V2024_11_05];
    /// The newest revision of the legacy era, offered to a client whose own is unknown to us.
    pub const LATEST_LEGACY: Self = Self::V2025_11_25;
    /// The newest revision of the modern era.
    pub const LATEST_MODERN: Self = Self::V2026_07_28;

    /// Returns the revision's date, as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Returns the era of this revision.
    pub const fn era(self) -> Era {
        match self {
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => Era::Legacy,
            Self::V2026_07_28 => Era::Modern,
        }
    }

    /// Tells whether a client of this revision sends `MCP-Protocol-Version` after `initialize`.
    pub fn has_version_header(self) -> bool {
        self >= Self::V2025_06_18
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownVersion)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! What one upstream offers, as it told us: raw JSON items, untouched.

use std::time::Instant;

use bytes::Bytes;
use protocol::{Era, ListKind, Version};

/// Everything that one upstream lists. Items are the JSON texts of tools, prompts, resources, templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The revision spoken with the upstream.
    pub version: Version,
    /// The JSON text of its capabilities.
    pub capabilities: Bytes,
    /// Its instructions for the model, if it gives any.
    pub instructions: Option<String>,
    /// The items of `tools/list`.
    pub tools: Vec<Bytes>,
    /// The items of `prompts/list`.
    pub prompts: Vec<Bytes>,
    /// The items of `resources/list`.
    pub resources: Vec<Bytes>,
    /// The items of `resources/templates/list`.
    pub templates: Vec<Bytes>,
    /// How long each kind of item stays as it is.
    pub freshness: [Freshness; ListKind::ALL.len()],
}

/// How long a listing stays as it is, and for whom (SEP-2549).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When it is to be asked for again; `None` when nobody said that it lasts at all.
    pub until: Option<Instant>,
    /// Whether it is the same for everybody.
    pub is_public: bool,
}

impl Freshness {
    /// What holds where a server says nothing.
    pub const UNKNOWN: Self = Self { until: None, is_public: false };

    /// Returns what holds for both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let until = self.until.zip(other.until).map(|(one, two)| one.min(two));
        Self { until, is_public: self.is_public && other.is_public }
    }

    /// Returns for how many milliseconds from `now` on the listing stays as it is.
    pub fn ttl_ms(&self, now: Instant) -> u64 {
        let left = self.until.map(|until| until.saturating_duration_since(now));
        left.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Listing {
    /// Makes an empty listing of a server that speaks `version` and declares `capabilities`.
    pub const fn empty(version: Version, capabilities: Bytes) -> Self {
        Self {
            version,
            capabilities,
            instructions: None,
            tools: Vec::new(),
            prompts: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            freshness: [Freshness::UNKNOWN; ListKind::ALL.len()],
        }
    }

    /// Returns the era of the upstream.
    pub const fn era(&self) -> Era {
        self.version.era()
    }

    /// Returns the items of one kind.
    pub fn items(&self, kind: ListKind) -> &[Bytes] {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Prompts => &self.prompts,
            ListKind::Resources => &self.resources,
            ListKind::ResourceTemplates => &self.templates,
        }
    }

    /// Returns the items of one kind, to be filled.
    pub const fn items_mut(&mut self, kind: ListKind) -> &mut Vec<Bytes> {
        match kind {
            ListKind::Tools => &mut self.tools,
            ListKind::Prompts => &mut self.prompts,
            ListKind::Resources => &mut self.resources,
            ListKind::ResourceTemplates => &mut self.templates,
        }
    }
}

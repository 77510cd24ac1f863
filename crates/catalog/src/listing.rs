//! What one upstream offers, as it told us: raw JSON items, untouched.

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

//! What is to be written, before anybody has chosen a format.

use std::collections::BTreeMap;

use super::{rules::RulesDraft, server::DraftServer};

/// What is to be written.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// How the file begins.
    pub header: Header,
    /// The servers, in order; their names differ.
    pub servers: Vec<DraftServer>,
    /// Who may use what; none: there are no rules.
    pub rules: Option<RulesDraft>,
}

/// How the file begins.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// The command that writes it.
    pub command: &'static str,
    /// The files that were read, as a person reads them.
    pub sources: Vec<String>,
}

/// Which agents are to exist, and which servers they may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grants {
    /// One agent, `default`, with everything.
    SingleAgent,
    /// Several agents, each with the names of its servers.
    MultiAgent(BTreeMap<String, Vec<String>>),
}

impl Draft {
    /// Tells whether something in it looks like a secret: then the file is for its owner alone.
    pub fn holds_secrets(&self) -> bool {
        self.servers.iter().any(|server| !server.secret_places().is_empty())
    }

    /// Returns the draft with every value hidden that may be a secret: for showing it.
    #[must_use]
    pub fn hidden(&self) -> Self {
        Self { servers: self.servers.iter().map(DraftServer::hidden).collect(), ..self.clone() }
    }
}

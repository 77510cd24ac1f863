//! Why a configuration is refused as a whole, and why one server of it cannot be used.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::diagnostic::Diagnostic;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read `{}`{}: {source}", path.display(), named(*named_by))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The environment variable that names it, if one does.
        named_by: Option<&'static str>,
        /// The reason.
        source: io::Error,
    },
    /// The file is larger than any sensible configuration.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        limit: u64,
    },
    /// agent-mcp-gateway would refuse the file. This is all that it writes behind `ERROR: `.
    #[error("{0}")]
    Peer(String),
    /// The file says something that cannot be meant. Every fault is named.
    #[error("{}", joined(faults))]
    Refused {
        /// The faults, in the order of the file; at least one.
        faults: Vec<Diagnostic>,
        /// What else was noticed.
        warnings: Vec<Diagnostic>,
    },
}

/// Why one server is left out while the others run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFault {
    /// Variables that its entry names are not set.
    MissingVariables {
        /// Their names, each once.
        names: Vec<String>,
        /// Where they are named.
        diagnostics: Vec<Diagnostic>,
    },
    /// Its entry cannot be used.
    Invalid {
        /// What is wrong; at least one.
        diagnostics: Vec<Diagnostic>,
    },
}

impl ServerFault {
    /// Returns what is wrong, with places.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::MissingVariables { diagnostics, .. } | Self::Invalid { diagnostics } => diagnostics,
        }
    }
}

impl fmt::Display for ServerFault {
    /// Writes one line without places and without secrets, for logs and the status page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingVariables { names, .. } => {
                let plural = if names.len() == 1 { "variable is" } else { "variables are" };
                write!(f, "environment {plural} not set: {}", names.join(", "))
            }
            Self::Invalid { diagnostics } => {
                let Some(first) = diagnostics.first() else { return f.write_str("invalid entry") };
                if !first.path().is_empty() {
                    write!(f, "`{}`: ", first.path())?;
                }
                f.write_str(first.problem())?;
                match diagnostics.len() {
                    1 => Ok(()),
                    more => write!(f, " (and {} more)", more - 1),
                }
            }
        }
    }
}

impl std::error::Error for ServerFault {}

impl LoadError {
    /// Returns what is wrong in one line: of several faults the first, with its place.
    pub fn summary(&self) -> String {
        match self {
            Self::Refused { faults, .. } => {
                let first = faults.first().map(|fault| match fault.place() {
                    Some(place) => format!("{} ({place})", fault.problem()),
                    None => fault.problem().to_owned(),
                });
                first.unwrap_or_else(|| "it is refused".to_owned())
            }
            Self::Unreadable { .. } | Self::TooLarge { .. } | Self::Peer(_) => self.to_string(),
        }
    }

    /// Returns what to do about a file that cannot be read; faults in a file carry their help themselves.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unreadable { named_by: Some(variable), .. } => {
                Some(format!("name a file that can be read, or take {variable} away"))
            }
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name a file that is there; `toolgate init` writes a configuration".to_owned())
            }
            Self::Unreadable { .. } => Some("name a text file that you may read".to_owned()),
            Self::TooLarge { .. } => {
                Some("spread the servers over several files, and name them in `include`".to_owned())
            }
            Self::Peer(_) | Self::Refused { .. } => None,
        }
    }

    /// Returns the files that it is about, as they were named.
    pub fn files(&self) -> Vec<&Path> {
        match self {
            Self::Unreadable { path, .. } | Self::TooLarge { path, .. } => vec![path],
            Self::Refused { faults, .. } => {
                faults.iter().filter_map(|fault| fault.file().map(Path::new)).collect()
            }
            Self::Peer(_) => Vec::new(),
        }
    }

    /// Refuses as agent-mcp-gateway does what its validators refuse.
    pub(super) fn refused_by_peer(problem: &str) -> Self {
        Self::Peer(format!("Invalid configuration: {problem}"))
    }

    /// Says in agent-mcp-gateway's words that a file is not there; other errors stay.
    pub(super) fn in_words_of_peer(self) -> Self {
        match self {
            Self::Unreadable { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::Peer(format!("Configuration file not found: {}", path.display()))
            }
            other @ (Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Peer(_)
            | Self::Refused { .. }) => other,
        }
    }
}

fn named(variable: Option<&str>) -> String {
    variable.map(|variable| format!(", which {variable} names")).unwrap_or_default()
}

fn joined(faults: &[Diagnostic]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

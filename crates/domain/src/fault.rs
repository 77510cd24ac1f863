//! What is wrong with one key of a configuration, as the crate that owns the key says it.
//! Which file and line that is, and how it is shown, is the program's business.

use std::fmt;

/// One fault of a configuration section.
///
/// The texts never hold the value of a key that may carry a secret (headers, environment, arguments, addresses).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    path: Vec<String>,
    problem: String,
    help: Option<String>,
}

impl ConfigFault {
    /// Builds a fault at `path` inside the section (empty: the section itself); list entries are named by index.
    pub fn new(path: &[&str], problem: impl Into<String>) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { path, problem: problem.into(), help: None }
    }

    /// Adds what to write instead, best with an example of a right value.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns the path from the section to the key.
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// Returns what is wrong.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Returns what to write instead, if there is something to say.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path.join("."))?;
        }
        f.write_str(&self.problem)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_one_line() {
        let fault = ConfigFault::new(&["headers", "host"], "this header is set by the gateway");
        assert_eq!(fault.to_string(), "`headers.host`: this header is set by the gateway");
        let fault = ConfigFault::new(&[], "no `command` and no `url`").with_help("write one of them");
        assert_eq!(fault.to_string(), "no `command` and no `url` (write one of them)");
    }
}

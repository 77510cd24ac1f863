//! One fault or warning about a configuration, and how a person reads it: what is wrong, where, and what to write.

use std::fmt;

use domain::ConfigFault;
use serde::Serialize;

/// Longest source line that is shown, in characters; of a longer one the part around the fault.
const MAX_SHOWN: usize = 110;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something cannot be used.
    Error,
    /// Everything works, and probably not as intended.
    Warning,
}

/// Line and column in a file, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One fault or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    severity: Severity,
    problem: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip)]
    source: Option<SourceLine>,
}

/// The line to show, with its secrets hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceLine {
    pub(crate) position: Position,
    pub(crate) width: usize,
    pub(crate) text: String,
}

// === impl Diagnostic ===

impl Diagnostic {
    pub(crate) fn new(severity: Severity, problem: impl Into<String>) -> Self {
        let problem = printable(&problem.into());
        Self { severity, problem, file: None, position: None, path: String::new(), help: None, source: None }
    }

    pub(crate) fn error(problem: impl Into<String>) -> Self {
        Self::new(Severity::Error, problem)
    }

    pub(crate) fn warning(problem: impl Into<String>) -> Self {
        Self::new(Severity::Warning, problem)
    }

    pub(crate) fn at_file(mut self, file: &str, source: SourceLine) -> Self {
        self.file = Some(printable(file));
        self.position = Some(source.position);
        self.source = Some(source);
        self
    }

    pub(crate) fn at_path(mut self, path: &[String]) -> Self {
        self.path = shown_path(path);
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(printable(&help.into()));
        self
    }

    pub(crate) fn with_help_of(self, fault: &ConfigFault) -> Self {
        match fault.help() {
            Some(help) => self.with_help(help),
            None => self,
        }
    }

    /// Returns how bad it is.
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns what is wrong, in one line.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// Returns where it is, as `file:line:column`, if it is in a file.
    pub fn place(&self) -> Option<String> {
        let (file, at) = (self.file.as_ref()?, self.position?);
        Some(format!("{file}:{}:{}", at.line, at.column))
    }

    /// Returns the file that it is about, as it was named.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Returns where it is in its file, if it is in a file.
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// Returns the key, as `servers.github.command`; empty when it is about no key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns what to write instead, if there is something to say.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Diagnostic {
    /// Writes several lines without a line end after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.problem)?;
        let number = self.position.map_or_else(String::new, |at| at.line.to_string());
        let margin = " ".repeat(number.len());
        if let Some(place) = self.place() {
            write!(f, "\n{margin}--> {place}")?;
        }
        if let Some(source) = &self.source {
            let (text, column) = window(source);
            let (gap, carets) = (" ".repeat(column), "^".repeat(source.width.min(MAX_SHOWN)));
            write!(f, "\n{margin} |\n{number} | {text}\n{margin} | {gap}{carets}")?;
        }
        if !self.path.is_empty() {
            write!(f, "\n{margin} = key: {}", self.path)?;
        }
        match &self.help {
            Some(help) => write!(f, "\n{margin} = help: {help}"),
            None => Ok(()),
        }
    }
}

/// Writes a path as it could stand in a sentence: keys with other signs than names have are quoted.
fn shown_path(path: &[String]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_$@".contains(c);
    let show = |segment: &String| {
        let plain = !segment.is_empty() && segment.chars().all(is_plain);
        if plain { segment.clone() } else { format!("{segment:?}") }
    };
    path.iter().map(show).collect::<Vec<_>>().join(".")
}

/// Cuts a long line to the part around the fault. Returns it with the number of characters before the fault.
fn window(source: &SourceLine) -> (String, usize) {
    let before = source.position.column - 1;
    let length = source.text.chars().count();
    let skipped = if length <= MAX_SHOWN { 0 } else { before.saturating_sub(MAX_SHOWN / 2) };
    let text: String = source.text.chars().skip(skipped).take(MAX_SHOWN).collect();
    (text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(), before - skipped)
}

/// Escapes control characters: what a file says must not drive a terminal.
fn printable(text: &str) -> String {
    if text.chars().any(char::is_control) { text.escape_debug().to_string() } else { text.to_owned() }
}

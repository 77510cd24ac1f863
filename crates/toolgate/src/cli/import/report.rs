//! What an import came to, for people and for programs. Names of variables and places of secrets are told, values never.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{
    super::{
        CliError,
        output::{self, Format},
    },
    gather::Gathered,
    proof::Fault,
};
use crate::writing::{DraftServer, Variable};

/// Written, but a server was left out.
const EXIT_PARTLY: u8 = 3;

/// What an import came to.
pub(in crate::cli) struct Report {
    pub(in crate::cli) gathered: Gathered,
    pub(in crate::cli) variables: Vec<Variable>,
    pub(in crate::cli) faults: Vec<Fault>,
    /// The file, as a person reads it.
    pub(in crate::cli) path: String,
    /// The files that were read, as a person reads them.
    pub(in crate::cli) read: Vec<String>,
    /// What would be written, with secrets hidden; empty unless that was asked for.
    pub(in crate::cli) text: String,
    /// Copies of what was replaced.
    pub(in crate::cli) copies: Vec<String>,
    /// Where the summary was shown.
    pub(in crate::cli) seen: Seen,
    /// The commands to go on with, each with what it does.
    pub(in crate::cli) next: Vec<(String, &'static str)>,
}

/// Where the summary was shown before the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) enum Seen {
    /// Nowhere: nobody was asked.
    #[default]
    Nowhere,
    /// On the terminal, before a question.
    OnTerminal,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    Written,
    DryRun,
    Declined,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::DryRun => "dry_run",
            Self::Declined => "declined",
        }
    }
}

impl Report {
    /// Tells what was done, and returns the exit code.
    pub(in crate::cli) fn conclude(&self, format: Format, outcome: Outcome) -> Result<ExitCode, CliError> {
        match format {
            Format::Json => output::print_json(&self.json(outcome))?,
            Format::Text => self.print(outcome)?,
        }
        Ok(match outcome {
            Outcome::Declined => ExitCode::FAILURE,
            Outcome::Written | Outcome::DryRun if self.gathered.left_out.is_empty() => ExitCode::SUCCESS,
            Outcome::Written | Outcome::DryRun => ExitCode::from(EXIT_PARTLY),
        })
    }

    fn print(&self, outcome: Outcome) -> Result<(), CliError> {
        match outcome {
            Outcome::Written => {
                let path = output::printable(&self.path);
                let copies = self.copies.iter().map(|copy| format!("\nThe old file is kept as {copy}."));
                let copies: String = copies.collect();
                let next = self.next_steps();
                // Whoever was asked before saw it already.
                let summary = match self.seen {
                    Seen::OnTerminal if io::stdout().is_terminal() => String::new(),
                    Seen::OnTerminal | Seen::Nowhere => format!("{}\n\n", self.summary()),
                };
                output::print(&format!("{summary}Wrote {path}.{copies}\n\n{next}"))?;
            }
            Outcome::DryRun => {
                eprintln!(
                    "{}\n\nNothing was written to {} (--dry-run).\n",
                    self.summary(),
                    output::printable(&self.path)
                );
                output::print(&self.text)?;
            }
            Outcome::Declined => {
                output::print(&format!("Nothing was written to {}.", output::printable(&self.path)))?
            }
        }
        Ok(())
    }

    /// Says what is taken over, and what a person should know.
    pub(in crate::cli) fn summary(&self) -> String {
        let rows = |server: &DraftServer| vec![server.name.clone(), server.shown(), server.origin.clone()];
        let heads = ["server", "reached by", "from"];
        let mut parts = vec![output::table(&heads, self.gathered.servers.iter().map(rows).collect())];
        if !self.read.is_empty() {
            parts.push(format!("Read: {}.", self.read.join(", ")));
        }
        if let Some(rules) = &self.gathered.rules {
            let agents: Vec<&str> = rules.agents().collect();
            let from = rules.origin.as_ref().map_or_else(String::new, |origin| format!(" from {origin}"));
            parts.push(format!("Rules{from} for: {}", agents.join(", ")));
            parts.extend(rules.remarks.iter().map(|remark| format!("Note: {remark}")));
        }
        parts.extend(self.gathered.notes.iter().map(|note| format!("Note: {note}")));
        let left_out = self.gathered.left_out.iter();
        parts.extend(
            left_out.map(|out| format!("Left out: `{}` of {}: {}.", out.name, out.origin, out.reason)),
        );
        let (kept, to_set) = (self.kept_secrets(), self.to_set());
        if !kept.is_empty() {
            parts.push(format!(
                "Secrets stand in the file as they did before, and it is readable for you alone: {}.",
                kept.iter()
                    .map(|(server, place)| format!("{server} ({place})"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        if !to_set.is_empty() {
            parts.push(format!("Set these variables to the values they replace: {}.", to_set.join(", ")));
        }
        let faults = self.faults.iter();
        parts.extend(
            faults.map(|fault| format!("As things are, `{}` cannot start: {}.", fault.server, fault.reason)),
        );
        parts.iter().map(|part| escaped(part)).collect::<Vec<_>>().join("\n")
    }

    fn next_steps(&self) -> String {
        let width = self.next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
        let steps = self.next.iter().map(|(command, what)| format!("\n  {command:width$}    {what}"));
        format!("Next:{}", output_lines(steps))
    }

    fn kept_secrets(&self) -> Vec<(&str, String)> {
        let places = |server| {
            DraftServer::secret_places(server).into_iter().map(|place| (server.name.as_str(), place))
        };
        self.gathered.servers.iter().flat_map(places).collect()
    }

    fn to_set(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.variables.iter().map(|variable| variable.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn json(&self, outcome: Outcome) -> Value {
        let servers = self.gathered.servers.iter();
        let left_out = self.gathered.left_out.iter();
        let faults = self.faults.iter();
        let kept = self.kept_secrets().into_iter();
        let variables = self.variables.iter();
        let rules = self.gathered.rules.as_ref();
        let mut json = json!({
            "outcome": outcome.word(),
            "path": self.path,
            "copies": self.copies,
            "sources": self.gathered.sources,
            "read": self.read,
            "servers": servers.map(|server| json!({"name": server.name, "from": server.origin, "reached_by": server.shown()})).collect::<Vec<_>>(),
            "rules": rules.map(|rules| json!({"from": rules.origin, "agents": rules.agents().collect::<Vec<_>>(), "notes": rules.remarks})),
            "notes": self.gathered.notes,
            "left_out": left_out.map(|out| json!({"name": out.name, "from": out.origin, "reason": out.reason})).collect::<Vec<_>>(),
            "unusable": faults.map(|fault| json!({"name": fault.server, "reason": fault.reason})).collect::<Vec<_>>(),
            "secrets": kept.map(|(server, place)| json!({"server": server, "place": place})).collect::<Vec<_>>(),
            "variables": variables.map(|variable| json!({"name": variable.name, "server": variable.server, "place": variable.place})).collect::<Vec<_>>(),
        });
        if outcome == Outcome::DryRun {
            json["text"] = self.text.clone().into();
        }
        json
    }
}

fn output_lines(lines: impl Iterator<Item = String>) -> String {
    escaped(&lines.collect::<String>())
}

/// Escapes what could drive the terminal, lines aside.
fn escaped(text: &str) -> String {
    text.split('\n').map(output::printable).collect::<Vec<_>>().join("\n")
}

//! Asks a person before a file is written. Without a person nothing is written, unless it was agreed to beforehand.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::super::CliError;

/// Longest answer that is read, in bytes: more than `yes` needs.
const MAX_ANSWER: u64 = 64;

/// What was agreed to on the command line.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Consent {
    /// Show the change and write nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Write without asking
    #[arg(short, long)]
    yes: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    DryRun,
}

// === impl Consent ===

impl Consent {
    /// Asks `question` on the terminal, if that is needed.
    ///
    /// # Errors
    /// [`CliError::NobodyToAsk`] when standard input or output is no terminal.
    pub(crate) fn ask(self, question: &str) -> Result<Answer, CliError> {
        if self.dry_run {
            return Ok(Answer::DryRun);
        }
        if self.yes {
            return Ok(Answer::Yes);
        }
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(CliError::NobodyToAsk);
        }
        eprint!("{question} [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::Read::take(io::stdin().lock(), MAX_ANSWER).read_line(&mut answer)?;
        let agreed = ["y", "yes"].iter().any(|word| answer.trim().eq_ignore_ascii_case(word));
        Ok(if agreed { Answer::Yes } else { Answer::No })
    }
}

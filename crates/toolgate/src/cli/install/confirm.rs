//! Asks a person before a file is written. Without a person nothing is written, unless it was agreed to beforehand.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::super::CliError;

/// Longest answer that is read, in bytes: more than `yes` needs.
const MAX_ANSWER: u64 = 64;

/// How often is asked before what is neither yes nor no counts as no.
const TRIES: usize = 2;

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
        let (mut prompt, mut answer) = (format!("{question} [y/N] "), None);
        for _ in 0..TRIES {
            eprint!("{prompt}");
            io::stderr().flush()?;
            let mut line = String::new();
            io::Read::take(io::stdin().lock(), MAX_ANSWER).read_line(&mut line)?;
            answer = Answer::of(&line);
            if answer.is_some() {
                break;
            }
            prompt = "Please write `y` for yes or `n` for no: ".to_owned();
        }
        Ok(answer.unwrap_or(Answer::No))
    }
}

// === impl Answer ===

impl Answer {
    /// Reads a line; none when it is neither yes nor no. An empty one is no.
    fn of(line: &str) -> Option<Self> {
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Some(Self::Yes),
            "n" | "no" | "" => Some(Self::No),
            _ => None,
        }
    }
}

//! `toolgate audit verify | tail`: reads an audit trail. What a trail is and how it is checked is in `audit`.

use std::{
    fs::File,
    io::{self, BufReader, Write as _},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use audit::{
    Report,
    tail::{Start, Tail},
};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CliError, GatewayOptions,
    output::{self, Format},
};
use crate::config::Wanted;

/// How often a followed trail is looked at: a person does not see less.
const PAUSE: Duration = Duration::from_millis(200);

/// Options of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate audit verify
  toolgate audit tail -f | jq -r '.target // empty'")]
pub struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check that no line of a trail was changed, removed or moved
    #[command(after_help = "\
Examples:
  toolgate audit verify
  toolgate audit verify /var/log/toolgate/audit.jsonl -o json

Exit codes: 0 the trail is sound, 1 it is not.")]
    Verify {
        /// How to write the answer
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
        #[command(flatten)]
        trail: TrailOptions,
    },
    /// Show the last lines of a trail
    #[command(after_help = "\
Examples:
  toolgate audit tail
  toolgate audit tail -n 100 -f")]
    Tail {
        /// Go on with lines as they are written
        #[arg(short, long)]
        follow: bool,
        /// How many lines to begin with
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 10)]
        lines: usize,
        #[command(flatten)]
        trail: TrailOptions,
    },
}

#[derive(Debug, Args)]
struct TrailOptions {
    /// The trail [default: the configured one]
    file: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayOptions,
}

pub(super) fn run(options: Options) -> Result<ExitCode, CliError> {
    match options.action {
        Action::Verify { output, trail } => verify(&trail.file()?, output)?,
        Action::Tail { follow: true, lines, trail } => follow(&trail.file()?, lines)?,
        Action::Tail { follow: false, lines, trail } => show(&trail.file()?, lines)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl TrailOptions {
    /// Returns the named file, else the one that the configuration settles on.
    fn file(&self) -> Result<PathBuf, CliError> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => Ok(self.gateway.whereabouts(Wanted::Trail)?.trail),
        }
    }
}

fn verify(path: &Path, format: Format) -> Result<(), CliError> {
    let file = File::open(path).map_err(unreadable(path))?;
    let report = audit::verify(BufReader::new(file))
        .map_err(|fault| CliError::UnsoundTrail { file: path.display().to_string(), fault })?;
    match format {
        Format::Json => output::print_json(&report_json(&report))?,
        Format::Text => output::print(&report_text(path, &report))?,
    }
    Ok(())
}

fn report_json(report: &Report) -> serde_json::Value {
    json!({
        "sound": true,
        "lines": report.lines,
        "calls": report.calls,
        "events": report.events,
        "open_calls": report.open_calls,
        "ends_without_begin": report.ends_without_begin,
        "torn_bytes": report.torn_bytes,
        "head": { "seq": report.head.seq, "hash": report.head.hash.to_string() },
    })
}

fn report_text(path: &Path, report: &Report) -> String {
    let count =
        |count: Option<u64>| count.map_or_else(|| "not counted".to_owned(), |count| count.to_string());
    let mut text = format!(
        "{} is sound: {}, {}",
        path.display(),
        output::counted(report.lines, "line"),
        output::counted(report.calls, "call")
    );
    text.push_str(&format!("\n  calls without an end line: {}", count(report.open_calls)));
    if report.ends_without_begin != Some(0) {
        text.push_str(&format!("\n  end lines without a begin line: {}", count(report.ends_without_begin)));
    }
    if report.torn_bytes > 0 {
        text.push_str(&format!("\n  a torn last line of {} bytes was not looked at", report.torn_bytes));
    }
    text.push_str(&format!("\n  head: seq {} hash {}", report.head.seq, report.head.hash));
    text
}

fn show(path: &Path, lines: usize) -> Result<(), CliError> {
    let mut tail = Tail::open(path, Start::LastLines(lines)).map_err(unreadable(path))?;
    while let Some(line) = tail.next_line().map_err(unreadable(path))? {
        print_line(line)?;
    }
    Ok(())
}

fn follow(path: &Path, lines: usize) -> Result<(), CliError> {
    let mut tail = Tail::open(path, Start::LastLines(lines)).map_err(unreadable(path))?;
    let each = |line: &[u8]| match print_line(line) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    };
    Err(tail.follow(PAUSE, each).map_err(unreadable(path))?.into())
}

fn print_line(line: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(line)?;
    output.write_all(b"\n")?;
    output.flush()
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> CliError {
    let file = path.display().to_string();
    move |source| CliError::Unreadable { file, source }
}

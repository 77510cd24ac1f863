//! `toolgate logs`: which calls were made, by whom, and what became of them, out of the audit trail.
//! Read `logs/entry.rs` for a line, `trails.rs` for the files, `calls.rs` for how lines become calls, `filter.rs` for
//! which are wanted, `window.rs` and `show.rs` for how they come out. The trail itself is `audit`'s.

use std::{path::PathBuf, process::ExitCode, thread, time::Duration};

use clap::Args;

use self::{
    calls::Calls,
    entry::Entry,
    filter::Filter,
    show::Printer,
    trails::{Scope, Trails},
    window::{Count, Window},
};
use super::{
    CliError, GatewayOptions, StateOptions,
    output::{self, Format},
};
use crate::config::Wanted;

mod calls;
mod entry;
mod filter;
mod moment;
mod show;
mod trails;
mod window;

/// How often followed files are looked at: a person does not see less.
const PAUSE: Duration = Duration::from_millis(200);
/// Calls that are written at once, and whose columns are aligned with each other, when all are shown.
const BATCH: usize = 1_000;

/// Options of `logs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate logs                                  The last 50 calls
  toolgate logs -f --agent 'ci-*'                Those of some agents, as they come
  toolgate logs --outcome denied --since 2h      What was refused in the last two hours
  toolgate logs --server github --tool 'create_*' -n all -o json | jq .latency_ms
  toolgate logs --outcome running                Calls in progress
  toolgate logs --outcome error --outcome timeout --since 1d
  toolgate logs /var/log/toolgate/audit.jsonl

`running` is a call without an end line, `unfinished` one whose gateway is gone: nobody holds the file any more.
Times are local. With -o json, a call is its end line in the trail, or its begin line if it has no other.")]
pub struct Options {
    /// Trails to read [default: the configured one, and those of other gateways beside it]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    filter: Filter,
    /// How many calls to show, the last ones; `all` for every one
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "50")]
    lines: Count,
    /// Go on with calls as they end
    #[arg(short, long)]
    follow: bool,
    /// How to write the calls
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Configuration that names the trail [default: ./toolgate.yaml, else ./.mcp.json]
    #[arg(long, value_name = "FILE", env = "TOOLGATE_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    state: StateOptions,
}

pub(super) fn run(options: Options) -> Result<ExitCode, CliError> {
    let scope = options.scope()?;
    let mut calls = Calls::new(Trails::open(scope)?, options.filter);
    let mut printer = Printer::new(options.output);
    match options.lines {
        Count::Last(count) => print_last(&mut calls, &mut printer, count)?,
        Count::All => {
            print_new(&mut calls, &mut printer)?;
            printer.print(&calls.rest()?)?;
        }
    }
    report_left_out(&mut calls);
    if options.follow {
        follow(&mut calls, &mut printer)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn scope(&self) -> Result<Scope, CliError> {
        if !self.files.is_empty() {
            return Ok(Scope::Named(self.files.clone()));
        }
        let (config, state) = (self.config.clone(), self.state.clone());
        let gateway = GatewayOptions { config, state, ..GatewayOptions::default() };
        Ok(Scope::WithNeighbours(gateway.whereabouts(Wanted::Trail)?.trail))
    }
}

fn print_last(calls: &mut Calls, printer: &mut Printer, count: usize) -> Result<(), CliError> {
    let mut window = Window::new(count);
    while let Some(entry) = calls.next()? {
        window.put(entry);
    }
    calls.rest()?.into_iter().for_each(|entry| window.put(entry));
    Ok(printer.print(&window.into_entries())?)
}

fn print_new(calls: &mut Calls, printer: &mut Printer) -> Result<(), CliError> {
    let mut batch: Vec<Entry> = Vec::new();
    loop {
        let next = calls.next()?;
        let is_last = next.is_none();
        batch.extend(next);
        if is_last || batch.len() >= BATCH {
            printer.print(&batch)?;
            batch.clear();
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Shows calls as they end. Returns only when something fails, for example because nobody reads any more.
fn follow(calls: &mut Calls, printer: &mut Printer) -> Result<(), CliError> {
    loop {
        thread::sleep(PAUSE);
        calls.trails().find_new();
        print_new(calls, printer)?;
        report_left_out(calls);
    }
}

/// Says on standard error what could not be shown.
fn report_left_out(calls: &mut Calls) {
    let broken = calls.trails().take_broken();
    if let Some((file, line)) = &broken.first {
        let file = output::printable(&file.display().to_string());
        let lines = if broken.lines == 1 { "line is" } else { "lines are" };
        eprintln!(
            "{} {lines} broken and left out, the first one line {line} of `{file}` (`toolgate audit verify` checks a trail)",
            broken.lines
        );
    }
    let forgotten = calls.take_not_remembered();
    if forgotten > 0 {
        eprintln!("{forgotten} more calls may be open: too many to show");
    }
}

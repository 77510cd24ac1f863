//! `toolgate uninstall CLIENT`: takes the gateway out of an MCP client's file. The file gets back the bytes it had, if
//! nobody edited it since. The other way is in `install.rs`.

use std::{env, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{
    CliError,
    install::{
        self, Around,
        confirm::{Answer, Consent},
        preview,
    },
    options::AnswerOptions,
    output::{self, Format},
};
use crate::clients::{self, Client, Place, Records, Scope, Undo, UninstallPlan, Way};

/// Options of `uninstall`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate uninstall claude-code
  toolgate uninstall cursor --scope project
  toolgate uninstall vscode --dry-run

The file gets back the bytes it had before `toolgate install`; if it was edited since, only the entry is taken out.

Exit codes: 0 done or nothing to do, 1 failed, refused or declined.")]
pub struct Options {
    /// The client
    #[arg(value_enum)]
    client: Client,
    /// Whom the entry serves
    #[arg(long, value_enum, default_value_t)]
    scope: Scope,
    /// The entry's name in the client's file
    #[arg(long, default_value = install::DEFAULT_NAME, value_parser = install::parse_name)]
    name: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    answer: AnswerOptions,
}

/// How it ended.
#[derive(Clone, Copy)]
enum Outcome {
    NothingThere,
    NotOurs,
    DryRun,
    Declined,
    Restored,
    Deleted,
    Removed,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let around = Around::new()?;
    let place = install::place_of(options.client, options.scope, &around)?;
    let records = Records::new(&options.answer.state.folder()?);
    let program = env::current_exe().ok();
    let plan = clients::plan_uninstall(options.client, &place, &options.name, program.as_deref(), &records)?;
    let undo = match plan {
        UninstallPlan::NothingThere => {
            point_elsewhere(options, &around, &records);
            return conclude(options, &place, Outcome::NothingThere);
        }
        UninstallPlan::NotOurs => return conclude(options, &place, Outcome::NotOurs),
        UninstallPlan::Change(undo) => undo,
    };
    show(&undo)?;
    match options.consent.ask("Write this?")? {
        Answer::Yes => {}
        Answer::No => return conclude(options, &place, Outcome::Declined),
        Answer::DryRun => return conclude(options, &place, Outcome::DryRun),
    }
    clients::uninstall(&undo, &options.name, &records)?;
    conclude(options, &place, Outcome::of(&undo))
}

fn show(undo: &Undo) -> Result<(), CliError> {
    match undo.way {
        Way::Exact => {}
        Way::Edited => eprintln!("The file was edited after the installation: only the entry is taken out."),
        Way::Unrecorded => eprintln!("There is no record of an installation: only the entry is taken out."),
    }
    Ok(preview::show(&undo.before, undo.after.as_ref(), None)?)
}

/// Names the other scopes in which there is an entry of ours.
fn point_elsewhere(options: &Options, around: &Around, records: &Records) {
    let program = env::current_exe().ok();
    for place in options.client.places(&around.machine()) {
        let file = clients::read(options.client, &place);
        if place.scope != options.scope
            && file.is_ok_and(|file| records.installed(&file, program.as_deref()).contains(&options.name))
        {
            eprintln!("There is one of scope `{0}`: add `--scope {0}`.", place.scope.name());
        }
    }
}

fn conclude(options: &Options, place: &Place, outcome: Outcome) -> Result<ExitCode, CliError> {
    let path = place.path.display().to_string();
    match options.answer.output {
        Format::Json => output::print_json(&json!({
            "client": options.client.name(),
            "scope": place.scope.name(),
            "path": path,
            "name": options.name,
            "outcome": outcome.word(),
        }))?,
        Format::Text => {
            output::print(&output::printable(&outcome.sentence(&options.name, options.client, &path)))?;
        }
    }
    Ok(match outcome {
        Outcome::Declined => ExitCode::FAILURE,
        Outcome::NothingThere
        | Outcome::NotOurs
        | Outcome::DryRun
        | Outcome::Restored
        | Outcome::Deleted
        | Outcome::Removed => ExitCode::SUCCESS,
    })
}

// === impl Outcome ===

impl Outcome {
    const fn of(undo: &Undo) -> Self {
        match (undo.way, &undo.after) {
            (Way::Exact, Some(_)) => Self::Restored,
            (Way::Exact, None) => Self::Deleted,
            (Way::Edited | Way::Unrecorded, _) => Self::Removed,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::NothingThere => "nothing_there",
            Self::NotOurs => "not_ours",
            Self::DryRun => "dry_run",
            Self::Declined => "declined",
            Self::Restored => "restored",
            Self::Deleted => "deleted",
            Self::Removed => "removed",
        }
    }

    fn sentence(self, name: &str, client: Client, path: &str) -> String {
        match self {
            Self::NothingThere => format!("Nothing to do: there is no `{name}` for {client} in {path}."),
            Self::NotOurs => {
                format!("Nothing to do: `{name}` for {client} in {path} is not an entry of this gateway.")
            }
            Self::DryRun => format!("Nothing was written to {path} (--dry-run)."),
            Self::Declined => format!("Nothing was written to {path}."),
            Self::Restored => format!("Uninstalled from {client}: {path} is as it was before."),
            Self::Deleted => {
                format!("Uninstalled from {client}: {path} is deleted, as it was not there before.")
            }
            Self::Removed => format!("Uninstalled from {client}: the entry `{name}` is taken out of {path}."),
        }
    }
}

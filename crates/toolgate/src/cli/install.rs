//! `toolgate install CLIENT`: puts the gateway into an MCP client's file. Shows the change, asks, writes.
//! How files are edited is in `clients.rs`; taking the entry out again is in `uninstall.rs`.

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use domain::{AgentId, InvalidName};
use serde_json::json;
use url::Url;

use super::{
    CliError,
    options::AnswerOptions,
    output::{self, Format},
};
use crate::clients::{
    self, Change, Client, ClientError, DEFAULT_URL, InstallPlan, Installation, Launch, Machine, Place,
    Records, Scope, System,
};

pub(super) mod confirm;
mod diff;
mod listing;
pub(super) mod preview;

use confirm::{Answer, Consent};

/// The entry's name when nobody chose another.
pub(super) const DEFAULT_NAME: &str = "toolgate";

/// Options of `install`.
#[derive(Debug, Args)]
#[command(
    after_help = "\
Examples:
  toolgate install claude-code
  toolgate install cursor --scope project --config ./toolgate.yaml
  toolgate install vscode --http --dry-run
  toolgate install --list",
    after_long_help = "\
The change is shown before it is written, and only the one entry changes: other keys, comments and the layout of the
file stay. The bytes from before are kept in the state directory; `toolgate uninstall` gives them back.

Without a terminal to ask on, nothing is written unless --yes is given.

Examples:
  toolgate install claude-code
  toolgate install cursor --scope project --config ./toolgate.yaml
  toolgate install vscode --http --dry-run
  toolgate install codex --agent researcher --yes -o json
  toolgate install --list

Exit codes: 0 installed or already there, 1 failed, refused or declined."
)]
pub struct Options {
    /// The client
    #[arg(value_enum, required_unless_present = "list")]
    client: Option<Client>,
    /// Show the clients on this machine, and where the gateway is installed
    #[arg(long, conflicts_with_all = ["client", "http", "config", "agent", "yes", "dry_run", "scope", "name"])]
    list: bool,
    /// Whom the entry serves
    #[arg(long, value_enum, default_value_t)]
    scope: Scope,
    /// The entry's name in the client's file
    #[arg(long, default_value = DEFAULT_NAME, value_parser = parse_name)]
    name: String,
    /// Reach a gateway that runs (`toolgate serve`), instead of starting one
    #[arg(long, conflicts_with_all = ["config", "agent"])]
    http: bool,
    /// The running gateway's endpoint
    #[arg(long, requires = "http", default_value = DEFAULT_URL, value_parser = parse_url)]
    url: Url,
    /// Configuration that the started gateway uses [default: what it finds in the folder it is started in]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The agent that this client is
    #[arg(long, value_name = "NAME", value_parser = parse_agent)]
    agent: Option<AgentId>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    answer: AnswerOptions,
}

/// How an installation ended.
#[derive(Clone, Copy)]
enum Outcome {
    Installed,
    Replaced,
    AlreadyThere,
    DryRun,
    Declined,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let around = Around::new()?;
    let Some(client) = options.client else {
        let records = Records::new(&options.answer.state.folder()?);
        listing::print(&around.machine(), &records, options.answer.output)?;
        return Ok(ExitCode::SUCCESS);
    };
    let place = place_of(client, options.scope, &around)?;
    let wanted =
        Installation { client, place, name: options.name.clone(), launch: launch(options, &around)? };
    let change = match clients::plan_install(&wanted)? {
        InstallPlan::AlreadyThere => {
            return conclude(&wanted, options.answer.output, Outcome::AlreadyThere, None);
        }
        InstallPlan::Add(change) => (change, Outcome::Installed),
        InstallPlan::Replace(change) => (change, Outcome::Replaced),
    };
    show(&wanted, &change)?;
    let (change, outcome) = change;
    match options.consent.ask("Write this?")? {
        Answer::Yes => {}
        Answer::No => return conclude(&wanted, options.answer.output, Outcome::Declined, None),
        Answer::DryRun => return conclude(&wanted, options.answer.output, Outcome::DryRun, None),
    }
    let backup = clients::install(&wanted, &change, &Records::new(&options.answer.state.folder()?))?;
    conclude(&wanted, options.answer.output, outcome, backup.as_deref())
}

/// Finds the place of a scope in a client's files.
pub(super) fn place_of(client: Client, scope: Scope, around: &Around) -> Result<Place, ClientError> {
    let mut places = client.places(&around.machine()).into_iter();
    places.find(|place| place.scope == scope).ok_or(ClientError::NoSuchScope { client, scope })
}

fn show(wanted: &Installation, (change, outcome): &(Box<Change>, Outcome)) -> Result<(), CliError> {
    if matches!(outcome, Outcome::Replaced) {
        eprintln!("There is another entry `{}`; it would be replaced.", output::printable(&wanted.name));
    }
    let is_found_by_luck = matches!(&wanted.launch, Launch::Stdio { arguments, .. }
        if !arguments.iter().any(|argument| argument == "--config"));
    if is_found_by_luck && wanted.place.scope == Scope::User {
        eprintln!(
            "Without --config the gateway uses what it finds in the folder in which {} starts it.",
            wanted.client
        );
    }
    Ok(preview::show(&change.before, Some(&change.after), Some(&wanted.name))?)
}

fn launch(options: &Options, around: &Around) -> Result<Launch, CliError> {
    if options.http {
        return Ok(Launch::Http { url: options.url.to_string() });
    }
    let program = env::current_exe().map_err(CliError::Output)?.display().to_string();
    let mut arguments = vec!["stdio".to_owned()];
    if let Some(config) = &options.config {
        let config = around.folder.join(config);
        if !config.is_file() {
            eprintln!("There is no file {} yet.", output::printable(&config.display().to_string()));
        }
        arguments.extend(["--config".to_owned(), config.display().to_string()]);
    }
    if let Some(agent) = &options.agent {
        arguments.extend(["--agent".to_owned(), agent.to_string()]);
    }
    Ok(Launch::Stdio { program, arguments })
}

fn conclude(
    wanted: &Installation,
    format: Format,
    outcome: Outcome,
    backup: Option<&Path>,
) -> Result<ExitCode, CliError> {
    let path = wanted.place.path.display().to_string();
    match format {
        Format::Json => output::print_json(&json!({
            "client": wanted.client.name(),
            "scope": wanted.place.scope.name(),
            "path": path,
            "name": wanted.name,
            "outcome": outcome.word(),
            "backup": backup,
        }))?,
        Format::Text => output::print(&output::printable(&outcome.sentence(wanted, &path)))?,
    }
    Ok(match outcome {
        Outcome::Declined => ExitCode::FAILURE,
        Outcome::Installed | Outcome::Replaced | Outcome::AlreadyThere | Outcome::DryRun => ExitCode::SUCCESS,
    })
}

// === impl Outcome ===

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Replaced => "replaced",
            Self::AlreadyThere => "already_installed",
            Self::DryRun => "dry_run",
            Self::Declined => "declined",
        }
    }

    fn sentence(self, wanted: &Installation, path: &str) -> String {
        let (client, name) = (wanted.client, &wanted.name);
        match self {
            Self::Installed | Self::Replaced => {
                format!("Installed as `{name}` for {client} in {path}. Restart {client} to use it.")
            }
            Self::AlreadyThere => format!("`{name}` is already installed for {client} in {path}."),
            Self::DryRun => format!("Nothing was written to {path} (--dry-run)."),
            Self::Declined => format!("Nothing was written to {path}."),
        }
    }
}

/// The real surroundings of this process.
pub(super) struct Around {
    home: PathBuf,
    pub(super) folder: PathBuf,
}

// === impl Around ===

impl Around {
    pub(super) fn new() -> Result<Self, CliError> {
        let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let folder = env::current_dir().map_err(CliError::NoWorkingDirectory)?;
        Ok(Self { home: home.ok_or(ClientError::NoHome)?, folder })
    }

    pub(super) fn machine(&self) -> Machine<'_> {
        Machine { home: &self.home, folder: &self.folder, variable: &variable, system: System::current() }
    }
}

/// Reads a variable. One that is not text counts as not set.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

pub(super) fn parse_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    Err(format!("a name is 1 to {MAX_NAME} letters, digits, `-` and `_`"))
}

/// Longest name of an entry: clients put it before the names of tools, and models take 64 characters altogether.
const MAX_NAME: usize = 32;

fn parse_agent(name: &str) -> Result<AgentId, InvalidName> {
    AgentId::new(name)
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("an endpoint begins with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an endpoint holds no user name and no password".to_owned());
    }
    Ok(url)
}

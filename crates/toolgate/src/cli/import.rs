//! `toolgate import`: writes `toolgate.yaml` from the files of clients and of agent-mcp-gateway. What is read is in
//! `import/gather.rs`, how it is written in `writing.rs`. The questions of `toolgate init` lead to the same file.

use std::{
    env,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{CliError, install::Around, options::AnswerOptions, output};
use crate::{
    clients::Client,
    config,
    writing::{self, Draft, DraftServer, Header, NewFile, Privacy, Replacing, Variable, Variables},
};

pub(super) mod asking;
pub(super) mod gather;
mod placeholders;
pub(super) mod proof;
pub(super) mod report;

use gather::{Gathered, Scene};
use report::{Outcome, Report, Seen};

/// Our own file.
pub(super) const OWN_NAME: &str = "toolgate.yaml";

/// Options of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toolgate import                              .mcp.json and .mcp-gateway-rules.json, where agent-mcp-gateway finds them
  toolgate import cursor claude-desktop        Servers of two clients
  toolgate import ./servers.json --out gateway/toolgate.yaml --yes
  toolgate import --from vscode --secrets env --dry-run

Clients: claude-code, claude-desktop, cursor, vscode, windsurf, codex, gemini-cli, zed.

Rules come along as `serve --config FILE` would find them: those that GATEWAY_RULES names, else beside the file, else
agent-mcp-gateway's here. They are taken in our reading, which closes the holes of agent-mcp-gateway's.

Servers of the same name get a suffix. ${VARIABLES} stay as they are. Values that look like secrets stay too, and the
file is then readable for you alone; with `--secrets env` those in env and headers become variables, whose names are printed.

Exit codes: 0 written, 1 failed or declined, 3 written, but a server was left out.")]
pub struct Options {
    /// Files or clients [default: the files of agent-mcp-gateway]
    #[arg(value_name = "FILE|CLIENT")]
    sources: Vec<String>,
    /// A client whose servers to take
    #[arg(long, value_enum, value_name = "CLIENT")]
    from: Vec<Client>,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = OWN_NAME)]
    out: PathBuf,
    /// What happens to values that look like secrets
    #[arg(long, value_enum, default_value_t)]
    secrets: Secrets,
    /// Replace the file without asking; a copy of it is kept
    #[arg(short, long)]
    yes: bool,
    /// Print what would be written, with secrets hidden, and write nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    answer: AnswerOptions,
}

/// What happens to values that look like secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Secrets {
    /// They stay in the file
    #[default]
    Keep,
    /// Variables of the environment take their place
    Env,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let around = Around::new()?;
    let out = around.folder.join(&options.out);
    let target = out.parent().unwrap_or(Path::new("/")).to_owned();
    let program = env::current_exe().ok();
    let scene = Scene { machine: around.machine(), target: &target, program: program.as_deref() };
    let mut gathered = gather(options, &scene)?;
    if gathered.servers.is_empty() && gathered.rules.is_none() {
        return Err(CliError::Gateway("there is nothing to import: no server and no rules".to_owned()));
    }
    let variables = apply(options.secrets, &mut gathered.servers);
    let draft = draft("toolgate import", &gathered);
    let text = writing::toolgate_yaml(&draft);
    let faults = proof::check(&text, &target, &options.answer.state.folder()?)?;
    let path = gather::shown(&out, &scene);
    let (text_shown, copies, next) = (String::new(), Vec::new(), next_steps(&options.out));
    let (read, seen) = (gathered.shown_read(&scene), Seen::Nowhere);
    let mut report = Report { gathered, variables, faults, path, read, text: text_shown, copies, seen, next };
    if options.dry_run {
        report.text = writing::toolgate_yaml(&draft.hidden());
        return report.conclude(options.answer.output, Outcome::DryRun);
    }
    let replacing = match consent(options, &out, &mut report)? {
        Some(replacing) => replacing,
        None => return report.conclude(options.answer.output, Outcome::Declined),
    };
    let privacy = if draft.holds_secrets() { Privacy::Private } else { Privacy::Shared };
    let copies = writing::write(vec![NewFile { path: out, text, privacy }], replacing).map_err(unwritten)?;
    report.copies = copies.iter().map(|copy| gather::shown(copy, &scene)).collect();
    report.conclude(options.answer.output, Outcome::Written)
}

/// In the working directory our file is found by itself.
fn next_steps(out: &Path) -> Vec<(String, &'static str)> {
    let config = match out == Path::new(OWN_NAME) {
        true => String::new(),
        false => format!(" --config {}", out.display()),
    };
    vec![
        (format!("toolgate validate --connect{config}"), "tries every server"),
        (format!("toolgate install CLIENT{config}"), "lets a client use the gateway"),
    ]
}

/// Replaces secrets by variables, if that is wanted; returns those that are to be set.
pub(super) fn apply(secrets: Secrets, servers: &mut [DraftServer]) -> Vec<Variable> {
    match secrets {
        Secrets::Keep => Vec::new(),
        Secrets::Env => {
            let mut variables = Variables::beside(servers);
            servers.iter_mut().for_each(|server| variables.replace(server));
            variables.all().to_vec()
        }
    }
}

pub(super) fn draft(command: &'static str, gathered: &Gathered) -> Draft {
    Draft {
        header: Header { command, sources: gathered.sources.clone() },
        servers: gathered.servers.clone(),
        rules: gathered.rules.clone(),
    }
}

pub(super) fn unwritten(error: writing::WriteError) -> CliError {
    CliError::Gateway(error.to_string())
}

fn gather(options: &Options, scene: &Scene<'_>) -> Result<Gathered, CliError> {
    let mut gathered = Gathered::default();
    if options.sources.is_empty() && options.from.is_empty() {
        let servers = config::find_servers_of_peer(&scene.surroundings());
        if let Some(servers) = &servers {
            gathered.take_file(servers, scene)?;
        }
        gathered.take_rules_of(servers.as_deref(), scene)?;
        if gathered.read.is_empty() {
            let problem = "there is no .mcp.json and no .mcp-gateway-rules.json here: name a file or a client \
                           (`toolgate install --list` shows the clients on this machine)";
            return Err(CliError::Gateway(problem.to_owned()));
        }
        return Ok(gathered);
    }
    for source in &options.sources {
        match Client::from_str(source, false) {
            Ok(client) => take_client(client, &mut gathered, scene)?,
            Err(_) => gathered.take_file(Path::new(source), scene)?,
        }
    }
    for client in &options.from {
        take_client(*client, &mut gathered, scene)?;
    }
    gathered.take_rules_beside(scene)?;
    Ok(gathered)
}

fn take_client(client: Client, gathered: &mut Gathered, scene: &Scene<'_>) -> Result<(), CliError> {
    if gathered.take_client(client, scene)? {
        return Ok(());
    }
    let places = client.places(&scene.machine);
    let mut places: Vec<String> = places.iter().map(|place| gather::shown(&place.path, scene)).collect();
    places.dedup();
    Err(CliError::Gateway(format!("{client} has no file here (looked for {})", places.join(", "))))
}

/// Asks whether a file that is there may be replaced; none: it may not.
fn consent(options: &Options, out: &Path, report: &mut Report) -> Result<Option<Replacing>, CliError> {
    if out.symlink_metadata().is_err() {
        return Ok(Some(Replacing::Nothing));
    }
    if options.yes {
        return Ok(Some(Replacing::WithCopy));
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(CliError::NobodyToAsk);
    }
    eprintln!("{}", report.summary());
    report.seen = Seen::OnTerminal;
    let question =
        format!("{} is there already. Replace it, and keep a copy?", output::printable(&report.path));
    Ok(asking::confirm(&question)?.then_some(Replacing::WithCopy))
}

/// Reads a variable. One that is not text counts as not set.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

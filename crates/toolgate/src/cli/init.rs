//! `toolgate init`: a wizard. Finds the servers of the clients on this machine, asks who may use which
//! (`init/questions.rs`), and writes the files. Nothing touches the disk before the last answer is given.

use std::{
    env,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use domain::{AgentId, InvalidName};

use super::{
    CliError,
    import::{
        self, OWN_NAME, Secrets, asking,
        gather::{self, Gathered, Scene},
        proof,
        report::{Outcome, Report, Seen},
    },
    install::Around,
    options::AnswerOptions,
    output,
};
use crate::{
    clients::Client,
    writing::{self, Draft, NewFile, Privacy, Replacing, RulesDraft},
};

mod answers;
mod next;
mod questions;

use answers::{Answers, Source};

/// agent-mcp-gateway's files.
const PEER_SERVERS: &str = ".mcp.json";
const PEER_RULES: &str = ".mcp-gateway-rules.json";

/// Options of `init`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  toolgate init
  toolgate init --yes                                    Every server that is found, one agent, ./toolgate.yaml
  toolgate init --from cursor --agents researcher,backend --grant backend=postgres --yes
  toolgate init --format agent-mcp-gateway --out ~/.config/agent-mcp-gateway

What is there already is only replaced after a question, or with --force, and a copy of it is kept.

Exit codes: 0 written, 1 failed or declined, 3 written, but a server was left out.")]
pub struct Options {
    /// One agent, `default`, with every server
    #[arg(long, conflicts_with_all = ["multi_agent", "agents", "grants"])]
    single_agent: bool,
    /// Several agents, each with its servers
    #[arg(long)]
    multi_agent: bool,
    /// Names of the agents
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = parse_agent)]
    agents: Vec<AgentId>,
    /// Servers of an agent, as `backend=postgres,github` [default: every server]
    #[arg(long = "grant", value_name = "AGENT=SERVERS", value_parser = parse_grant)]
    grants: Vec<Grant>,
    /// A client whose servers to take [default: every client on this machine]
    #[arg(long, value_enum, value_name = "CLIENT")]
    from: Vec<Client>,
    /// Servers to take, of those that are found [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    servers: Option<Vec<String>>,
    /// The files to write
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// The folder of the files
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// What happens to values that look like secrets
    #[arg(long, value_enum, default_value_t)]
    secrets: Secrets,
    /// Replace what is there; copies are kept
    #[arg(long)]
    force: bool,
    /// Take the defaults instead of asking
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    answer: AnswerOptions,
}

/// Which files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// toolgate.yaml
    Toolgate,
    /// .mcp.json and .mcp-gateway-rules.json
    AgentMcpGateway,
}

/// How many agents there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Single,
    Multi,
}

/// The servers of an agent.
#[derive(Debug, Clone)]
struct Grant {
    agent: AgentId,
    servers: Vec<String>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let source = match options.yes {
        true => Source::Defaults,
        false if io::stdin().is_terminal() && io::stderr().is_terminal() => Source::Person,
        false => return Err(nobody()),
    };
    let around = Around::new()?;
    let out = around.folder.join(&options.out);
    let program = env::current_exe().ok();
    let scene = Scene { machine: around.machine(), target: &out, program: program.as_deref() };
    let mut gathered = look_around(options, &scene)?;
    if source == Source::Person {
        eprintln!("{}\n", greeting(&gathered));
    }
    let Some(Answers { servers, grants, format }) = answers::collect(options, &gathered, source)? else {
        return declined();
    };
    gathered.servers = servers;
    gathered.rules = Some(RulesDraft::of_grants(&grants));
    let variables = import::apply(options.secrets, &mut gathered.servers);
    let draft = import::draft("toolgate init", &gathered);
    let files = files(&draft, format, &out);
    let faults = match format {
        FileFormat::Toolgate => proof::check(&files[0].text, &out, &options.answer.state.folder()?)?,
        FileFormat::AgentMcpGateway => Vec::new(),
    };
    let paths: Vec<String> = files.iter().map(|file| gather::shown(&file.path, &scene)).collect();
    let path = paths.join(" and ");
    let next = next::steps(&options.out, format, &grants);
    // What was found and looked into is told in the greeting.
    let (read, text, copies, seen) = (Vec::new(), String::new(), Vec::new(), Seen::Nowhere);
    let mut report = Report { gathered, variables, faults, path, read, text, copies, seen, next };
    let Some(replacing) = consent(options, source, &files, &mut report)? else { return declined() };
    let copies = writing::write(files, replacing).map_err(import::unwritten)?;
    report.copies = copies.iter().map(|copy| gather::shown(copy, &scene)).collect();
    report.conclude(options.answer.output, Outcome::Written)
}

/// What `toolgate --init` does, which agent-mcp-gateway has: its two files, in its folder.
pub(super) fn run_like_peer() -> Result<ExitCode, CliError> {
    let around = Around::new()?;
    let has_person = io::stdin().is_terminal() && io::stderr().is_terminal();
    run(&Options {
        format: Some(FileFormat::AgentMcpGateway),
        out: around.machine().home.join(".config/agent-mcp-gateway"),
        yes: !has_person,
        ..Options::default()
    })
}

/// Looks into the files of clients. One that cannot be read is said, and stops nothing unless it was asked for.
fn look_around(options: &Options, scene: &Scene<'_>) -> Result<Gathered, CliError> {
    let mut gathered = Gathered::default();
    for client in &options.from {
        gathered.take_client(*client, scene)?;
    }
    if options.from.is_empty() {
        for client in Client::ALL {
            if let Err(error) = gathered.take_client(client, scene) {
                gathered.notes.push(format!("{client} is left out: {error}."));
            }
        }
    }
    gathered.note_rules_beside(scene);
    Ok(gathered)
}

fn greeting(gathered: &Gathered) -> String {
    let count = gathered.servers.len();
    match count {
        0 => "No client on this machine has servers yet; the gateway begins with a built-in demo server."
            .to_owned(),
        1 => format!("One server was found in {}.", output::printable(&gathered.sources.join(", "))),
        _ => format!("{count} servers were found in {}.", output::printable(&gathered.sources.join(", "))),
    }
}

fn files(draft: &Draft, format: FileFormat, out: &Path) -> Vec<NewFile> {
    let privacy = if draft.holds_secrets() { Privacy::Private } else { Privacy::Shared };
    let file = |name: &str, text: String, privacy| NewFile { path: out.join(name), text, privacy };
    match format {
        FileFormat::Toolgate => vec![file(OWN_NAME, writing::toolgate_yaml(draft), privacy)],
        FileFormat::AgentMcpGateway => {
            let mut files = vec![file(PEER_SERVERS, writing::mcp_json(draft), privacy)];
            let rules = draft.rules.iter().map(writing::rules_json);
            files.extend(rules.map(|text| file(PEER_RULES, text, Privacy::Shared)));
            files
        }
    }
}

/// Decides about files that are there, and asks for the last time; none: nothing may be written.
fn consent(
    options: &Options,
    source: Source,
    files: &[NewFile],
    report: &mut Report,
) -> Result<Option<Replacing>, CliError> {
    let there: Vec<&NewFile> = files.iter().filter(|file| file.path.symlink_metadata().is_ok()).collect();
    let replacing = match there.first() {
        None => Replacing::Nothing,
        Some(_) if options.force => Replacing::WithCopy,
        Some(first) if source == Source::Defaults => {
            let path = first.path.display();
            return Err(CliError::Gateway(format!(
                "`{path}` exists already (`--force` replaces it and keeps a copy)"
            )));
        }
        Some(_) => {
            let names =
                there.iter().filter_map(|file| file.path.file_name()).map(|name| name.to_string_lossy());
            let names = names.collect::<Vec<_>>().join(" and ");
            if !asking::confirm(&format!("{names} is there already. Replace it, and keep a copy?"))? {
                return Ok(None);
            }
            Replacing::WithCopy
        }
    };
    if source == Source::Person {
        eprintln!("\n{}\n", report.summary());
        report.seen = Seen::OnTerminal;
        return Ok(questions::write(&report.path)?.then_some(replacing));
    }
    Ok(Some(replacing))
}

fn declined() -> Result<ExitCode, CliError> {
    output::print("Nothing was written.")?;
    Ok(ExitCode::FAILURE)
}

fn nobody() -> CliError {
    CliError::Gateway(
        "nothing was written: there is no terminal to ask on (`--yes` takes the defaults)".to_owned(),
    )
}

fn parse_agent(name: &str) -> Result<AgentId, InvalidName> {
    AgentId::new(name.trim())
}

/// Reads names with commas between them.
fn parse_agents(text: &str) -> Result<Vec<AgentId>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let agents = names.map(AgentId::new).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if agents.is_empty() { Err("write at least one name".to_owned()) } else { Ok(agents) }
}

fn parse_grant(text: &str) -> Result<Grant, String> {
    let (agent, servers) = text.split_once('=').ok_or("write for example `backend=postgres,github`")?;
    let agent = parse_agent(agent).map_err(|error| error.to_string())?;
    let servers = servers.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(Grant { agent, servers: servers.collect() })
}

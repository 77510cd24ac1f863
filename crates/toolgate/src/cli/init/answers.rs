//! The answers of the wizard: from the command line, from the person, or the defaults, in this order.

use std::collections::BTreeMap;

use domain::AgentId;

use super::{
    super::{CliError, import::gather::Gathered},
    FileFormat, Mode, Options, questions,
};
use crate::writing::{DraftServer, Grants};

/// What shall be written.
pub(super) struct Answers {
    pub(super) servers: Vec<DraftServer>,
    pub(super) grants: Grants,
    pub(super) format: FileFormat,
}

/// Where answers come from that the command line does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Somebody is asked.
    Person,
    /// Nobody is: the defaults.
    Defaults,
}

/// Collects the answers; none: the person went away.
///
/// # Errors
/// [`CliError`] when the command line contradicts what was found, or the terminal fails.
pub(super) fn collect(
    options: &Options,
    gathered: &Gathered,
    source: Source,
) -> Result<Option<Answers>, CliError> {
    let Some(mut servers) = servers(options, gathered, source)? else { return Ok(None) };
    let Some(mode) = mode(options, source)? else { return Ok(None) };
    let Some(grants) = grants(options, mode, &servers, source)? else { return Ok(None) };
    let format = match (options.format, source) {
        (Some(format), _) => format,
        (None, Source::Defaults) => FileFormat::Toolgate,
        (None, Source::Person) => match questions::format()? {
            Some(format) => format,
            None => return Ok(None),
        },
    };
    if servers.is_empty() && format == FileFormat::Toolgate {
        servers.push(DraftServer::demo());
    }
    Ok(Some(Answers { servers, grants, format }))
}

fn servers(
    options: &Options,
    gathered: &Gathered,
    source: Source,
) -> Result<Option<Vec<DraftServer>>, CliError> {
    let found = &gathered.servers;
    if let Some(names) = &options.servers {
        let chosen = names.iter().map(|name| {
            let server = found.iter().find(|server| server.name == *name);
            server.cloned().ok_or_else(|| CliError::Gateway(format!("no client has a server `{name}`")))
        });
        return chosen.collect::<Result<_, _>>().map(Some);
    }
    match source {
        Source::Person if !found.is_empty() => questions::servers(found),
        Source::Person | Source::Defaults => Ok(Some(found.clone())),
    }
}

fn mode(options: &Options, source: Source) -> Result<Option<Mode>, CliError> {
    if options.single_agent {
        return Ok(Some(Mode::Single));
    }
    if options.multi_agent || !options.agents.is_empty() || !options.grants.is_empty() {
        return Ok(Some(Mode::Multi));
    }
    match source {
        Source::Person => questions::mode(),
        Source::Defaults => Ok(Some(Mode::Single)),
    }
}

fn grants(
    options: &Options,
    mode: Mode,
    servers: &[DraftServer],
    source: Source,
) -> Result<Option<Grants>, CliError> {
    if mode == Mode::Single {
        return Ok(Some(Grants::SingleAgent));
    }
    let Some(agents) = agents(options, source)? else { return Ok(None) };
    let mut grants = BTreeMap::new();
    for agent in agents {
        let given = options.grants.iter().find(|grant| grant.agent == agent);
        let granted = match (given, source) {
            (Some(grant), _) => Some(known(&grant.servers, servers)?),
            // Whoever asks nobody gets what can be narrowed, and not what must be widened.
            (None, Source::Defaults) => Some(servers.iter().map(|server| server.name.clone()).collect()),
            (None, Source::Person) if servers.is_empty() => Some(Vec::new()),
            (None, Source::Person) => questions::grant(&agent, servers)?,
        };
        let Some(granted) = granted else { return Ok(None) };
        grants.insert(agent.to_string(), granted);
    }
    Ok(Some(Grants::MultiAgent(grants)))
}

fn agents(options: &Options, source: Source) -> Result<Option<Vec<AgentId>>, CliError> {
    let mut agents = options.agents.clone();
    agents.extend(options.grants.iter().map(|grant| grant.agent.clone()));
    match (agents.is_empty(), source) {
        (false, _) => Ok(Some(agents)),
        (true, Source::Person) => questions::agents(),
        (true, Source::Defaults) => {
            Err(CliError::Gateway("several agents need names: give them with `--agents a,b`".to_owned()))
        }
    }
}

/// Requires that every name is a server's.
fn known(names: &[String], servers: &[DraftServer]) -> Result<Vec<String>, CliError> {
    match names.iter().find(|name| *name != "*" && !servers.iter().any(|server| server.name == **name)) {
        Some(unknown) => {
            Err(CliError::Gateway(format!("`--grant` names the server `{unknown}`, which is not chosen")))
        }
        None => Ok(names.to_vec()),
    }
}

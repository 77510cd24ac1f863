//! What the wizard asks, one question a function. An answer that is none means that the person went away.

use std::fmt;

use domain::AgentId;
use inquire::{
    Confirm, MultiSelect, Select, Text,
    validator::{ErrorMessage, Validation},
};

use super::{
    super::{CliError, import::asking::answered, output},
    FileFormat, Mode, parse_agents,
};
use crate::writing::DraftServer;

/// Servers that are shown at once.
const PAGE: usize = 12;

/// A server in a list.
struct Choice<'a>(&'a DraftServer);

impl fmt::Display for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(server) = self;
        let line = format!("{}: {}, from {}", server.name, server.shown(), server.origin);
        f.write_str(&output::printable(&line))
    }
}

/// Which of the servers shall stand behind the gateway?
pub(super) fn servers(found: &[DraftServer]) -> Result<Option<Vec<DraftServer>>, CliError> {
    let choices = found.iter().map(Choice).collect();
    let asked = MultiSelect::new("Which servers shall stand behind the gateway?", choices)
        .with_all_selected_by_default()
        .with_page_size(PAGE)
        .with_formatter(&|chosen| names(chosen.iter().map(|choice| choice.value.0.name.as_str())));
    let chosen = answered(asked.prompt())?;
    Ok(chosen.map(|chosen| chosen.into_iter().map(|Choice(server)| server.clone()).collect()))
}

/// One agent, or several?
pub(super) fn mode() -> Result<Option<Mode>, CliError> {
    const SINGLE: &str = "one agent: it may use every server";
    const MULTI: &str = "several agents: each may use the servers that you choose";
    let chosen = answered(Select::new("Who will use the gateway?", vec![SINGLE, MULTI]).prompt())?;
    Ok(chosen.map(|chosen| if chosen == SINGLE { Mode::Single } else { Mode::Multi }))
}

/// What are the agents called?
pub(super) fn agents() -> Result<Option<Vec<AgentId>>, CliError> {
    let check = |text: &str| match parse_agents(text) {
        Ok(_) => Ok(Validation::Valid),
        Err(problem) => Ok(Validation::Invalid(ErrorMessage::Custom(problem))),
    };
    let asked = Text::new("Names of the agents, with commas between them:")
        .with_placeholder("researcher, backend")
        .with_validator(check);
    let text = answered(asked.prompt())?;
    text.map(|text| parse_agents(&text).map_err(CliError::Gateway)).transpose()
}

/// Which servers may this agent use?
pub(super) fn grant(agent: &AgentId, servers: &[DraftServer]) -> Result<Option<Vec<String>>, CliError> {
    let question = format!("Which servers may `{}` use?", output::printable(agent.as_str()));
    let shown: Vec<String> = servers.iter().map(|server| output::printable(&server.name)).collect();
    let asked = MultiSelect::new(&question, shown).with_all_selected_by_default().with_page_size(PAGE);
    let chosen = answered(asked.raw_prompt())?;
    Ok(chosen.map(|chosen| chosen.iter().map(|option| servers[option.index].name.clone()).collect()))
}

/// Which files?
pub(super) fn format() -> Result<Option<FileFormat>, CliError> {
    const OWN: &str = "toolgate.yaml: everything in one file, with comments";
    const PEER: &str = ".mcp.json and .mcp-gateway-rules.json, as agent-mcp-gateway has them";
    let chosen = answered(Select::new("Which files shall be written?", vec![OWN, PEER]).prompt())?;
    Ok(chosen.map(|chosen| if chosen == OWN { FileFormat::Toolgate } else { FileFormat::AgentMcpGateway }))
}

/// The last question before the disk is touched.
pub(super) fn write(files: &str) -> Result<bool, CliError> {
    let question = format!("Write {}?", output::printable(files));
    Ok(answered(Confirm::new(&question).with_default(true).prompt())?.unwrap_or(false))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(output::printable).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

//! Rules: found, read and compiled into the policy in force. What they mean is `policy`'s.

use std::path::{Path, PathBuf};

use domain::{AgentId, AgentSource, ConfigFault, ServerId};
use identity::TokenRecord;
use policy::{Built, Notice, Policy, Reading, Rules};

use super::{
    diagnostic::{Diagnostic, Severity},
    document::Document,
    error::LoadError,
    find, jsonc,
    load::{Choices, Compat, Surroundings},
    own::refused,
    suggest,
};

/// Rules with where they were written.
pub(super) struct Written {
    /// The policy of these rules.
    pub(super) policy: Policy,
    /// Their file; none for the section of `toolgate.yaml`.
    pub(super) file: Option<PathBuf>,
    /// What works and is probably not as intended.
    pub(super) warnings: Vec<Diagnostic>,
    document: Document,
    /// Where in the document they stand.
    section: Vec<String>,
}

/// Reads the rules of the file at `path`.
///
/// # Errors
/// [`LoadError`]: with broken rules nobody may be let in.
pub(super) fn read_file(
    path: &Path,
    compat: Compat,
    around: &Surroundings<'_>,
) -> Result<Written, LoadError> {
    let text = find::read(path, around)?;
    let document = jsonc::read(&path.display().to_string(), text).map_err(|fault| refused(vec![*fault]))?;
    let value = document.root().to_json();
    let reading = match compat {
        Compat::Toolgate => Reading::Strict,
        Compat::AgentMcpGateway => {
            policy::peer_validation::gateway_rules(&value)
                .map_err(|problem| LoadError::refused_by_peer(&problem))?;
            Reading::AgentMcpGateway
        }
    };
    compile(document, Vec::new(), &value, reading, Some(path.to_owned())).map_err(refused)
}

/// Reads the section `rules` of `toolgate.yaml`.
///
/// # Errors
/// Every fault, with its place.
pub(super) fn read_section(document: &Document) -> Option<Result<Written, Vec<Diagnostic>>> {
    let section = document.root().entry("rules")?;
    let path = vec!["rules".to_owned()];
    Some(compile(document.clone(), path, &section.value.to_json(), Reading::Own, None))
}

fn compile(
    document: Document,
    section: Vec<String>,
    rules: &serde_json::Value,
    reading: Reading,
    file: Option<PathBuf>,
) -> Result<Written, Vec<Diagnostic>> {
    let shown = |faults: Vec<ConfigFault>| -> Vec<Diagnostic> {
        faults.iter().map(|fault| super::build::placed(&document, &section, fault)).collect()
    };
    let config = policy::rules::read(rules, reading).map_err(shown)?;
    let Built { rules, warnings } = Rules::build(&config, reading).map_err(shown)?;
    let warnings = warnings.iter().map(|notice| noticed(&document, &section, notice)).collect();
    Ok(Written { policy: Policy::with_rules(rules), file, warnings, document, section })
}

fn noticed(document: &Document, section: &[String], notice: &Notice) -> Diagnostic {
    let path: Vec<String> = section.iter().chain(&notice.path).cloned().collect();
    let diagnostic =
        document.diagnose(Severity::Warning, document.locate(&path), &path, notice.problem.clone());
    match &notice.help {
        Some(help) => diagnostic.with_help(help.clone()),
        None => diagnostic,
    }
}

impl Written {
    /// Warns of what is looser than by default; what these rules lose by it, each of their own warnings says.
    pub(super) fn warn_of_looseness(&mut self) {
        let is_loose = self.policy.rules().is_some_and(|rules| rules.reading() == Reading::AgentMcpGateway);
        if is_loose {
            let warning = Diagnostic::warning(
                "the rules are read as agent-mcp-gateway reads them: where they have holes, more is allowed than by default",
            );
            let help = "leave `compat` out to close them; `toolgate policy explain --agent NAME` shows what an agent may do";
            self.warnings.insert(0, warning.with_help(help));
        }
    }

    /// Warns of an agent for callers that name none, if somebody chose it and it has no rules.
    pub(super) fn warn_of_unknown_agent(&mut self, agent: &AgentId, source: AgentSource) {
        let Some(rules) = self.policy.rules() else { return };
        if source == AgentSource::Builtin || rules.has_agent(agent.as_str()) {
            return;
        }
        let problem = format!("callers that name no agent are `{agent}`, which has no rules");
        self.warnings.push(with_suggestion(Diagnostic::warning(problem), agent, rules));
    }

    /// Warns of tokens of agents that have no rules.
    pub(super) fn warn_of_unknown_token_agents(&mut self, tokens: &[TokenRecord], document: &Document) {
        let Some(rules) = self.policy.rules() else { return };
        for (index, token) in tokens.iter().enumerate() {
            let agent = &token.principal().agent;
            if rules.has_agent(agent.as_str()) {
                continue;
            }
            let path = ["tokens".to_owned(), index.to_string(), "agent".to_owned()];
            let problem = format!("token `{}` names the agent `{agent}`, which has no rules", token.id());
            let warning = document.diagnose(Severity::Warning, document.locate(&path), &path, problem);
            self.warnings.push(with_suggestion(warning, agent, rules));
        }
    }

    /// Warns of servers that the rules name and nobody configured.
    pub(super) fn warn_of_unknown_servers(&mut self, configured: &[ServerId]) {
        let Some(rules) = self.policy.rules() else { return };
        let notices = rules.unknown_servers(configured);
        let warnings = notices.iter().map(|notice| noticed(&self.document, &self.section, notice));
        self.warnings.extend(warnings);
    }
}

fn with_suggestion(warning: Diagnostic, agent: &AgentId, rules: &Rules) -> Diagnostic {
    let known: Vec<&str> = rules.agent_ids().collect();
    match suggest::closest(agent.as_str(), &known) {
        Some(meant) => warning.with_help(format!("did you mean `{meant}`?")),
        None => warning,
    }
}

/// Finds and reads the rules of a configuration that has no section for them.
pub(super) fn load_found(
    servers: Option<&Path>,
    choices: &Choices,
    around: &Surroundings<'_>,
) -> Result<Option<Written>, LoadError> {
    let found = find::find_rules(choices.rules.as_deref(), servers, around);
    found.map(|path| read_file(&path, choices.compat, around)).transpose()
}

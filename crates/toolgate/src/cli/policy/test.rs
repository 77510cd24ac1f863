//! `toolgate policy test`: one decision, with the rule that made it.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use domain::{AgentId, InvalidName};
use policy::Verdict;
use serde_json::{Value, json};

use super::{
    super::{
        CliError,
        output::{self, Format},
    },
    Where, batch,
    setting::Setting,
};

/// Options of `policy test`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The agent [default: a caller that names none]
    #[arg(long, value_name = "NAME", value_parser = parse_agent, conflicts_with = "batch")]
    agent: Option<AgentId>,
    /// The server
    #[arg(long, value_name = "NAME", required_unless_present = "batch", conflicts_with = "batch")]
    server: Option<String>,
    /// The tool; without it the question is about the server
    #[arg(long, value_name = "NAME", conflicts_with = "batch")]
    tool: Option<String>,
    /// Many questions, an object on each line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let setting = Setting::load(&options.place)?;
    if let Some(file) = &options.batch {
        return batch::run(file, &setting, options.output);
    }
    let decision = Decision::make(
        &setting,
        options.agent.as_ref(),
        options.server.as_deref().unwrap_or_default(),
        options.tool.as_deref(),
    );
    match options.output {
        Format::Json => output::print_json(&decision.json())?,
        Format::Text => output::print(&decision.text())?,
    }
    Ok(if decision.verdict.allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A question with its answer.
pub(super) struct Decision {
    agent: String,
    server: String,
    tool: Option<String>,
    pub(super) verdict: Verdict,
    note: Option<String>,
}

impl Decision {
    /// Decides as the gateway would for a caller without a token.
    pub(super) fn make(setting: &Setting, agent: Option<&AgentId>, server: &str, tool: Option<&str>) -> Self {
        let caller = setting.caller(agent);
        let verdict = setting.policy.judge(&caller, server, tool);
        let note = match setting.policy.require_agent(&caller) {
            // The reason a client gets has lines of its own.
            Err(nobody) => Some(format!("{}: {}", nobody.code(), nobody.to_string().replace('\n', " "))),
            Ok(()) if !setting.has_server(server) => Some(format!("no server `{server}` is configured")),
            Ok(()) => None,
        };
        let (server, tool) = (server.to_owned(), tool.map(str::to_owned));
        Self { agent: caller.agent.to_string(), server, tool, verdict, note }
    }

    /// Returns who asks for what, in one line: `✓ ALLOW  backend → postgres/query`.
    pub(super) fn line(&self) -> String {
        let sign = if self.verdict.allowed { "✓ ALLOW " } else { "✗ DENY  " };
        let tool = self.tool.as_deref().map_or_else(String::new, |tool| format!("/{tool}"));
        output::printable(&format!("{sign} {} → {}{tool}", self.agent, self.server))
    }

    fn text(&self) -> String {
        let Verdict { rule, step, reason, .. } = &self.verdict;
        let step = step.to_string();
        let rows = [
            ("rule", rule.as_str()),
            ("step", &step),
            ("reason", reason),
            ("note", self.note.as_deref().unwrap_or_default()),
        ];
        let rows = rows.into_iter().filter(|(_, text)| !text.is_empty());
        let rows = rows.map(|(name, text)| format!("\n  {name:<6}  {}", output::printable(text)));
        self.line() + &rows.collect::<String>()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "agent": self.agent,
            "server": self.server,
            "tool": self.tool,
            "allowed": self.verdict.allowed,
            "rule": self.verdict.rule,
            "step": self.verdict.step,
            "reason": self.verdict.reason,
            "note": self.note,
        })
    }
}

pub(super) fn parse_agent(name: &str) -> Result<AgentId, InvalidName> {
    AgentId::new(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(agent: Option<&str>, server: &str, tool: Option<&str>, expected: &[&str]) {
        let rules = json!({
            "agents": {
                "backend": {"allow": {"servers": ["postgres"]}, "deny": {"tools": {"postgres": ["drop_*"]}}},
            },
        });
        let setting = Setting::of_rules(&rules, &["postgres", "web"]);
        let agent = agent.map(|name| AgentId::new(name).unwrap());
        let text = Decision::make(&setting, agent.as_ref(), server, tool).text();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn decisions_name_their_rule() {
        check(
            Some("backend"),
            "postgres",
            Some("query"),
            &[
                "✓ ALLOW  backend → postgres/query",
                "  rule    agents.backend.allow.servers[0]",
                "  step    implicit_grant",
                "  reason  Tool 'query' allowed for agent 'backend': server 'postgres' is granted and no list narrows its tools",
            ],
        );
        check(
            Some("backend"),
            "postgres",
            Some("drop_table"),
            &[
                "✗ DENY   backend → postgres/drop_table",
                "  rule    agents.backend.deny.tools.postgres[0]",
                "  step    tool_deny_wildcard",
                "  reason  Tool 'drop_table' denied by pattern 'drop_*' for agent 'backend' on server 'postgres'",
            ],
        );
        check(
            Some("backend"),
            "redis",
            None,
            &[
                "✗ DENY   backend → redis",
                "  rule    agents.backend.allow.servers",
                "  step    server_not_allowed",
                "  reason  Server 'redis' not in allowed list for agent 'backend'",
                "  note    no server `redis` is configured",
            ],
        );
    }

    #[test]
    fn nobody_is_refused_with_the_code_of_the_gateway() {
        check(
            None,
            "postgres",
            None,
            &[
                "✗ DENY   default → postgres",
                "  rule    defaults.deny_on_missing_agent",
                "  step    agent_missing",
                "  reason  No agent was named; default policy denies access",
                "  note    INVALID_AGENT_ID: Missing required parameter 'agent_id'. All tool calls must include agent identity.",
            ],
        );
    }
}

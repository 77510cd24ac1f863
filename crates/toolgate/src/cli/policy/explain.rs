//! `toolgate policy explain`: what an agent may use, server by server, and by which rules.

use std::process::ExitCode;

use clap::Args;
use domain::{AgentId, AgentSource, Principal};
use policy::{Explanation, Pattern, Reading, Rules, Verdict, rules::ExplainedRule};
use serde_json::{Value, json};

use super::{
    super::{
        CliError,
        output::{self, Format},
    },
    Where,
    setting::Setting,
    test::parse_agent,
};

/// Options of `policy explain`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The agent
    #[arg(long, value_name = "NAME", value_parser = parse_agent)]
    agent: AgentId,
    /// This server alone
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let setting = Setting::load(&options.place)?;
    let found = Found::of(&setting, &options.agent, options.server.as_deref());
    match options.output {
        Format::Json => output::print_json(&found.json())?,
        Format::Text => output::print(&found.text())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What an agent may use.
struct Found {
    agent: String,
    standing: Standing,
    servers: Vec<FoundServer>,
    /// Servers that the agent's rules name and that are not configured.
    unknown: Vec<String>,
    notes: Vec<String>,
    /// What becomes of a caller that names no agent.
    unnamed: String,
}

/// What an agent stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    NoPolicy,
    InRules,
    NotInRules,
}

/// A configured server.
struct FoundServer {
    name: String,
    verdict: Verdict,
    /// Whether only the tools in `allowed` are granted.
    narrowed: bool,
    allowed: Vec<ExplainedRule>,
    denied: Vec<ExplainedRule>,
}

impl Found {
    fn of(setting: &Setting, agent: &AgentId, only: Option<&str>) -> Self {
        let caller = setting.caller(Some(agent));
        let rules = setting.policy.rules();
        let explanation = rules.map(|rules| rules.explain(agent.as_str()));
        let standing = match &explanation {
            None => Standing::NoPolicy,
            Some(explanation) if explanation.has_rules => Standing::InRules,
            Some(_) => Standing::NotInRules,
        };
        let configured = setting.servers.iter().map(|server| server.as_str());
        let missing = only.filter(|name| !setting.has_server(name));
        let asked = configured.filter(|name| only.is_none_or(|only| only == *name)).chain(missing);
        let server = |name: &str| FoundServer::of(setting, &caller, explanation.as_ref(), name);
        let mut notes = explanation.as_ref().map_or_else(Vec::new, |explanation| explanation.notes.clone());
        notes.extend(missing.map(|name| format!("no server `{name}` is configured")));
        Self {
            agent: agent.to_string(),
            standing,
            servers: asked.map(server).collect(),
            unknown: rules.map_or_else(Vec::new, |rules| unknown(rules, setting, agent)),
            notes,
            unnamed: unnamed(setting),
        }
    }

    fn text(&self) -> String {
        let agent = &self.agent;
        let mut lines = vec![match self.standing {
            Standing::NoPolicy => {
                "There is no policy: callers on this machine may use every tool of every server.".to_owned()
            }
            Standing::InRules => format!("The agent `{agent}` is in the rules."),
            Standing::NotInRules => format!("The agent `{agent}` is not in the rules."),
        }];
        lines.extend(self.servers.iter().flat_map(FoundServer::lines));
        lines.extend(self.unknown.iter().chain(&self.notes).map(|note| format!("Note: {note}")));
        if self.standing != Standing::NoPolicy {
            lines.push(self.unnamed.clone());
        }
        lines.iter().map(|line| output::printable(line)).collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> Value {
        json!({
            "agent": self.agent,
            "policy": self.standing != Standing::NoPolicy,
            "in_rules": self.standing == Standing::InRules,
            "servers": self.servers.iter().map(FoundServer::json).collect::<Vec<_>>(),
            "unknown_servers": self.unknown,
            "notes": self.notes,
            "unnamed_caller": self.unnamed,
        })
    }
}

fn unknown(rules: &Rules, setting: &Setting, agent: &AgentId) -> Vec<String> {
    let notices = rules.unknown_servers(&setting.servers).into_iter();
    let own = notices.filter(|notice| notice.path.get(1).is_some_and(|id| id == agent.as_str()));
    own.map(|notice| notice.to_string()).collect()
}

/// The identity chain, as a sentence.
fn unnamed(setting: &Setting) -> String {
    let caller: Principal = setting.caller(None);
    let from = match caller.agent_source {
        AgentSource::Launch => "as the gateway was started",
        AgentSource::Fallback => "as GATEWAY_DEFAULT_AGENT says",
        AgentSource::Builtin | AgentSource::Token | AgentSource::Claimed => "as nobody chose another",
    };
    match setting.policy.require_agent(&caller) {
        Ok(()) => format!("A caller that names no agent is the agent `{}`, {from}.", caller.agent),
        Err(nobody) => format!("A caller that names no agent is refused ({}).", nobody.code()),
    }
}

// === impl FoundServer ===

impl FoundServer {
    fn of(setting: &Setting, caller: &Principal, explanation: Option<&Explanation>, name: &str) -> Self {
        let verdict = setting.policy.judge(caller, name, None);
        let mut server =
            Self { name: name.to_owned(), verdict, narrowed: false, allowed: Vec::new(), denied: Vec::new() };
        let named = explanation.map_or(&[][..], |explanation| explanation.servers.as_slice());
        // To agent-mcp-gateway the keys of lists of tools are names.
        let has_patterns =
            setting.policy.rules().is_some_and(|rules| rules.reading() != Reading::AgentMcpGateway);
        match named.iter().find(|named| named.server == name) {
            Some(own) => {
                server.narrowed = own.narrowed;
                server.allowed.clone_from(&own.allowed);
                server.denied.clone_from(&own.denied);
            }
            None => {
                let matching = named.iter().filter(|named| has_patterns && named.is_pattern());
                for pattern in matching.filter(|named| Pattern::new(&named.server).matches(name)) {
                    // What holds for a server that is called like the pattern may come from another list.
                    let list = format!(".tools.{}[", pattern.server);
                    let of_list = |rule: &&ExplainedRule| rule.rule.contains(&list);
                    server.narrowed |= pattern.narrowed;
                    server.allowed.extend(pattern.allowed.iter().filter(of_list).cloned());
                    server.denied.extend(pattern.denied.iter().filter(of_list).cloned());
                }
            }
        }
        server
    }

    fn lines(&self) -> Vec<String> {
        let Verdict { allowed, rule, .. } = &self.verdict;
        let sign = if *allowed { '✓' } else { '✗' };
        if !allowed {
            return vec![format!("{sign} {}: {}  ({rule})", self.name, self.verdict.reason)];
        }
        let by = if rule.is_empty() { String::new() } else { format!("  ({rule})") };
        let scope = if self.narrowed { "these tools alone" } else { "every tool" };
        let but = if self.denied.is_empty() { "" } else { ", but for the denied" };
        let mut lines = vec![format!("{sign} {}: {scope}{but}{by}", self.name)];
        lines.extend(self.allowed.iter().map(|entry| format!("    ✓ {}  ({})", entry.tool, entry.rule)));
        lines.extend(self.denied.iter().map(|entry| format!("    ✗ {}  ({})", entry.tool, entry.rule)));
        lines
    }

    fn json(&self) -> Value {
        json!({
            "server": self.name,
            "allowed": self.verdict.allowed,
            "rule": self.verdict.rule,
            "step": self.verdict.step,
            "reason": self.verdict.reason,
            "narrowed": self.narrowed,
            "allowed_tools": self.allowed,
            "denied_tools": self.denied,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(agent: &str, expected: &[&str]) {
        let rules = json!({
            "agents": {
                "backend": {
                    "allow": {"servers": ["postgres", "web_*", "redis"], "tools": {"postgres": ["query"], "web_*": ["get_*"]}},
                    "deny": {"servers": ["web_9"], "tools": {"*": ["drop_*"]}},
                },
            },
            "defaults": {"deny_on_missing_agent": false},
        });
        let setting = Setting::of_rules(&rules, &["postgres", "web_1", "web_9", "mail"]);
        let text = Found::of(&setting, &AgentId::new(agent).unwrap(), None).text();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn every_configured_server_is_explained() {
        check(
            "backend",
            &[
                "The agent `backend` is in the rules.",
                "✓ postgres: these tools alone, but for the denied  (agents.backend.allow.servers[0])",
                "    ✓ query  (agents.backend.allow.tools.postgres[0])",
                "    ✗ drop_*  (agents.backend.deny.tools.*[0])",
                "✓ web_1: these tools alone, but for the denied  (agents.backend.allow.servers[1])",
                "    ✓ get_*  (agents.backend.allow.tools.web_*[0])",
                "    ✗ drop_*  (agents.backend.deny.tools.*[0])",
                "✗ web_9: Server 'web_9' explicitly denied for agent 'backend'  (agents.backend.deny.servers[0])",
                "✗ mail: Server 'mail' not in allowed list for agent 'backend'  (agents.backend.allow.servers)",
                "Note: Agent \"backend\" allow.servers references undefined server \"redis\"",
                "A caller that names no agent is refused (NO_FALLBACK_CONFIGURED).",
            ],
        );
    }

    #[test]
    fn a_stranger_gets_nothing_and_is_told_so() {
        check(
            "stranger",
            &[
                "The agent `stranger` is not in the rules.",
                "✗ postgres: Agent 'stranger' not found in rules; default policy denies access  (defaults.deny_on_missing_agent)",
                "✗ web_1: Agent 'stranger' not found in rules; default policy denies access  (defaults.deny_on_missing_agent)",
                "✗ web_9: Agent 'stranger' not found in rules; default policy denies access  (defaults.deny_on_missing_agent)",
                "✗ mail: Agent 'stranger' not found in rules; default policy denies access  (defaults.deny_on_missing_agent)",
                "Note: Agent 'stranger' not found in rules; default policy denies access",
                "A caller that names no agent is refused (NO_FALLBACK_CONFIGURED).",
            ],
        );
    }
}

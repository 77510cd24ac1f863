//! `get_server_tools`: the definitions of one server's tools that the agent may use, filtered and within a budget.
//! A refusal or failure is no error here but stands in the answer, as agent-mcp-gateway has it.

use std::collections::HashSet;

use domain::{ServerId, ToolName};
use policy::{Pattern, Reading, Rules};
use protocol::Object;
use serde::Serialize;
use serde_json::value::RawValue;
use upstream::CallError;

use super::{
    GatewayTool, Told,
    arguments::{self, GetServerTools},
    asked, judged, structured, tokens,
};
use crate::{
    Proxy,
    admission::Admission,
    error::{Failure, shown},
};

/// The answer, with every member of agent-mcp-gateway's always there; `code` and `rule` are ours.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    tools: Vec<Definition<'a>>,
    server: &'a str,
    total_available: usize,
    returned: usize,
    tokens_used: Option<u64>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
}

/// One tool's definition.
#[derive(Debug, Serialize)]
struct Definition<'a> {
    name: &'a str,
    description: String,
    #[serde(rename = "inputSchema")]
    input_schema: &'a RawValue,
}

pub(super) fn answer(proxy: &Proxy, admission: &Admission, arguments: &GetServerTools) -> Told {
    let listed = judged(admission, &arguments.server, None)
        .and_then(|()| given(arguments))
        .and_then(|()| listed(proxy, admission, arguments));
    match listed {
        Ok(answer) => structured::object(&answer, admission.era()).into(),
        Err(failure) => {
            let error = said(&failure, admission, arguments);
            let rule = failure.rule().map(str::to_owned);
            let answer = Answer { rule, ..failed(arguments, failure.symbol(), error) };
            Told { result: structured::object(&answer, admission.era()), failure: Some(failure) }
        }
    }
}

fn given(arguments: &GetServerTools) -> Result<(), Failure> {
    let needed = ("server", arguments.server.as_str(), "the name of a server, from list_servers");
    arguments::given(GatewayTool::GetServerTools, &[needed])
}

fn failed<'a>(arguments: &'a GetServerTools, code: &'static str, error: String) -> Answer<'a> {
    Answer {
        tools: Vec::new(),
        server: &arguments.server,
        total_available: 0,
        returned: 0,
        tokens_used: None,
        error: Some(error),
        code: Some(code),
        rule: None,
    }
}

fn said(failure: &Failure, admission: &Admission, arguments: &GetServerTools) -> String {
    match failure {
        Failure::Denied { .. } => {
            let (agent, server) = (admission.principal().agent.as_str(), &arguments.server);
            format!("Access denied: Agent '{}' cannot access server '{}'", shown(agent), shown(server))
        }
        Failure::Upstream(CallError::Unavailable { server, reason }) => {
            format!("Server unavailable: Failed to list tools from server {server}: {reason}")
        }
        other => crate::error::told(other, &asked(admission, "get_server_tools", &arguments.server, "")),
    }
}

fn listed<'a>(
    proxy: &Proxy,
    admission: &'a Admission,
    arguments: &'a GetServerTools,
) -> Result<Answer<'a>, Failure> {
    let world = admission.world();
    let server = configured(admission, &arguments.server)?;
    let visible = world.catalog.tools_of(server, &admission.sight());
    let visible = visible.ok_or_else(|| {
        Failure::Upstream(CallError::Unavailable {
            server: server.clone(),
            reason: proxy.why_unavailable(server),
        })
    })?;
    let total_available = match world.configured.policy.rules().map(Rules::reading) {
        // agent-mcp-gateway counts what it hides.
        Some(Reading::AgentMcpGateway) => world.catalog.tool_count(server).unwrap_or_default(),
        Some(Reading::Strict | Reading::Own) | None => visible.len(),
    };
    let wanted = Wanted::of(arguments);
    let tools = visible.into_iter().filter(|(name, _)| wanted.takes(name));
    let definitions = tools.map(|(name, json)| Definition::read(name, json));
    let (tools, tokens_used) = match arguments.max_schema_tokens {
        None => (definitions.collect::<Vec<_>>(), None),
        Some(budget) => {
            let (tools, used) = within(u64::try_from(budget).unwrap_or(0), definitions);
            (tools, Some(used))
        }
    };
    let returned = tools.len();
    let (server, error, code, rule) = (arguments.server.as_str(), None, None, None);
    Ok(Answer { tools, server, total_available, returned, tokens_used, error, code, rule })
}

/// Finds a server of the configuration that can be started.
///
/// # Errors
/// [`Failure::UnknownServer`], or that its configuration is faulty.
pub(super) fn configured<'a>(admission: &'a Admission, name: &str) -> Result<&'a ServerId, Failure> {
    let server = admission.world().configured.roster.get(name);
    let server = server.ok_or_else(|| Failure::UnknownServer(shown(name)))?;
    match &server.fault {
        None => Ok(&server.id),
        Some(fault) => {
            let (server, reason) = (server.id.clone(), fault.as_str().into());
            Err(Failure::Upstream(CallError::Unavailable { server, reason }))
        }
    }
}

/// Takes tools in order and stops at the first that would exceed the budget, as agent-mcp-gateway does.
fn within<'a>(budget: u64, definitions: impl Iterator<Item = Definition<'a>>) -> (Vec<Definition<'a>>, u64) {
    let (mut taken, mut used) = (Vec::new(), 0);
    for definition in definitions {
        let schema = definition.input_schema.get();
        let tokens = tokens::of_tool(definition.name, &definition.description, schema);
        if used + tokens > budget {
            break;
        }
        used += tokens;
        taken.push(definition);
    }
    (taken, used)
}

/// Which tools the caller asks for.
struct Wanted<'a> {
    /// `None`: any name.
    names: Option<HashSet<&'a str>>,
    pattern: Option<Pattern>,
}

impl<'a> Wanted<'a> {
    fn of(arguments: &'a GetServerTools) -> Self {
        let names = arguments.names.as_deref().unwrap_or_default().split(',').map(str::trim);
        let names: HashSet<&str> = names.filter(|name| !name.is_empty()).collect();
        let pattern = arguments.pattern.as_deref().filter(|pattern| !pattern.is_empty());
        Self { names: (!names.is_empty()).then_some(names), pattern: pattern.map(Pattern::new) }
    }

    fn takes(&self, tool: &ToolName) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(tool.as_str()))
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(tool.as_str()))
    }
}

impl<'a> Definition<'a> {
    fn read(name: &'a ToolName, json: &'a [u8]) -> Self {
        let object = Object::parse(json, &[]).expect("the catalog read it before");
        let schema = object.get("inputSchema").and_then(|schema| serde_json::from_str(schema).ok());
        Self {
            name: name.as_str(),
            description: object.string("description").unwrap_or_default().into_owned(),
            input_schema: schema.unwrap_or(RawValue::NULL),
        }
    }
}

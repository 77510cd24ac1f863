//! `search_tools`: the tools that fit a purpose best, among those that the agent may use. Servers that could not be
//! searched are named, so that nobody takes an absent tool for one that does not exist (`unready.rs`).

use bytes::Bytes;
use catalog::{Hit, Seen, Sight, signature};
use domain::{ServerId, ToolName};
use protocol::Object;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    arguments::{Detail, SearchTools},
    structured,
    unready::{self, Scope},
};
use crate::{Proxy, Snapshot, admission::Admission, error::shown};

/// Tools shown when the caller does not say how many: what a model reads at a glance.
const DEFAULT_LIMIT: usize = 5;
/// The most tools shown at once.
const MAX_LIMIT: usize = 50;

#[derive(Debug, Serialize)]
struct Answer<'a> {
    tools: Vec<Found<'a>>,
    /// Servers that are not ready and so were not searched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_ready: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    server: &'a str,
    tool: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(rename = "inputSchema", skip_serializing_if = "Option::is_none")]
    input_schema: Option<&'a RawValue>,
}

pub(super) fn answer(proxy: &Proxy, admission: &Admission, arguments: &SearchTools) -> Bytes {
    // Agents fill in what they were not asked for: an empty name is none.
    let only = arguments.server.as_deref().filter(|name| !name.is_empty());
    let unready = match unready::scope(admission, only) {
        Scope::Servers { unready } => unready,
        Scope::NoServer { seen } => return no_server(only.unwrap_or_default(), &seen, admission),
    };
    let hits = hits(proxy, admission, arguments, only);
    let tools: Vec<Found<'_>> =
        hits.iter().filter_map(|hit| Found::read(admission.world(), hit, arguments.detail)).collect();
    let text = match (only, unready.first()) {
        (Some(_), Some(server)) => {
            let reason = unready::reason(proxy, admission, server);
            format!("Server `{}` is not ready: {reason}", shown(server.as_str()))
        }
        (Some(_) | None, _) => text(&tools, &unready),
    };
    let answer = Answer { tools, not_ready: unready::bounded(&unready) };
    structured::with_text(&answer, &text, admission.era())
}

fn no_server(name: &str, seen: &[&ServerId], admission: &Admission) -> Bytes {
    let mut text = format!("No server `{}`.", shown(name));
    if !seen.is_empty() {
        text.push_str(&format!(" Servers: {}", unready::listed(seen)));
    }
    structured::with_text(&Answer { tools: Vec::new(), not_ready: Vec::new() }, &text, admission.era())
}

fn hits(proxy: &Proxy, admission: &Admission, arguments: &SearchTools, only: Option<&str>) -> Vec<Hit> {
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let (world, view, sight) = (admission.world(), admission.view(), admission.sight());
    let sees = |server: &ServerId, tool: &ToolName| {
        let is_wanted = only.is_none_or(|only| only == server.as_str());
        let is_seen = match sight.of_server(server) {
            Seen::Nothing => false,
            Seen::SomeTools => sight.sees_tool(server, tool),
            Seen::Everything => true,
        };
        // The index may be ahead of this request's world.
        is_wanted && view.shows(server) && is_seen && world.catalog.tool_json(server, tool).is_some()
    };
    proxy.search.search(&arguments.query, limit, sees)
}

impl<'a> Found<'a> {
    fn read(world: &'a Snapshot, hit: &'a Hit, detail: Detail) -> Option<Self> {
        let json = world.catalog.tool_json(&hit.server, &hit.tool)?;
        let (server, tool) = (hit.server.as_str(), hit.tool.as_str());
        let object = Object::parse(json, &[]).ok()?;
        Some(match detail {
            Detail::Compact => {
                let signature = Some(signature(json));
                Self { server, tool, signature, description: None, input_schema: None }
            }
            Detail::Full => Self {
                server,
                tool,
                signature: None,
                description: object.string("description").map(Into::into),
                input_schema: object.get("inputSchema").and_then(|schema| serde_json::from_str(schema).ok()),
            },
        })
    }

    fn line(&self) -> String {
        match &self.signature {
            Some(signature) => format!("{}: {signature}", self.server),
            None => serde_json::to_string(self).expect("names and JSON texts are JSON"),
        }
    }
}

fn text(tools: &[Found<'_>], unready: &[&ServerId]) -> String {
    let mut lines: Vec<String> = tools.iter().map(Found::line).collect();
    if lines.is_empty() {
        lines.push("No tool fits. Try other words for what it should do.".to_owned());
    }
    if !unready.is_empty() {
        lines.push(format!("Not ready yet, so their tools are missing here: {}", unready::listed(unready)));
    }
    lines.join("\n")
}

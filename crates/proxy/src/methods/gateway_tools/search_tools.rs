//! `search_tools`: the tools that fit a purpose best, among those that the agent may use.

use bytes::Bytes;
use catalog::{Hit, Seen, Sight, signature};
use domain::{ServerId, ToolName};
use protocol::Object;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    arguments::{Detail, SearchTools},
    structured,
};
use crate::{Proxy, Snapshot, admission::Admission};

/// Tools shown when the caller does not say how many: what a model reads at a glance.
const DEFAULT_LIMIT: usize = 5;
/// The most tools shown at once.
const MAX_LIMIT: usize = 50;

#[derive(Debug, Serialize)]
struct Answer<'a> {
    tools: Vec<Found<'a>>,
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
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let (world, sight) = (admission.world(), admission.sight());
    let view = admission.view();
    let sees = |server: &ServerId, tool: &ToolName| {
        let is_wanted = arguments.server.as_ref().is_none_or(|wanted| wanted == server.as_str());
        let is_seen = match sight.of_server(server) {
            Seen::Nothing => false,
            Seen::SomeTools => sight.sees_tool(server, tool),
            Seen::Everything => true,
        };
        // The index may be ahead of this request's world.
        is_wanted && view.shows(server) && is_seen && world.catalog.tool_json(server, tool).is_some()
    };
    let hits = proxy.search.search(&arguments.query, limit, sees);
    let tools: Vec<Found<'_>> =
        hits.iter().filter_map(|hit| Found::read(world, hit, arguments.detail)).collect();
    let text = text(&tools);
    structured::with_text(&Answer { tools }, &text, admission.era())
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

fn text(tools: &[Found<'_>]) -> String {
    if tools.is_empty() {
        return "No tool fits. Try other words for what it should do.".to_owned();
    }
    tools.iter().map(Found::line).collect::<Vec<_>>().join("\n")
}

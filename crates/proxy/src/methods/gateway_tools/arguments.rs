//! The arguments of the gateway's own tools. Unknown and doubled ones are refused, with what is right.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::GatewayTool;
use crate::error::{Failure, shown};

/// Longest search query, in bytes. A person's sentence is a tenth of it.
const MAX_QUERY_BYTES: usize = 4_096;

/// Arguments of `list_servers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListServers {
    /// On whose behalf.
    #[serde(default)]
    pub(super) agent_id: Option<String>,
    /// Whether transport, command and URL are shown.
    #[serde(default)]
    pub(super) include_metadata: bool,
}

/// Arguments of `get_server_tools`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GetServerTools {
    /// On whose behalf.
    #[serde(default)]
    pub(super) agent_id: Option<String>,
    /// The server.
    #[serde(default)]
    pub(super) server: String,
    /// Comma-separated names of tools.
    #[serde(default)]
    pub(super) names: Option<String>,
    /// A glob over names of tools.
    #[serde(default)]
    pub(super) pattern: Option<String>,
    /// The most tokens that the definitions may have.
    #[serde(default)]
    pub(super) max_schema_tokens: Option<i64>,
}

/// Arguments of `execute_tool`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteTool<'a> {
    /// On whose behalf.
    #[serde(default)]
    pub(super) agent_id: Option<String>,
    /// The server.
    #[serde(default)]
    pub(super) server: String,
    /// The server's tool.
    #[serde(default)]
    pub(super) tool: String,
    /// The tool's arguments.
    #[serde(borrow, default)]
    pub(super) args: Option<&'a RawValue>,
    /// The longest time the call may take, in milliseconds; 0 is no limit of its own.
    #[serde(default)]
    pub(super) timeout_ms: Option<u64>,
}

/// Arguments of `search_tools`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchTools {
    /// On whose behalf.
    #[serde(default)]
    pub(super) agent_id: Option<String>,
    /// What the tool should do.
    pub(super) query: String,
    /// Only tools of this server.
    #[serde(default)]
    pub(super) server: Option<String>,
    /// The most tools to show.
    #[serde(default)]
    pub(super) limit: Option<usize>,
    /// How much is shown of each.
    #[serde(default)]
    pub(super) detail: Detail,
}

/// How much a search shows of each tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Detail {
    /// One line: name, parameters, the first sentence of the description.
    #[default]
    Compact,
    /// The whole description and input schema.
    Full,
}

/// Arguments of `get_gateway_status`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GetGatewayStatus {
    /// On whose behalf.
    #[serde(default)]
    pub(super) agent_id: Option<String>,
}

/// Reads the arguments of a tool.
///
/// # Errors
/// [`Failure::Arguments`].
pub(super) fn read<'a, T: Deserialize<'a>>(tool: GatewayTool, json: &'a str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| wrong(tool, &error.to_string()))
}

/// Reads the arguments of `execute_tool`.
///
/// # Errors
/// [`Failure::Arguments`].
pub(super) fn read_execute(json: &str) -> Result<ExecuteTool<'_>, Failure> {
    let read: ExecuteTool<'_> = read(GatewayTool::ExecuteTool, json)?;
    if read.args.is_some_and(|args| !args.get().starts_with('{')) {
        return Err(wrong(GatewayTool::ExecuteTool, "`args` must be an object"));
    }
    Ok(read)
}

/// Reads the arguments of `search_tools`.
pub(super) fn read_search(json: &str) -> Result<SearchTools, Failure> {
    let read: SearchTools = read(GatewayTool::SearchTools, json)?;
    if read.query.len() > MAX_QUERY_BYTES {
        let problem = format!("`query` has more than {MAX_QUERY_BYTES} bytes; a few words find more");
        return Err(Failure::Arguments { tool: GatewayTool::SearchTools.name(), problem });
    }
    Ok(read)
}

/// Says what is wrong without the parser's position, which means nothing to whoever wrote an object.
pub(super) fn wrong(tool: GatewayTool, problem: &str) -> Failure {
    let problem = problem.split(" at line ").next().unwrap_or_default();
    Failure::Arguments { tool: tool.name(), problem: shown_problem(problem) }
}

/// The parser's texts repeat what the caller wrote.
fn shown_problem(problem: &str) -> String {
    problem.split('`').map(shown).collect::<Vec<_>>().join("`")
}

//! What clients are told of the gateway's own tools. Names, parameters and descriptions of the discovery tools are
//! agent-mcp-gateway's, which agents and prompts out there know. `execute_tool` declares no output schema: it would oblige
//! every upstream's result to carry structured content.

use super::GatewayTool;
use crate::admission::Shown;

/// Returns the JSON text of a tool's definition as a listing of this kind has it.
pub(super) const fn of(tool: GatewayTool, shown: Shown) -> &'static str {
    match (tool, shown) {
        (GatewayTool::ListServers, _) => LIST_SERVERS,
        (GatewayTool::GetServerTools, _) => GET_SERVER_TOOLS,
        (GatewayTool::SearchTools, _) => SEARCH_TOOLS,
        (GatewayTool::ExecuteTool, Shown::Search) => EXECUTE_FOUND_TOOL,
        (GatewayTool::ExecuteTool, Shown::Discovery | Shown::Upstreams) => EXECUTE_TOOL,
        (GatewayTool::GetGatewayStatus, _) => GET_GATEWAY_STATUS,
    }
}

const LIST_SERVERS: &str = concat!(
    r#"{"name":"list_servers","#,
    r#""description":"Discover downstream MCP servers available through this gateway. Your access is "#,
    r#"determined by gateway policy rules. Workflow: 1) Call list_servers to discover servers, 2) Call "#,
    r#"get_server_tools to see available tools, 3) Call execute_tool to use them.","#,
    r#""inputSchema":{"properties":{"agent_id":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"#,
    r#""description":"Your agent identifier (leave empty if not provided to you)"},"#,
    r#""include_metadata":{"default":false,"#,
    r#""description":"Include technical details (transport, command, url)","type":"boolean"}},"#,
    r#""type":"object"},"#,
    r#""outputSchema":{"description":"Generic wrapper for non-object return "#,
    r#"types.","properties":{"result":{"items":{"additionalProperties":true,"#,
    r#""type":"object"},"type":"array"}},"required":["result"],"#,
    r#""type":"object","x-fastmcp-wrap-result":true}}"#,
);

const GET_SERVER_TOOLS: &str = concat!(
    r#"{"name":"get_server_tools","#,
    r#""description":"Discover tools available on a downstream MCP server accessed through this gateway. "#,
    r#"Returns only tools you have permission to use (filtered by policy rules). Use the returned tool "#,
    r#"definitions to call execute_tool.","#,
    r#""inputSchema":{"properties":{"agent_id":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"#,
    r#""description":"Your agent identifier (leave empty if not provided to you)"},"#,
    r#""server":{"default":"","description":"Server name from list_servers","type":"string"},"#,
    r#""names":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"#,
    r#""description":"Filter: comma-separated tool names"},"#,
    r#""pattern":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"#,
    r#""description":"Filter: wildcard pattern (e.g., 'get_*')"},"#,
    r#""max_schema_tokens":{"anyOf":[{"type":"integer"},{"type":"null"}],"default":null,"#,
    r#""description":"Limit total tokens in returned schemas"}},"type":"object"},"#,
    r#""outputSchema":{"additionalProperties":true,"type":"object"}}"#,
);

const EXECUTE_TOOL: &str = concat!(
    r#"{"name":"execute_tool","#,
    r#""description":"Execute a tool on a downstream MCP server accessed through this gateway. Gateway "#,
    r#"validates permissions then forwards your request to the server. Returns the server's response "#,
    r#"directly.","#,
    r#""inputSchema":{"properties":{"agent_id":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"#,
    r#""description":"Your agent identifier (leave empty if not provided to you)"},"#,
    r#""server":{"default":"","description":"Server name from list_servers","type":"string"},"#,
    r#""tool":{"default":"","description":"Tool name from get_server_tools","type":"string"},"#,
    r#""args":{"additionalProperties":true,"default":{},"#,
    r#""description":"Arguments matching tool's inputSchema","type":"object"},"#,
    r#""timeout_ms":{"anyOf":[{"type":"integer"},{"type":"null"}],"default":null,"#,
    r#""description":"Execution timeout in milliseconds"}},"type":"object"}}"#,
);

const GET_GATEWAY_STATUS: &str = concat!(
    r#"{"name":"get_gateway_status","#,
    r#""description":"Get gateway status, configuration state, and hot reload diagnostics.\n\nNOTE: Only "#,
    r#"available when debug mode is enabled.","#,
    r#""inputSchema":{"properties":{"agent_id":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null,"#,
    r#""description":"Your agent identifier (leave empty if not provided to you)"}},"type":"object"},"#,
    r#""outputSchema":{"additionalProperties":true,"type":"object"}}"#,
);

const SEARCH_TOOLS: &str = concat!(
    r#"{"name":"search_tools","#,
    r#""description":"Find the tools of all servers behind this gateway by what they do. Shows the best "#,
    r#"matches with their parameters; call one with execute_tool.","#,
    r#""inputSchema":{"type":"object","properties":{"query":{"type":"string","#,
    r#""description":"What the tool should do, in a few words"},"server":{"type":"string","#,
    r#""description":"Only tools of this server"},"#,
    r#""limit":{"type":"integer","minimum":1,"maximum":50,"default":5},"#,
    r#""detail":{"enum":["compact","full"],"default":"compact","#,
    r#""description":"full: whole descriptions and input schemas"},"agent_id":{"type":"string","#,
    r#""description":"Your agent identifier (leave empty if not provided to you)"}},"required":["query"]}}"#,
);

const EXECUTE_FOUND_TOOL: &str = concat!(
    r#"{"name":"execute_tool","#,
    r#""description":"Call a tool that search_tools found. Returns the server's answer as it is.","#,
    r#""inputSchema":{"type":"object","properties":{"server":{"type":"string","#,
    r#""description":"Server name from search_tools"},"tool":{"type":"string","#,
    r#""description":"Tool name from search_tools"},"#,
    r#""args":{"type":"object","additionalProperties":true,"default":{},"#,
    r#""description":"The tool's arguments"},"timeout_ms":{"type":"integer","minimum":0,"#,
    r#""description":"Longest time for the call, in milliseconds"},"agent_id":{"type":"string","#,
    r#""description":"Your agent identifier (leave empty if not provided to "#,
    r#"you)"}},"required":["server","tool"]}}"#,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_what_their_names_say() {
        use GatewayTool::{ExecuteTool, GetGatewayStatus, GetServerTools, ListServers, SearchTools};
        for tool in [ListServers, GetServerTools, SearchTools, ExecuteTool, GetGatewayStatus] {
            for shown in [Shown::Discovery, Shown::Search] {
                let definition: serde_json::Value = serde_json::from_str(of(tool, shown)).unwrap();
                assert_eq!(definition["name"], tool.name());
                assert_eq!(definition["inputSchema"]["type"], "object");
            }
        }
    }
}

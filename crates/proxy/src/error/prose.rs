//! What went wrong in one of the gateway's own tools, in the words that agent-mcp-gateway has for it: its users and their
//! agents know them.

use upstream::CallError;

use super::{Asked, Failure, shown};

/// Returns the text of `failure`, as an answer to what was `asked`.
pub(super) fn of(failure: &Failure, asked: &Asked) -> String {
    let (agent, server, tool) = (shown(asked.agent.as_str()), shown(&asked.server), shown(&asked.tool));
    match failure {
        Failure::Denied { denial, .. } => denial.message(&agent, &server, &tool),
        Failure::Unknown { .. } => {
            format!(
                "Tool execution failed: Failed to call tool {tool} on server {server}: Unknown tool: {tool}"
            )
        }
        Failure::Timeout { limit_ms, .. } => format!("Tool execution timed out after {limit_ms}ms"),
        Failure::Upstream(CallError::Unavailable { reason, .. }) => {
            format!("Server \"{server}\" is unavailable: {reason}")
        }
        Failure::Upstream(_) | Failure::Credential(_) => {
            format!("Tool execution failed: Failed to call tool {tool} on server {server}: {failure}")
        }
        Failure::UnknownMethod
        | Failure::NoSubscriptions(_)
        | Failure::Params(_)
        | Failure::State(_)
        | Failure::Blocked(_)
        | Failure::Audit
        | Failure::Overloaded { .. }
        | Failure::Subscriptions { .. }
        | Failure::Cancelled
        | Failure::NeedsInput { .. }
        | Failure::Internal
        | Failure::ForeignAgent(_)
        | Failure::AgentName(_)
        | Failure::NoAgent(_)
        | Failure::Arguments { .. }
        | Failure::UnknownServer(_)
        | Failure::RateLimited(_)
        | Failure::Asked { .. }
        | Failure::ShuttingDown => failure.to_string(),
    }
}

//! agent-mcp-gateway's validator of `.mcp.json`.

/// Checks.
pub fn mcp_config(_: &serde_json::Value) -> Result<(), String> {
    Ok(())
}

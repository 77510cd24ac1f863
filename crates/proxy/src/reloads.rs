//! What became of reloads.

use serde_json::Value;

/// What became of reloads.
#[derive(Debug, Clone, Default)]
pub struct Reloads {}

impl Reloads {
    /// Shows it in agent-mcp-gateway's form.
    pub const fn to_json(&self) -> Value {
        Value::Null
    }
}

//! What the suite tells a client through the environment: the revision to speak and the calls to make.
//! The scenario's name is not among it: a client does the same whatever is watched.

use std::env;

use anyhow::{Context, Result};
use rmcp::model::{JsonObject, ProtocolVersion};
use serde::Deserialize;
use serde_json::Value;

/// The revision to speak.
const VERSION: &str = "MCP_CONFORMANCE_PROTOCOL_VERSION";
/// JSON that belongs to the scenario.
const CONTEXT: &str = "MCP_CONFORMANCE_CONTEXT";

/// What the suite wants of the client.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) version: ProtocolVersion,
    wanted: Vec<Call>,
}

/// A call that a scenario asks for by its arguments.
#[derive(Debug, Deserialize)]
struct Call {
    name: String,
    arguments: JsonObject,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    tool_calls: Vec<Call>,
}

// === impl Scenario ===

impl Scenario {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self> {
        let version = env::var(VERSION).with_context(|| format!("{VERSION} is not set"))?;
        Self::read(&version, env::var(CONTEXT).ok().as_deref())
    }

    fn read(version: &str, context: Option<&str>) -> Result<Self> {
        let version = serde_json::from_value(Value::from(version)).context("the revision is none")?;
        let context: Told = match context {
            Some(text) => serde_json::from_str(text).with_context(|| format!("{CONTEXT} cannot be read"))?,
            None => Told::default(),
        };
        Ok(Self { version, wanted: context.tool_calls })
    }

    /// Returns whether the revision has no sessions.
    pub(crate) fn is_modern(&self) -> bool {
        self.version.as_str() >= ProtocolVersion::V_2026_07_28.as_str()
    }

    /// Returns the arguments the scenario prescribes for a tool.
    pub(crate) fn arguments_of(&self, tool: &str) -> Option<&JsonObject> {
        self.wanted.iter().find(|call| call.name == tool).map(|call| &call.arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prescribed_arguments_are_found_by_the_tools_name() {
        let context = r#"{"name":"x","toolCalls":[{"name":"add","arguments":{"a":1}}]}"#;
        let scenario = Scenario::read("2026-07-28", Some(context)).unwrap();
        assert!(scenario.is_modern());
        assert_eq!(scenario.arguments_of("add").unwrap()["a"], 1);
        assert!(scenario.arguments_of("other").is_none());
    }

    #[test]
    fn a_scenario_may_say_nothing() {
        let scenario = Scenario::read("2025-11-25", None).unwrap();
        assert!(!scenario.is_modern());
        assert!(scenario.arguments_of("add").is_none());
    }
}

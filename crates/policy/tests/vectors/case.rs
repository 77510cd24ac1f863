//! The shape of the vector files, which lie beside this workspace.

use std::path::PathBuf;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// One decision of the peer.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) rules: Value,
    pub(crate) agent_id: String,
    pub(crate) server: String,
    pub(crate) tool: Option<String>,
    pub(crate) allowed: Option<bool>,
    pub(crate) rule: Option<String>,
    pub(crate) step: Option<String>,
    pub(crate) peer_reason: Option<String>,
    pub(crate) peer_validates: bool,
    pub(crate) peer_validation_error: Option<String>,
    pub(crate) suspect: bool,
    #[serde(default)]
    pub(crate) reason_suspect: bool,
    pub(crate) note: Option<String>,
    pub(crate) list_servers_mismatch: Option<ListMismatch>,
}

/// What the peer lists, where that is not what may be used.
#[derive(Debug, Deserialize)]
pub(crate) struct ListMismatch {
    pub(crate) get_allowed_servers: Vec<String>,
    pub(crate) can_access_server: bool,
}

/// One answer of the peer's validator.
#[derive(Debug, Deserialize)]
pub(crate) struct ValidationCase {
    #[serde(rename = "fn")]
    function: String,
    pub(crate) input: Value,
    pub(crate) valid: bool,
    pub(crate) error: Option<String>,
}

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

/// Returns all decisions.
pub(crate) fn policy_cases() -> Vec<Case> {
    load("policy_vectors.json")
}

/// Returns the answers about rules; those about servers are not policy's.
pub(crate) fn validation_cases() -> Vec<ValidationCase> {
    let mut cases: Vec<ValidationCase> = load("policy_validation_vectors.json");
    cases.retain(|case| case.function == "validate_gateway_rules");
    cases
}

fn load<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("the vectors must lie beside the workspace, in ../shared/vectors/{name}: {error}")
    });
    let file: Cases<T> = serde_json::from_str(&text).unwrap();
    assert!(!file.cases.is_empty(), "{name} is empty");
    file.cases
}

//! How a client meets the gateway: `initialize` in the legacy era, `server/discover` in the modern one.

use bytes::Bytes;
use catalog::Freshness;
use protocol::{BadParams, ClientCapabilities, Era, Object, Version};
use serde_json::{Value, json};

use super::capabilities;
use crate::{
    Proxy, Snapshot,
    admission::{Admission, Shown, Viewpoint},
    error::Failure,
};

/// Largest `clientInfo` that is kept and passed on, in bytes. It is for display only.
const MAX_CLIENT_INFO_BYTES: usize = 4096;

/// The outcome of `initialize`: what opens the session, and the answer.
#[derive(Debug)]
pub(crate) struct Initialized {
    /// The negotiated revision.
    pub(crate) version: Version,
    /// The JSON text of the client's `clientInfo`.
    pub(crate) client_info: Option<Bytes>,
    /// What the client declared.
    pub(crate) capabilities: ClientCapabilities,
    /// The JSON text of the result.
    pub(crate) result: Bytes,
}

/// Answers `initialize` (specification 2025-11-25, lifecycle): the client's revision if we speak it, else our newest
/// legacy one.
///
/// # Errors
/// [`Failure::Params`] when the parameters are no object with a `protocolVersion`.
pub(crate) fn initialize(
    proxy: &Proxy,
    viewpoint: &Viewpoint,
    params: Option<&Bytes>,
) -> Result<Initialized, Failure> {
    let raw = params.ok_or(BadParams::Missing("protocolVersion"))?;
    let known = &["protocolVersion", "capabilities", "clientInfo", "_meta"];
    let object = Object::parse(raw, known).map_err(BadParams::from)?;
    let asked = object.string("protocolVersion").ok_or(BadParams::Missing("protocolVersion"))?;
    let asked = asked.parse().ok().filter(|version: &Version| version.era() == Era::Legacy);
    let version = asked.unwrap_or(Version::LATEST_LEGACY);
    let world = proxy.snapshots.current();
    let mut result = json!({
        "protocolVersion": version.as_str(),
        "capabilities": capabilities::offered(&world, viewpoint, version),
        "serverInfo": proxy.info.as_value(),
    });
    if let Some(instructions) = instructions(&world, viewpoint) {
        result["instructions"] = instructions.into();
    }
    let client_info =
        object.get("clientInfo").filter(|info| info.starts_with('{') && info.len() <= MAX_CLIENT_INFO_BYTES);
    // Copied: a slice would keep the whole request in memory for as long as the session lives.
    let client_info = client_info.map(|info| Bytes::copy_from_slice(info.as_bytes()));
    let declared = object.get("capabilities").map(str::as_bytes).map(ClientCapabilities::parse);
    let capabilities = declared.transpose().map_err(BadParams::from)?.unwrap_or(ClientCapabilities::NONE);
    Ok(Initialized { version, client_info, capabilities, result: result.to_string().into() })
}

/// Answers `server/discover` (specification 2026-07-28, basic: versioning).
pub(super) fn discover(proxy: &Proxy, admission: &Admission) -> Bytes {
    let versions = Version::ALL.map(Version::as_str);
    let version = admission.client().version;
    let capabilities = Value::from(capabilities::offered(admission.world(), admission.viewpoint(), version));
    let mut members = format!(r#""supportedVersions":{},"capabilities":{capabilities}"#, json!(versions));
    if let Some(text) = instructions(admission.world(), admission.viewpoint()) {
        members.push_str(&format!(r#","instructions":{}"#, Value::from(text)));
    }
    super::own_result(proxy, admission.era(), members.as_bytes(), Freshness::UNKNOWN)
}

/// Returns the upstreams' instructions for the model. Where the tools themselves are found step by step, loading every
/// server's instructions at the start would undo what that saves.
fn instructions(world: &Snapshot, viewpoint: &Viewpoint) -> Option<String> {
    let sight = world.configured.policy.sight(viewpoint.caller.principal());
    match viewpoint.shown(world) {
        Shown::Upstreams => world.catalog.instructions(&viewpoint.view, &sight),
        Shown::Discovery | Shown::Search => None,
    }
}

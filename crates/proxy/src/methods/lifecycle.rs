//! How a client meets the gateway: `initialize` in the legacy era, `server/discover` in the modern one.

use bytes::Bytes;
use catalog::{Sight, View};
use protocol::{BadParams, ClientCapabilities, Era, Object, Version};
use serde_json::{Map, Value, json};

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
        "capabilities": capabilities(&world, viewpoint),
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
    let capabilities = Value::from(capabilities(admission.world(), admission.viewpoint()));
    let mut members = format!(r#""supportedVersions":{},"capabilities":{capabilities}"#, json!(versions));
    if let Some(text) = instructions(admission.world(), admission.viewpoint()) {
        members.push_str(&format!(r#","instructions":{}"#, Value::from(text)));
    }
    super::own_result(proxy, admission.era(), members.as_bytes())
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

/// Returns what the endpoint offers. The merged endpoint offers everything, because servers come and go; a single
/// server's endpoint offers what that server does, once it is known.
fn capabilities(world: &Snapshot, viewpoint: &Viewpoint) -> Map<String, Value> {
    let (view, sight) = (&viewpoint.view, world.configured.policy.sight(viewpoint.caller.principal()));
    let known = match view {
        View::All => None,
        // A server beyond the caller's grant looks like one that is not there.
        View::Server(server) => (world.catalog.has_server(server) && sight.sees_server(server)).then_some(()),
    };
    let offers = |name: &str| known.is_none() || world.catalog.declares(view, &sight, name);
    let listed = json!({"listChanged": true});
    let all = [
        ("tools", listed.clone()),
        ("prompts", listed.clone()),
        ("resources", listed),
        ("completions", json!({})),
        ("logging", json!({})),
    ];
    all.into_iter().filter(|(name, _)| offers(name)).map(|(name, value)| (name.to_owned(), value)).collect()
}

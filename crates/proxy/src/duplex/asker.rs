//! Which client asks on a message stream: a modern request says so itself, any other belongs to the session.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Era, Object, Request, RequestId, Version, code, encode, meta};
use serde_json::json;

use crate::{
    admission::{Client, Door},
    error::shown,
    session::Session,
};

/// Tells which client asks; one without a session, before `initialize`, speaks the oldest revision.
///
/// # Errors
/// The answer to a request that says it is modern and is wrong in that, or came through a door of the legacy era.
pub(super) fn client(
    request: &Request,
    door: Door,
    session: Option<Arc<Session>>,
    passed: u32,
) -> Result<Client, Bytes> {
    let params = request.params.as_deref().and_then(|params| Object::parse(params, &["_meta"]).ok());
    let members = params.as_ref().and_then(|params| meta::parse(params.get("_meta")?).ok());
    let is_modern_method = matches!(&*request.method, "server/discover" | "subscriptions/listen");
    match members {
        Some(members) if is_modern_method || members.get(meta::PROTOCOL_VERSION).is_some() => {
            modern(&request.id, door, &members, passed)
        }
        None if is_modern_method => Err(missing(&request.id, meta::PROTOCOL_VERSION)),
        Some(_) | None => Ok(match session {
            Some(session) => Client::of_session(session, passed),
            None => Client { version: Version::V2024_11_05, info: None, session: None, passed },
        }),
    }
}

/// Reads what a modern request says of its client. The order of the checks is that of the HTTP door.
fn modern(id: &RequestId, door: Door, members: &Object<'_>, passed: u32) -> Result<Client, Bytes> {
    let Some(version) = members.string(meta::PROTOCOL_VERSION) else {
        return Err(missing(id, meta::PROTOCOL_VERSION));
    };
    if !members.get(meta::CLIENT_CAPABILITIES).is_some_and(|text| text.starts_with('{')) {
        return Err(missing(id, meta::CLIENT_CAPABILITIES));
    }
    match version.parse::<Version>() {
        Ok(version) if version.era() == Era::Modern && speaks(door, version) => {
            Ok(Client::modern(version, passed))
        }
        Ok(_) | Err(_) => Err(unsupported(id, door, &version)),
    }
}

/// HTTP+SSE is a transport of the legacy era alone: what the headers of a modern request must say cannot be checked.
fn speaks(door: Door, version: Version) -> bool {
    match door {
        Door::Stdio | Door::Http => true,
        Door::Sse => version.era() == Era::Legacy,
    }
}

fn missing(id: &RequestId, member: &str) -> Bytes {
    let text = format!("invalid params: `_meta` must hold `{member}`");
    encode::error(Some(id), code::INVALID_PARAMS, &text, None).into()
}

fn unsupported(id: &RequestId, door: Door, requested: &str) -> Bytes {
    let spoken = Version::ALL.into_iter().filter(|version| speaks(door, *version));
    let supported: Vec<&str> = spoken.map(Version::as_str).collect();
    let data = json!({"supported": supported, "requested": shown(requested)});
    encode::error(Some(id), code::UNSUPPORTED_VERSION, "unsupported protocol version", Some(&data)).into()
}

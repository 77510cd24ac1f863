//! The headers of our requests, by era (specification, transports: Streamable HTTP; PROTOCOL section 2.3).
//! Credentials go in first and the protocol's own headers after them, so that none of ours can be overridden.

use std::sync::Arc;

use domain::{Credential, Secret};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE, HOST},
};
use protocol::{Version, header, param_headers::ParamHeader};

use super::session::Session;
use crate::{settings::DEPTH_HEADER, transports::Exchange};

/// The session of a legacy server.
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Where a broken event stream is to go on.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM_PREFIX: &str = "mcp-param-";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_OR_EVENTS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Room for the headers of an ordinary request without growing.
const USUAL_HEADERS: usize = 12;

/// Headers that frame a message. No credential may set them.
const FRAMING: [&str; 5] = ["connection", "content-length", "te", "transfer-encoding", "upgrade"];

/// A header that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header of the credential cannot be sent")]
pub(in crate::transports) struct BadHeader;

/// Headers of one server that stay the same.
pub(in crate::transports) struct Fixed {
    written: Arc<[(String, Secret<String>)]>,
    checked: HeaderMap,
    own_depth: u32,
    depth: HeaderValue,
}

/// What a request accepts and whether it has a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transports) enum Purpose {
    /// A message is sent; its answer may be JSON or a stream.
    Post,
    /// A stream is opened.
    Get,
    /// A session is ended.
    Delete,
}

impl Fixed {
    /// Checks the configured headers, which authorize requests that bring no credential of their own.
    pub(in crate::transports) fn new(
        written: &Arc<[(String, Secret<String>)]>,
        depth: u32,
    ) -> Result<Self, BadHeader> {
        let checked = checked(written)?;
        Ok(Self { written: Arc::clone(written), checked, own_depth: depth, depth: HeaderValue::from(depth) })
    }

    /// Returns the headers of a legacy request.
    pub(super) fn legacy(
        &self,
        purpose: Purpose,
        credential: Option<&Credential>,
        session: Option<(&Session, Version)>,
    ) -> Result<HeaderMap, BadHeader> {
        let mut headers = self.start(purpose, credential)?;
        if let Some((session, version)) = session {
            if let Some(id) = &session.id {
                headers.insert(SESSION_ID, id.clone());
            }
            if version.has_version_header() {
                headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
            }
        }
        Ok(headers)
    }

    /// Returns the headers of a request at a server without such sessions, and of `initialize`.
    pub(in crate::transports) fn sessionless(
        &self,
        purpose: Purpose,
        credential: Option<&Credential>,
    ) -> Result<HeaderMap, BadHeader> {
        self.legacy(purpose, credential, None)
    }

    /// Returns the headers of a modern request, its method repeated (SEP-2243).
    pub(super) fn modern(
        &self,
        method: &str,
        credential: Option<&Credential>,
        version: Version,
    ) -> Result<HeaderMap, BadHeader> {
        let mut headers = self.start(Purpose::Post, credential)?;
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
        headers.insert(METHOD, value(method)?);
        Ok(headers)
    }

    /// Returns the headers of a modern request that names something: name and annotated arguments are repeated too.
    pub(super) fn modern_exchange(
        &self,
        exchange: &Exchange<'_>,
        version: Version,
    ) -> Result<HeaderMap, BadHeader> {
        let mut headers = self.modern(exchange.method, exchange.credential, version)?;
        if let Some(name) = exchange.name {
            headers.insert(NAME, value(&header::encode(name))?);
        }
        let (plan, arguments) = exchange.param_headers;
        if let (false, Some(arguments)) = (plan.is_empty(), arguments) {
            add_param_headers(&mut headers, plan, arguments)?;
        }
        Ok(headers)
    }

    /// Tells the server how many gateways a request has passed: those before us, and us.
    pub(in crate::transports) fn behind(&self, mut headers: HeaderMap, passed: u32) -> HeaderMap {
        if passed > 0 {
            headers.insert(
                HeaderName::from_static(DEPTH_HEADER),
                HeaderValue::from(self.own_depth.max(passed + 1)),
            );
        }
        headers
    }

    fn start(&self, purpose: Purpose, credential: Option<&Credential>) -> Result<HeaderMap, BadHeader> {
        let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
        match credential {
            // The usual credential is the configured one, which was checked before.
            Some(credential) if !Arc::ptr_eq(credential.headers(), &self.written) => {
                headers.extend(checked(credential.headers())?);
            }
            Some(_) | None => {
                headers.extend(self.checked.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        match purpose {
            Purpose::Post => {
                headers.insert(ACCEPT, JSON_OR_EVENTS);
                headers.insert(CONTENT_TYPE, JSON);
            }
            Purpose::Get => {
                headers.insert(ACCEPT, EVENTS);
            }
            Purpose::Delete => {}
        }
        headers.insert(HeaderName::from_static(DEPTH_HEADER), self.depth.clone());
        Ok(headers)
    }
}

fn add_param_headers(
    headers: &mut HeaderMap,
    plan: &[ParamHeader],
    arguments: &str,
) -> Result<(), BadHeader> {
    // The caller's arguments are JSON, or the upstream refuses them anyway.
    let Ok(arguments) = serde_json::from_str(arguments) else { return Ok(()) };
    for param in plan {
        if let Some(text) = param.value(&arguments) {
            let name = [PARAM_PREFIX, &param.name].concat();
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadHeader)?, value(&text)?);
        }
    }
    Ok(())
}

/// Reads headers that authorize; their values are marked, so that neither logs nor header compression keep them.
fn checked(written: &[(String, Secret<String>)]) -> Result<HeaderMap, BadHeader> {
    let mut headers = HeaderMap::with_capacity(written.len());
    for (name, secret) in written {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadHeader)?;
        if name == HOST || FRAMING.contains(&name.as_str()) {
            return Err(BadHeader);
        }
        let mut value = value(secret.expose())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn value(text: &str) -> Result<HeaderValue, BadHeader> {
    HeaderValue::from_str(text).map_err(|_| BadHeader)
}

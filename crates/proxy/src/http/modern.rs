//! What a modern request must carry in headers and `_meta`, and that they agree with the body (specification
//! 2026-07-28, Streamable HTTP: server validation; SEP-2243). The order of the checks is the conformance suite's.

use std::sync::LazyLock;

use catalog::{Route, Seen, Sight};
use domain::{Subject, Target};
use http::HeaderMap;
use memchr::memmem::Finder;
use protocol::{Era, Object, Request, Routing, Version, header, meta, method};
use serde_json::Value;

use super::refusal::Refusal;
use crate::{admission::Admission, error::shown, methods};

const VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM_PREFIX: &str = "mcp-param-";

/// Tells whether a message belongs to the modern era, whatever era its other parts claim.
pub(super) fn is_modern(headers: &HeaderMap, method: &str, params: Option<&[u8]>) -> bool {
    let version =
        headers.get(VERSION).map(|value| value.to_str().ok().and_then(|text| text.parse::<Version>().ok()));
    match version {
        Some(Some(version)) if version.era() == Era::Modern => return true,
        // A date after the last legacy revision belongs to a revision that we do not know yet.
        Some(None) if is_later_revision(headers) => return true,
        None if headers.contains_key(METHOD) => return true,
        Some(_) | None => {}
    }
    matches!(method, "server/discover" | "subscriptions/listen") || params.is_some_and(carries_version)
}

fn is_later_revision(headers: &HeaderMap) -> bool {
    let text = headers.get(VERSION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_date = text.len() == 10 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    is_date && text > Version::LATEST_LEGACY.as_str()
}

fn carries_version(params: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(meta::PROTOCOL_VERSION));
    NAME.find(params).is_some()
        && Object::parse(params, &[])
            .ok()
            .and_then(|params| meta::parse(params.get("_meta")?).ok())
            .is_some_and(|meta| meta.get(meta::PROTOCOL_VERSION).is_some())
}

/// Checks a modern request; returns the revision it speaks.
pub(super) fn check(headers: &HeaderMap, request: &Request) -> Result<Version, Refusal> {
    let mismatch = |what: &str| Refusal::HeaderMismatch { id: request.id.clone(), what: what.to_owned() };
    let header_version = single(headers, VERSION).ok_or_else(|| mismatch("MCP-Protocol-Version"))?;
    let version = declared_version(request)?;
    if header_version != version.as_bytes() {
        return Err(mismatch("MCP-Protocol-Version"));
    }
    let parsed: Option<Version> =
        version.parse().ok().filter(|version: &Version| version.era() == Era::Modern);
    let Some(parsed) = parsed else {
        return Err(Refusal::Version { id: Some(request.id.clone()), requested: shown(&version) });
    };
    if single(headers, METHOD) != Some(request.method.as_bytes()) {
        return Err(mismatch("Mcp-Method"));
    }
    check_name(headers, request)?;
    Ok(parsed)
}

/// Reads the revision from `_meta` and makes sure that the other required member is there.
fn declared_version(request: &Request) -> Result<String, Refusal> {
    let missing = |missing| Refusal::Meta { id: request.id.clone(), missing };
    let params = request.params.as_deref().ok_or_else(|| missing(meta::PROTOCOL_VERSION))?;
    let params = Object::parse(params, &["_meta"]).map_err(|_| missing(meta::PROTOCOL_VERSION))?;
    let members = params.get("_meta").and_then(|text| meta::parse(text).ok());
    let members = members.ok_or_else(|| missing(meta::PROTOCOL_VERSION))?;
    let version = members.string(meta::PROTOCOL_VERSION).ok_or_else(|| missing(meta::PROTOCOL_VERSION))?;
    let has_capabilities = members.get(meta::CLIENT_CAPABILITIES).is_some_and(|text| text.starts_with('{'));
    if has_capabilities { Ok(version.into_owned()) } else { Err(missing(meta::CLIENT_CAPABILITIES)) }
}

/// `Mcp-Name` repeats the name or URI that routes the request, and is absent from other requests or ignored there.
fn check_name(headers: &HeaderMap, request: &Request) -> Result<(), Refusal> {
    let row = method(&request.method).filter(|row| row.exists_in(Era::Modern));
    let Some(member) = row.and_then(|row| row.name_header) else { return Ok(()) };
    let params = request.params.as_deref().unwrap_or(b"{}");
    // Parameters that cannot be read are refused as such, later and with their own code.
    let Ok(params) = Object::parse(params, &[member]) else { return Ok(()) };
    let Some(expected) = params.string(member) else { return Ok(()) };
    let named = single(headers, NAME).and_then(|value| header::decode(value).ok());
    if named.as_deref() == Some(&*expected) {
        return Ok(());
    }
    Err(Refusal::HeaderMismatch { id: request.id.clone(), what: "Mcp-Name".to_owned() })
}

/// Compares `Mcp-Param-*` with the arguments, for tools whose schema asks for such headers. A tool that the caller does
/// not see has no schema: its call is answered like any other, not here.
pub(super) fn check_param_headers(
    headers: &HeaderMap,
    request: &Request,
    admission: &Admission,
) -> Result<(), Refusal> {
    let Some(row) = method(&request.method).filter(|row| row.routing == Routing::Tool) else { return Ok(()) };
    let Ok(params) = protocol::Params::parse(request.params.clone(), row) else { return Ok(()) };
    let (key, sight) = (params.key(), admission.sight());
    let route = admission.world().catalog.route(admission.view(), row.routing, &key, &sight);
    let Ok(route) = route else { return Ok(()) };
    let has_plan = !route.param_headers().is_empty() && sees(&sight, route.subject());
    if !has_plan || !methods::leads_upstream(admission, &key) {
        return Ok(());
    }
    let arguments: Value = serde_json::from_str(params.arguments().unwrap_or("{}")).unwrap_or_default();
    match differing(headers, &route, &arguments) {
        None => Ok(()),
        Some(name) => {
            Err(Refusal::HeaderMismatch { id: request.id.clone(), what: format!("Mcp-Param-{name}") })
        }
    }
}

/// Tells whether a listing shows the caller this tool.
fn sees(sight: &impl Sight, subject: &Subject) -> bool {
    match (sight.of_server(&subject.server), &subject.target) {
        (Seen::Everything, _) => true,
        (Seen::SomeTools, Target::Tool(tool)) => sight.sees_tool(&subject.server, tool),
        (Seen::SomeTools | Seen::Nothing, _) => false,
    }
}

fn differing<'a>(headers: &HeaderMap, route: &'a Route, arguments: &Value) -> Option<&'a str> {
    let differs = |expected: Option<String>, name: &str| {
        let sent = headers.get_all(name).iter().count();
        let value = single(headers, name).and_then(|value| header::decode(value).ok());
        let expected = expected.as_deref().and_then(|text| header::decode(text.as_bytes()).ok());
        match expected {
            None => sent != 0,
            Some(expected) => value.is_none_or(|value| value != expected),
        }
    };
    let plan = route.param_headers().iter();
    plan.map(|param| (param, format!("{PARAM_PREFIX}{}", param.name.to_ascii_lowercase())))
        .find(|(param, name)| differs(param.value(arguments), name))
        .map(|(param, _)| param.name.as_str())
}

/// Returns the value of a header that stands exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes().trim_ascii())
}

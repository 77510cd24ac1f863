//! Gateways behind gateways: requests count how many they have passed, and each gateway tells another which ones are
//! behind it, so that a ring is noticed by the one that would close it (see `upstream`'s instances).

use http::{HeaderMap, HeaderValue, Response};
use upstream::{DEPTH_HEADER, INSTANCES_HEADER, MAX_DEPTH};

use super::{body::ReplyBody, refusal::Refusal};
use crate::Proxy;

/// Reads how many gateways the request has passed; none, if it comes from a client.
///
/// # Errors
/// [`Refusal::Ring`] when it has passed too many.
pub(super) fn passed(headers: &HeaderMap) -> Result<u32, Refusal> {
    let Some(value) = headers.get(DEPTH_HEADER) else { return Ok(0) };
    let passed = value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(MAX_DEPTH);
    if passed < MAX_DEPTH { Ok(passed) } else { Err(Refusal::Ring { limit: MAX_DEPTH }) }
}

/// Tells a gateway which gateways are behind this one. Clients are told nothing.
pub(super) fn tell(proxy: &Proxy, response: &mut Response<ReplyBody>) {
    if let Ok(named) = HeaderValue::try_from(proxy.upstreams.instances()) {
        response.headers_mut().insert(INSTANCES_HEADER, named);
    }
}

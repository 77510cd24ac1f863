//! Listings, merged over the upstreams that the caller may see, from the catalog's ready bytes.

use bytes::Bytes;
use protocol::{BadParams, ListKind, Object, Params};

use super::gateway_tools;
use crate::{Exposure, Proxy, admission::Admission, error::Failure};

/// Answers a listing. The first ones wait for upstreams that are still starting.
pub(super) async fn list(
    proxy: &Proxy,
    admission: Admission,
    kind: ListKind,
    params: &Params,
) -> Result<Bytes, Failure> {
    refuse_cursor(params)?;
    if let Some(definitions) = settled_definitions(&admission, kind) {
        return Ok(listing(proxy, &admission, kind, definitions.as_bytes()));
    }
    proxy.settle().await;
    let admission = admission.refreshed(proxy);
    let items = match own_definitions(&admission, kind) {
        Some(definitions) => definitions.into_bytes(),
        None => admission.world().catalog.items(admission.view(), kind, &admission.sight()),
    };
    Ok(listing(proxy, &admission, kind, &items))
}

/// The gateway's own tools are known before any upstream is; automatic exposure has to weigh what upstreams have.
fn settled_definitions(admission: &Admission, kind: ListKind) -> Option<String> {
    let exposure = admission.viewpoint().exposure(admission.world());
    if exposure == Exposure::Auto { None } else { own_definitions(admission, kind) }
}

fn own_definitions(admission: &Admission, kind: ListKind) -> Option<String> {
    let world = admission.world();
    let status = world.configured.exposure.status_tool;
    (kind == ListKind::Tools).then(|| gateway_tools::listing(admission.viewpoint().shown(world), status))?
}

fn listing(proxy: &Proxy, admission: &Admission, kind: ListKind, items: &[u8]) -> Bytes {
    let mut members = format!(r#""{}":["#, kind.member()).into_bytes();
    members.extend_from_slice(items);
    members.push(b']');
    super::own_result(proxy, admission.era(), &members)
}

/// A listing is one page, so no cursor of ours is out there; an empty one is a valid beginning.
fn refuse_cursor(params: &Params) -> Result<(), Failure> {
    let object = Object::parse(params.raw(), &["cursor"]).map_err(BadParams::from)?;
    match object.string("cursor") {
        Some(cursor) if !cursor.is_empty() => {
            Err(Failure::Unknown { what: "cursor", name: crate::error::shown(&cursor) })
        }
        Some(_) | None => Ok(()),
    }
}

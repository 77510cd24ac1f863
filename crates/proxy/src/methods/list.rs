//! Listings, merged over the upstreams that the caller may see, from the catalog's ready bytes.

use bytes::Bytes;
use protocol::{BadParams, ListKind, Object, Params};

use crate::{Proxy, admission::Admission, error::Failure};

/// Answers a listing. The first ones wait for upstreams that are still starting.
pub(super) async fn list(
    proxy: &Proxy,
    admission: Admission,
    kind: ListKind,
    params: &Params,
) -> Result<Bytes, Failure> {
    refuse_cursor(params)?;
    proxy.settle().await;
    let admission = admission.refreshed(proxy);
    let items = admission.world().catalog.items(admission.view(), kind, &admission.principal().servers);
    let mut members = format!(r#""{}":["#, kind.member()).into_bytes();
    members.extend_from_slice(&items);
    members.push(b']');
    Ok(super::own_result(proxy, admission.era(), &members))
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

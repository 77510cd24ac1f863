//! Listings, merged over the upstreams that the caller may see, from the catalog's ready bytes.

use bytes::Bytes;
use catalog::{Freshness, Page};
use protocol::{BadParams, ListKind, Object, Params};
use serde_json::json;

use super::gateway_tools;
use crate::{Exposure, Proxy, admission::Admission, error::Failure};

/// Items of one page. Few listings are longer, and not every client asks for a second page.
const PAGE_ITEMS: usize = 5_000;

/// Where a page begins, and in which listing: pages of two listings are not joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    fingerprint: u64,
    from: usize,
}

/// Answers a listing. The first ones wait for upstreams that are still starting.
pub(super) async fn list(
    proxy: &Proxy,
    admission: Admission,
    kind: ListKind,
    params: &Params,
) -> Result<Bytes, Failure> {
    let cursor = Cursor::of(params)?;
    if let Some(definitions) = settled_definitions(&admission, kind) {
        return own(proxy, &admission, kind, cursor, definitions);
    }
    proxy.settle().await;
    let admission = admission.refreshed(proxy);
    match own_definitions(&admission, kind) {
        Some(definitions) => own(proxy, &admission, kind, cursor, definitions),
        None => merged(proxy, &admission, kind, cursor),
    }
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

/// The gateway's own tools are one page.
fn own(
    proxy: &Proxy,
    admission: &Admission,
    kind: ListKind,
    cursor: Option<Cursor>,
    definitions: String,
) -> Result<Bytes, Failure> {
    match cursor {
        Some(_) => Err(expired()),
        None => {
            let page = Page { items: definitions.into_bytes(), next: None };
            Ok(listing(proxy, admission, kind, &page, Freshness::UNKNOWN))
        }
    }
}

fn merged(
    proxy: &Proxy,
    admission: &Admission,
    kind: ListKind,
    cursor: Option<Cursor>,
) -> Result<Bytes, Failure> {
    let (catalog, view, sight) = (&admission.world().catalog, admission.view(), admission.sight());
    let fingerprint = || catalog.fingerprint(view, kind, &sight);
    let from = match cursor {
        None => 0,
        Some(cursor) if cursor.fingerprint == fingerprint() => cursor.from,
        Some(_) => return Err(expired()),
    };
    let page = catalog.page(view, kind, &sight, from, PAGE_ITEMS);
    let freshness = catalog.freshness(view, kind, &sight);
    // Who has a token, or rules, may see something else than the next caller.
    let is_public =
        admission.principal().token.is_none() && admission.world().configured.policy.rules().is_none();
    let freshness = Freshness { is_public: freshness.is_public && is_public, ..freshness };
    let mut answer = listing(proxy, admission, kind, &page, freshness);
    if let Some(next) = page.next {
        let cursor = Cursor { fingerprint: fingerprint(), from: next };
        answer = with_cursor(&answer, cursor);
    }
    Ok(answer)
}

fn listing(proxy: &Proxy, admission: &Admission, kind: ListKind, page: &Page, freshness: Freshness) -> Bytes {
    let mut members = Vec::with_capacity(page.items.len() + 32);
    members.extend_from_slice(format!(r#""{}":["#, kind.member()).as_bytes());
    members.extend_from_slice(&page.items);
    members.push(b']');
    super::own_result(proxy, admission.era(), &members, freshness)
}

/// Adds the next page's cursor to a listing.
fn with_cursor(listing: &Bytes, next: Cursor) -> Bytes {
    let mut out = Vec::with_capacity(listing.len() + 64);
    out.extend_from_slice(listing.strip_suffix(b"}").expect("a listing is an object"));
    out.extend_from_slice(format!(r#","nextCursor":{}}}"#, json!(next.to_string())).as_bytes());
    out.into()
}

/// Listings change, and a page of another one would leave tools out or show them twice.
fn expired() -> Failure {
    let name = "it is not of this listing, or the listing has changed; list from the beginning".to_owned();
    Failure::Unknown { what: "cursor", name }
}

impl Cursor {
    /// Reads the cursor of a request; an empty one is a valid beginning.
    fn of(params: &Params) -> Result<Option<Self>, Failure> {
        let object = Object::parse(params.raw(), &["cursor"]).map_err(BadParams::from)?;
        match object.get("cursor") {
            None | Some("null") => Ok(None),
            Some(_) => match object.string("cursor").ok_or(BadParams::Missing("cursor"))? {
                text if text.is_empty() => Ok(None),
                text => Self::read(&text).map(Some).ok_or_else(expired),
            },
        }
    }

    fn read(text: &str) -> Option<Self> {
        let (fingerprint, from) = text.split_once('-')?;
        Some(Self { fingerprint: u64::from_str_radix(fingerprint, 16).ok()?, from: from.parse().ok()? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}", self.fingerprint, self.from)
    }
}

#[cfg(test)]
mod tests {
    use protocol::method;

    use super::*;

    fn read(params: &'static str) -> Result<Option<Cursor>, Failure> {
        let row = method("tools/list").unwrap();
        Cursor::of(&Params::parse(Some(Bytes::from_static(params.as_bytes())), row).unwrap())
    }

    #[test]
    fn cursors() {
        let cursor = Cursor { fingerprint: 0xab, from: 5_000 };
        assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
        for beginning in ["{}", r#"{"cursor":""}"#, r#"{"cursor":null}"#] {
            assert_eq!(read(beginning).unwrap(), None, "{beginning}");
        }
        for odd in [r#"{"cursor":"x"}"#, r#"{"cursor":"-1"}"#, r#"{"cursor":"1-"}"#, r#"{"cursor":7}"#] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }
}

//! Writes items as the merged endpoint shows them: under qualified names, and under URIs of ours where servers list the
//! same. Every other byte stays.

use std::borrow::Cow;

use bytes::Bytes;
use domain::QualifiedName;
use protocol::{ListKind, Object, Replacements};

use crate::uris::Uris;

/// Returns the JSON text of a tool or prompt with its qualified name. A tool's user interface leads to the resource of
/// its own server.
pub(crate) fn named(raw: &Bytes, name: &QualifiedName, uris: &Uris) -> Bytes {
    let object = Object::parse(raw, &[]).expect("the item was read before");
    let mut replacements = Replacements::within(raw);
    replacements.replace(object.get("name").expect("the item has a name"), name.as_str());
    if uris.any_ambiguous() {
        rename_user_interface(&object, uris, &mut replacements);
    }
    replacements.written().map_or_else(|| raw.clone(), Bytes::from)
}

/// Returns the JSON text of a resource or template under the URI that the merged endpoint shows.
pub(crate) fn resource(raw: &Bytes, kind: ListKind, uris: &Uris) -> Bytes {
    let Ok(object) = Object::parse(raw, &[]) else { return raw.clone() };
    let mut replacements = Replacements::within(raw);
    if kind == ListKind::Resources {
        rename(&object, "uri", |uri| uris.shown(uri), &mut replacements);
    } else {
        rename(&object, "uriTemplate", |template| uris.shown_template(template), &mut replacements);
    }
    replacements.written().map_or_else(|| raw.clone(), Bytes::from)
}

/// Renames `_meta.ui.resourceUri` (extension `io.modelcontextprotocol/ui`), and its older spelling in one member.
fn rename_user_interface<'a>(tool: &Object<'a>, uris: &Uris, replacements: &mut Replacements<'a>) {
    let member = |object: &Object<'a>, name: &str| Object::parse(object.get(name)?.as_bytes(), &[]).ok();
    let Some(meta) = member(tool, "_meta") else { return };
    rename(&meta, "ui/resourceUri", |uri| uris.shown(uri), replacements);
    if let Some(ui) = member(&meta, "ui") {
        rename(&ui, "resourceUri", |uri| uris.shown(uri), replacements);
    }
}

fn rename<'a>(
    object: &Object<'a>,
    name: &str,
    shown: impl Fn(&str) -> Cow<'_, str>,
    replacements: &mut Replacements<'a>,
) {
    let (Some(value), Some(own)) = (object.get(name), object.string(name)) else { return };
    if let Cow::Owned(shown) = shown(&own) {
        replacements.replace(value, &shown);
    }
}

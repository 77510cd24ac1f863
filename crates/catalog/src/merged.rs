//! Writes items as the merged endpoint shows them: under qualified names, and under URIs of ours where
//! the servers' own would lead elsewhere. Every other byte stays.

use std::borrow::Cow;

use bytes::Bytes;
use domain::QualifiedName;
use protocol::{ListKind, Object, Replacements};

use crate::uris::Shown;

/// Returns the JSON text of a tool or prompt with its qualified name. A tool's user interface leads to the resource of
/// its own server.
pub(crate) fn named(raw: &Bytes, name: &QualifiedName, uris: Shown<'_>) -> Bytes {
    let object = Object::parse(raw, &[]).expect("the item was read before");
    let mut replacements = Replacements::within(raw);
    replacements.replace(object.get("name").expect("the item has a name"), name.as_str());
    if uris.renames_any() {
        rename_user_interface(&object, uris, &mut replacements);
    }
    replacements.written().map_or_else(|| raw.clone(), Bytes::from)
}

/// Returns the JSON text of a resource or template under the URI that the merged endpoint shows.
pub(crate) fn resource(raw: &Bytes, kind: ListKind, uris: Shown<'_>) -> Bytes {
    let Ok(object) = Object::parse(raw, &[]) else { return raw.clone() };
    let mut replacements = Replacements::within(raw);
    if kind == ListKind::Resources {
        rename(&object, "uri", |uri| uris.uri(uri), &mut replacements);
    } else {
        rename(&object, "uriTemplate", |template| uris.template(template), &mut replacements);
    }
    replacements.written().map_or_else(|| raw.clone(), Bytes::from)
}

/// Returns the user interfaces that a tool names.
pub(crate) fn user_interfaces(raw: &Bytes) -> Vec<String> {
    let Ok(tool) = Object::parse(raw, &[]) else { return Vec::new() };
    let Some(meta) = member(&tool, "_meta") else { return Vec::new() };
    let older = meta.string("ui/resourceUri").map(Cow::into_owned);
    let newer = member(&meta, "ui").and_then(|ui| Some(ui.string("resourceUri")?.into_owned()));
    older.into_iter().chain(newer).collect()
}

/// Renames `_meta.ui.resourceUri` (extension `io.modelcontextprotocol/ui`), and its older spelling in one member.
fn rename_user_interface<'a>(tool: &Object<'a>, uris: Shown<'_>, replacements: &mut Replacements<'a>) {
    let Some(meta) = member(tool, "_meta") else { return };
    rename(&meta, "ui/resourceUri", |uri| uris.uri(uri), replacements);
    if let Some(ui) = member(&meta, "ui") {
        rename(&ui, "resourceUri", |uri| uris.uri(uri), replacements);
    }
}

fn member<'a>(object: &Object<'a>, name: &str) -> Option<Object<'a>> {
    Object::parse(object.get(name)?.as_bytes(), &[]).ok()
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

//! Results on their way to a client of the merged endpoint: where they name a resource by a URI that would lead
//! to another server, or nowhere, the client gets one that leads to the server that answered. Which URIs those are is the catalog's to say.
//!
//! Only the places that the protocol has for URIs are looked at, and only servers with such resources; every other byte
//! stays, and so does a result that cannot be read. Not renamed are URIs in texts and in structured content, and results
//! that are passed on while they arrive: those are never held as a whole.

use std::borrow::Cow;

use bytes::Bytes;
use catalog::{Catalog, View};
use domain::ServerId;
use protocol::{Object, Replacements, Routing};
use serde_json::value::RawValue;

/// How the results of one server are shown, for methods of one kind.
pub(crate) struct Renaming<'a> {
    catalog: &'a Catalog,
    view: &'a View,
    server: &'a ServerId,
    routing: Routing,
}

impl<'a> Renaming<'a> {
    /// Returns how results of `server` are shown; `None` when they are shown as they are.
    pub(crate) fn of(
        catalog: &'a Catalog,
        view: &'a View,
        server: &'a ServerId,
        routing: Routing,
    ) -> Option<Self> {
        catalog.renames_uris(view, server).then_some(Self { catalog, view, server, routing })
    }

    /// Returns the result with its URIs renamed.
    pub(crate) fn applied_to(&self, result: Bytes) -> Bytes {
        let shown = |own: &str| match self.catalog.shown_uri(self.view, self.server, own) {
            Cow::Owned(shown) => Some(shown),
            Cow::Borrowed(_) => None,
        };
        renamed(&result, self.routing, &shown).map_or(result, Bytes::from)
    }
}

/// What a URI is shown as, if not as itself.
type Shown<'s> = &'s dyn Fn(&str) -> Option<String>;

/// Returns a result with its URIs renamed; `None` when all of them stay.
fn renamed(result: &[u8], routing: Routing, shown: Shown<'_>) -> Option<Vec<u8>> {
    if !may_name_uris(result) {
        return None;
    }
    let object = Object::parse(result, &[]).ok()?;
    let mut walk = Walk { shown, replacements: Replacements::within(result) };
    match routing {
        Routing::Tool => walk.each(&object, "content", Walk::block),
        Routing::Prompt => walk.each(&object, "messages", Walk::message),
        Routing::Resource => walk.each(&object, "contents", Walk::resource),
        Routing::Task => walk.task(&object),
        Routing::Reference | Routing::Feature(_) | Routing::Local | Routing::List(_) => {}
    }
    walk.replacements.written()
}

/// Tells whether some member may be called `uri`, which most results have none of: they need not be read. Written
/// otherwise it has a letter of ASCII escaped.
fn may_name_uris(result: &[u8]) -> bool {
    [&b"uri"[..], b"\\u00"].iter().any(|sign| memchr::memmem::find(result, sign).is_some())
}

/// The way through one result.
struct Walk<'a, 's> {
    shown: Shown<'s>,
    replacements: Replacements<'a>,
}

impl<'a> Walk<'a, '_> {
    /// Visits the elements of the list that a member is.
    fn each(&mut self, object: &Object<'a>, name: &str, visit: fn(&mut Self, &'a str)) {
        let list = object.get(name).and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list).ok());
        for element in list.into_iter().flatten() {
            visit(self, element.get());
        }
    }

    /// A task's result is a tool's: in the legacy era by itself, in the modern one within the task.
    fn task(&mut self, object: &Object<'a>) {
        self.each(object, "content", Self::block);
        if let Some(result) = object.get("result").and_then(read) {
            self.each(&result, "content", Self::block);
        }
    }

    /// A prompt's message has one block.
    fn message(&mut self, message: &'a str) {
        if let Some(block) = read(message).and_then(|message| message.get("content")) {
            self.block(block);
        }
    }

    fn block(&mut self, block: &'a str) {
        let Some(block) = read(block) else { return };
        match block.string("type").as_deref() {
            Some("resource_link") => self.uri(&block),
            Some("resource") => {
                block.get("resource").into_iter().for_each(|resource| self.resource(resource))
            }
            Some(_) | None => {}
        }
    }

    fn resource(&mut self, resource: &'a str) {
        read(resource).iter().for_each(|resource| self.uri(resource));
    }

    fn uri(&mut self, object: &Object<'a>) {
        let (Some(value), Some(own)) = (object.get("uri"), object.string("uri")) else { return };
        if let Some(shown) = (self.shown)(&own) {
            self.replacements.replace(value, &shown);
        }
    }
}

fn read(json: &str) -> Option<Object<'_>> {
    Object::parse(json.as_bytes(), &[]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renames `a:1` to `b:1`, and nothing else.
    fn written(routing: Routing, result: &str) -> Option<String> {
        let shown = |uri: &str| (uri == "a:1").then(|| "b:1".to_owned());
        renamed(result.as_bytes(), routing, &shown).map(|bytes| String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn uris_are_renamed_where_the_protocol_has_them() {
        let cases = [
            (
                Routing::Tool,
                r#"{ "content" : [ {"type":"resource_link","uri":"a:1","x":1.0} , {"type":"text","text":"a:1","uri":"a:1"},{"type":"resource","resource":{"text":"a:1","uri":"\u0061:1"}}],"structuredContent":{"uri":"a:1"}}"#,
                r#"{ "content" : [ {"type":"resource_link","uri":"b:1","x":1.0} , {"type":"text","text":"a:1","uri":"a:1"},{"type":"resource","resource":{"text":"a:1","uri":"b:1"}}],"structuredContent":{"uri":"a:1"}}"#,
            ),
            (
                Routing::Tool,
                r#"{"content":[{"type":"resource_link","\u0075\u0072\u0069":"a:1"}]}"#,
                r#"{"content":[{"type":"resource_link","\u0075\u0072\u0069":"b:1"}]}"#,
            ),
            (
                Routing::Prompt,
                r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"a:1"}}},{"content":"a:1"}]}"#,
                r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"b:1"}}},{"content":"a:1"}]}"#,
            ),
            (
                Routing::Resource,
                r#"{"contents":[{"uri":"a:1","text":"x"},{"uri":"a:2"},7,{"uri":"a:1","blob":""}]}"#,
                r#"{"contents":[{"uri":"b:1","text":"x"},{"uri":"a:2"},7,{"uri":"b:1","blob":""}]}"#,
            ),
            (
                Routing::Task,
                r#"{"taskId":"a:1","result":{"content":[{"uri":"a:1","type":"resource_link"}]}}"#,
                r#"{"taskId":"a:1","result":{"content":[{"uri":"b:1","type":"resource_link"}]}}"#,
            ),
            (
                Routing::Task,
                r#"{"content":[{"uri":"a:1","type":"resource_link"}]}"#,
                r#"{"content":[{"uri":"b:1","type":"resource_link"}]}"#,
            ),
        ];
        for (routing, result, expected) in cases {
            assert_eq!(written(routing, result).as_deref(), Some(expected), "{result}");
        }
    }

    #[test]
    fn everything_else_stays() {
        let cases = [
            (Routing::Tool, r#"{"content":[{"type":"resource_link","uri":"a:11"}]}"#),
            (Routing::Tool, r#"{"content":{"type":"resource_link","uri":"a:1"}}"#),
            (Routing::Tool, r#"{"content":[{"type":"resource_link","uri":["a:1"]}]}"#),
            (Routing::Tool, r#"{"content":[{"type":"resource_link","uri":"a:1","uri":"a:1"}]}"#),
            (Routing::Tool, r#"{"contents":[{"uri":"a:1"}]}"#),
            (Routing::Resource, r#"{"content":[{"type":"resource_link","uri":"a:1"}]}"#),
            (Routing::Reference, r#"{"completion":{"values":["a:1"]},"content":[{"uri":"a:1"}]}"#),
            (Routing::Tool, r#"{"content":[{"type":"resource_link","link":"a:1"}]}"#),
            (Routing::Tool, "[1]"),
            (Routing::Tool, "{"),
        ];
        for (routing, result) in cases {
            assert_eq!(written(routing, result), None, "{result}");
        }
    }
}

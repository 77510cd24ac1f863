//! The parameters of a request: which of them route it, and how single ones are replaced on the way.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;

use crate::{Edit, Fault, MethodRow, Object, Routing, meta, object::decode_string, splice};

/// Members that somebody on the way looks at. A case variant of one is refused: a server that reads it all the same
/// would be asked for something that the gateway did not see.
const KNOWN: &[&str] = &[
    "_meta",
    "name",
    "uri",
    "arguments",
    "task",
    "cursor",
    "ref",
    "argument",
    "context",
    "level",
    "requestState",
    "inputResponses",
    "taskId",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "notifications",
    "requestId",
];

/// Why parameters are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadParams {
    /// They are no readable object.
    #[error("invalid params: {0}")]
    Fault(#[from] Fault),
    /// The member that routes the request is missing or no string.
    #[error("invalid params: `{0}` must be a string")]
    Missing(&'static str),
    /// `arguments` is something else than an object.
    #[error("invalid params: `arguments` must be an object")]
    Arguments,
}

/// The parameters of one request as the client wrote them, with the places of what routing and policy read.
#[derive(Debug, Clone)]
pub struct Params {
    raw: Bytes,
    key: Option<Range<usize>>,
    arguments: Option<Range<usize>>,
    meta: Option<Range<usize>>,
}

impl Params {
    /// Reads the parameters of a request for the method in `row`.
    ///
    /// # Errors
    /// [`BadParams`] when they are no strict object or lack the member that routes this method.
    pub fn parse(raw: Option<Bytes>, row: &MethodRow) -> Result<Self, BadParams> {
        let raw = raw.unwrap_or_else(|| Bytes::from_static(b"{}"));
        let object = Object::parse(&raw, KNOWN)?;
        let key = key_span(&raw, &object, row.routing)?;
        let (arguments, meta) = (object.span("arguments"), object.span("_meta"));
        if row.routing == Routing::Tool && arguments.clone().is_some_and(|span| raw[span.start] != b'{') {
            return Err(BadParams::Arguments);
        }
        drop(object);
        Ok(Self { raw, key, arguments, meta })
    }

    /// Returns the same parameters with the JSON text of one member replaced; unchanged where there is no such member.
    #[must_use]
    pub fn with_member(&self, name: &str, value: &[u8], row: &MethodRow) -> Self {
        let span = Object::parse(&self.raw, &[]).ok().and_then(|object| object.span(name));
        let replaced = span.and_then(|at| {
            let mut raw = Vec::with_capacity(self.raw.len() + value.len());
            splice(&mut raw, &self.raw, &[Edit { at, with: value }]);
            Self::parse(Some(raw.into()), row).ok()
        });
        replaced.unwrap_or_else(|| self.clone())
    }

    /// Tells whether there is such a member, whatever it is; `null` is none.
    pub fn has(&self, name: &str) -> bool {
        Object::parse(&self.raw, &[]).is_ok_and(|object| object.get(name).is_some_and(|text| text != "null"))
    }

    /// Returns the string that a member is, if it is one.
    pub fn string(&self, name: &str) -> Option<String> {
        Object::parse(&self.raw, &[]).ok()?.string(name).map(Cow::into_owned)
    }

    /// Returns the decoded name or URI that routes the request; empty for methods that are not routed by one.
    pub fn key(&self) -> Cow<'_, str> {
        self.key.clone().and_then(|span| decode_string(self.text(span))).unwrap_or_default()
    }

    /// Returns the JSON text of all parameters.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Returns the JSON text of `arguments`, if there is one.
    pub fn arguments(&self) -> Option<&str> {
        self.arguments.clone().map(|span| self.text(span))
    }

    /// Returns the JSON text of `_meta`, if there is one.
    pub fn meta(&self) -> Option<&str> {
        self.meta.clone().map(|span| self.text(span))
    }

    /// Appends the parameters to `out` with the routing key replaced by `key` and `_meta` changed as `toward` says.
    ///
    /// Everything else keeps its bytes, unknown members included.
    ///
    /// # Errors
    /// [`Fault`] when `_meta` is no strict object.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        key: Option<&str>,
        toward: &meta::Toward<'_>,
    ) -> Result<(), Fault> {
        let new_key = key.filter(|key| *key != self.key()).map(encode_string);
        let key_edit = self.key.clone().zip(new_key.as_deref()).map(|(at, with)| Edit { at, with });
        let new_meta = meta::rewrite(self.meta(), toward)?;
        let inserted;
        let meta_edit = match (&new_meta, self.meta.clone()) {
            (meta::Rewritten::Unchanged, _) => None,
            (meta::Rewritten::To(text), Some(at)) => Some(Edit { at, with: text }),
            (meta::Rewritten::To(text), None) => {
                inserted = self.first_member("_meta", text);
                Some(Edit { at: self.after_brace(), with: &inserted })
            }
        };
        let mut edits: Vec<Edit<'_>> = key_edit.into_iter().chain(meta_edit).collect();
        edits.sort_by_key(|edit| edit.at.start);
        splice(out, &self.raw, &edits);
        Ok(())
    }

    fn first_member(&self, name: &str, value: &[u8]) -> Vec<u8> {
        let rest = &self.raw[self.after_brace().start..];
        let is_empty = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
        let mut text = format!("\"{name}\":").into_bytes();
        text.extend_from_slice(value);
        if !is_empty {
            text.push(b',');
        }
        text
    }

    fn after_brace(&self) -> Range<usize> {
        let brace = memchr::memchr(b'{', &self.raw).expect("parameters were read as an object");
        brace + 1..brace + 1
    }

    fn text(&self, span: Range<usize>) -> &str {
        std::str::from_utf8(&self.raw[span]).expect("JSON that was read is UTF-8")
    }
}

/// Returns the JSON text of a string.
fn encode_string(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string is always JSON")
}

fn key_span(raw: &Bytes, object: &Object<'_>, routing: Routing) -> Result<Option<Range<usize>>, BadParams> {
    match routing {
        Routing::Local | Routing::List(_) | Routing::Feature(_) => Ok(None),
        Routing::Task => string_span(object, "taskId").map(Some),
        Routing::Tool | Routing::Prompt => string_span(object, "name").map(Some),
        Routing::Resource => string_span(object, "uri").map(Some),
        Routing::Reference => reference_span(raw, object).map(Some),
    }
}

fn string_span(object: &Object<'_>, member: &'static str) -> Result<Range<usize>, BadParams> {
    object.string(member).and_then(|_| object.span(member)).ok_or(BadParams::Missing(member))
}

/// Finds the name or URI inside `ref` (`ref/prompt` has `name`, `ref/resource` has `uri`).
fn reference_span(raw: &Bytes, object: &Object<'_>) -> Result<Range<usize>, BadParams> {
    let outer = object.span("ref").ok_or(BadParams::Missing("ref"))?;
    let inner = Object::parse(&raw[outer.clone()], &["type", "name", "uri"])?;
    let member = if inner.string("type").as_deref() == Some("ref/prompt") { "name" } else { "uri" };
    let span = string_span(&inner, member)?;
    Ok(outer.start + span.start..outer.start + span.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method;

    fn written(method_name: &str, params: &str, key: Option<&str>, toward: &meta::Toward<'_>) -> String {
        let params =
            Params::parse(Some(Bytes::copy_from_slice(params.as_bytes())), method(method_name).unwrap())
                .unwrap();
        let mut out = Vec::new();
        params.write(&mut out, key, toward).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_name_changes_and_unknown_members_keep_their_bytes() {
        let params = r#"{ "vendor" : 1.10e2, "arguments":{"b":1,"a": 2}, "name" : "git__log" }"#;
        let expected = r#"{ "vendor" : 1.10e2, "arguments":{"b":1,"a": 2}, "name" : "log" }"#;
        assert_eq!(
            written("tools/call", params, Some("log"), &meta::Toward::Same { progress_token: None }),
            expected
        );
    }

    #[test]
    fn a_name_that_stays_keeps_its_spelling() {
        let params = r#"{"name":"l\u006fg"}"#;
        assert_eq!(
            written("tools/call", params, Some("log"), &meta::Toward::Same { progress_token: None }),
            params
        );
    }

    #[test]
    fn meta_is_inserted_where_there_is_none() {
        let modern = meta::Toward::Modern {
            version: "2026-07-28",
            client_info: r#"{"name":"c","version":"1"}"#,
            capabilities: "{}",
            log_level: None,
            progress_token: None,
        };
        let expected = concat!(
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            r#""io.modelcontextprotocol/clientCapabilities":{},"#,
            r#""io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}},"name":"x"}"#
        );
        assert_eq!(written("tools/call", r#"{"name":"x"}"#, None, &modern), expected);
        assert!(written("tools/list", "{}", None, &modern).ends_with("}}"));
    }

    #[test]
    fn the_reference_of_a_completion_is_renamed_inside_ref() {
        let params =
            r#"{"ref":{"type":"ref/prompt","name":"s__greet"},"argument":{"name":"who","value":"a"}}"#;
        let expected =
            r#"{"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"who","value":"a"}}"#;
        let same = meta::Toward::Same { progress_token: None };
        assert_eq!(written("completion/complete", params, Some("greet"), &same), expected);
    }

    #[test]
    fn missing_and_doubled_members_are_refused() {
        let parse = |text: &'static str| {
            Params::parse(Some(Bytes::from_static(text.as_bytes())), method("tools/call").unwrap())
        };
        assert_eq!(parse("{}").err(), Some(BadParams::Missing("name")));
        assert_eq!(parse(r#"{"name":7}"#).err(), Some(BadParams::Missing("name")));
        assert_eq!(parse(r#"{"name":"x","arguments":[]}"#).err(), Some(BadParams::Arguments));
        for doubled in [
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a","arguments":{},"arguments":{}}"#,
            r#"{"name":"a","Arguments":{}}"#,
        ] {
            assert!(matches!(parse(doubled), Err(BadParams::Fault(_))), "{doubled}");
        }
    }
    /// Every member that the gateway reads in some request, beside one that nobody reads.
    #[test]
    fn members_that_are_read_have_one_spelling() {
        let rows = [
            ("tools/call", "_meta", "_Meta"),
            ("tools/call", "name", "NAME"),
            ("tools/call", "arguments", "Arguments"),
            ("tools/call", "arguments", "argument\u{17f}"),
            ("tools/call", "task", "Task"),
            ("tools/call", "task", "TASK"),
            ("tools/call", "task", "ta\u{17f}k"),
            ("tools/call", "task", "tas\u{212a}"),
            ("tools/call", "requestState", "requeststate"),
            ("tools/call", "inputResponses", "inputresponses"),
            ("prompts/get", "name", "Name"),
            ("resources/read", "uri", "URI"),
            ("resources/subscribe", "uri", "Uri"),
            ("tools/list", "cursor", "Cursor"),
            ("completion/complete", "ref", "Ref"),
            ("completion/complete", "argument", "Argument"),
            ("completion/complete", "context", "Context"),
            ("logging/setLevel", "level", "Level"),
            ("tasks/get", "taskId", "taskid"),
            ("tasks/result", "taskId", "tas\u{212a}Id"),
            ("tasks/update", "inputResponses", "InputResponses"),
            ("subscriptions/listen", "notifications", "Notifications"),
            ("initialize", "protocolVersion", "protocolversion"),
            ("initialize", "capabilities", "Capabilities"),
            ("initialize", "clientInfo", "clientinfo"),
        ];
        let routed = r#""name":"x","uri":"x","taskId":"x","ref":{"type":"ref/prompt","name":"x"}"#;
        for (name, member, variant) in rows {
            let parse = |more: &str| {
                let text = format!("{{{routed}{more}}}");
                Params::parse(Some(text.into()), method(name).unwrap()).map(drop)
            };
            assert_eq!(parse(r#","Vendor":1,"vendor":2"#), Ok(()), "{name}");
            let refused = Err(BadParams::Fault(Fault::CaseVariant(variant.to_owned())));
            assert_eq!(parse(&format!(",\"{variant}\":{{}}")), refused, "{name} {member}");
            let twice = parse(&format!(",\"{member}\":{{}},\"{member}\":{{}}"));
            assert_eq!(twice, Err(BadParams::Fault(Fault::Duplicate(member.to_owned()))), "{name}");
        }
        let covered =
            |known: &&str| *known == "requestId" || rows.iter().any(|(_, member, _)| member == known);
        assert!(KNOWN.iter().all(covered), "a member without a row");
    }
}

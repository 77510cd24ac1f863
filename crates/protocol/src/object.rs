//! Finds the members of one JSON object without decoding their values, and replaces single members in place.
//! Strict where a reader and a forwarder could disagree: a member may stand only once, and a name that differs
//! from a known one only by case is refused (CVE-2026-27896 is that disagreement).

use std::{borrow::Cow, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// Most members an object of ours may have; real envelopes and parameters have fewer than twenty.
const MAX_MEMBERS: usize = 256;

/// Members of a usual object; they are kept without an allocation, and moving more would cost more than one.
const USUAL_MEMBERS: usize = 4;

/// Why an object is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are not JSON, or not UTF-8.
    #[error("not valid JSON")]
    NotJson,
    /// The JSON is something else than an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A member stands twice.
    #[error("member `{0}` stands twice")]
    Duplicate(String),
    /// A member's name differs from a known one only by case.
    #[error("member `{0}` differs from a known one only by case")]
    CaseVariant(String),
    /// More members than any honest message has.
    #[error("more than {MAX_MEMBERS} members")]
    TooMany,
}

struct Member<'a> {
    key: Cow<'a, str>,
    value: &'a str,
}

/// The members of one JSON object, in their order, each with the place of its value in the source.
pub struct Object<'a> {
    source: &'a [u8],
    members: SmallVec<[Member<'a>; USUAL_MEMBERS]>,
}

impl<'a> Object<'a> {
    /// Reads the one object in `source`; `known` names the members that the caller will look at.
    ///
    /// Nested values are checked to be JSON and otherwise left alone, at any depth and without recursion.
    ///
    /// # Errors
    /// [`Fault`] when it is no object, or a member is doubled or a case variant of a known one.
    pub fn parse(source: &'a [u8], known: &[&str]) -> Result<Self, Fault> {
        let Members(members) = serde_json::from_slice(source).map_err(|error| fault_of(&error, source))?;
        if members.len() > MAX_MEMBERS {
            return Err(Fault::TooMany);
        }
        refuse_duplicates(&members)?;
        refuse_case_variants(&members, known)?;
        Ok(Self { source, members })
    }

    /// Returns the JSON text of a member's value.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members.iter().find(|member| member.key == key).map(|member| member.value)
    }

    /// Returns the decoded text of a member that is a JSON string.
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(decode_string)
    }

    /// Returns where a member's value stands in the source.
    pub fn span(&self, key: &str) -> Option<Range<usize>> {
        self.get(key).map(|value| self.span_of(value))
    }

    /// Iterates over the members: decoded name, JSON text of the value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.members.iter().map(|member| (member.key.as_ref(), member.value))
    }

    /// Appends the object to `out` without the members named in `names`. Everything else keeps its bytes.
    pub fn write_without(&self, names: &[&str], out: &mut Vec<u8>) {
        let brace = memchr::memchr(b'{', self.source).expect("the source was read as an object");
        out.extend_from_slice(&self.source[..=brace]);
        let (mut at, mut is_first) = (brace + 1, true);
        for member in &self.members {
            let end = self.span_of(member.value).end;
            let text = &self.source[at..end];
            at = end;
            if names.contains(&&*member.key) {
                continue;
            }
            // Each text but the first begins with its comma; the first one that is kept has none.
            let comma = memchr::memchr(b',', text).filter(|comma| text[..*comma].trim_ascii().is_empty());
            out.extend_from_slice(if is_first { &text[comma.map_or(0, |comma| comma + 1)..] } else { text });
            is_first = false;
        }
        out.extend_from_slice(&self.source[at..]);
    }

    /// Tells whether the object has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn span_of(&self, value: &str) -> Range<usize> {
        let start = value.as_ptr() as usize - self.source.as_ptr() as usize;
        start..start + value.len()
    }
}

/// Decodes the JSON text of a string; `None` when it is something else.
pub(crate) fn decode_string(value: &str) -> Option<Cow<'_, str>> {
    if !value.starts_with('"') {
        return None;
    }
    let inner = value.get(1..value.len() - 1)?;
    if inner.contains('\\') {
        serde_json::from_str(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// One replacement in a text; an empty range inserts.
pub struct Edit<'a> {
    /// The bytes to replace.
    pub at: Range<usize>,
    /// What takes their place.
    pub with: &'a [u8],
}

/// Appends `source` to `out` with `edits` applied. The edits are in order and do not overlap.
pub fn splice(out: &mut Vec<u8>, source: &[u8], edits: &[Edit<'_>]) {
    let mut copied = 0;
    for edit in edits {
        out.extend_from_slice(&source[copied..edit.at.start]);
        out.extend_from_slice(edit.with);
        copied = edit.at.end;
    }
    out.extend_from_slice(&source[copied..]);
}

fn fault_of(error: &serde_json::Error, source: &[u8]) -> Fault {
    let starts_object = source.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if error.is_data() && !starts_object { Fault::NotAnObject } else { Fault::NotJson }
}

fn refuse_duplicates(members: &[Member<'_>]) -> Result<(), Fault> {
    // Quadratic over at most MAX_MEMBERS short names; typical objects have four.
    for (position, member) in members.iter().enumerate() {
        if members[..position].iter().any(|earlier| earlier.key == member.key) {
            return Err(Fault::Duplicate(shown(&member.key)));
        }
    }
    Ok(())
}

fn refuse_case_variants(members: &[Member<'_>], known: &[&str]) -> Result<(), Fault> {
    let variant =
        |member: &&Member<'_>| known.iter().any(|name| member.key != *name && same_folded(&member.key, name));
    members.iter().find(variant).map_or(Ok(()), |member| Err(Fault::CaseVariant(shown(&member.key))))
}

/// Compares without regard to case as lenient readers do, U+017F (long s) and U+212A (Kelvin sign) included.
fn same_folded(key: &str, name: &str) -> bool {
    if key.is_ascii() {
        return key.eq_ignore_ascii_case(name);
    }
    let fold = |text: &str| {
        text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect::<String>()
    };
    fold(key) == fold(name)
}

/// A member's name as it may stand in an error: short, printable.
fn shown(key: &str) -> String {
    key.chars().take(40).flat_map(char::escape_debug).collect()
}

struct Members<'a>(SmallVec<[Member<'a>; USUAL_MEMBERS]>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = SmallVec::new();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            let value = map.next_value::<&'de RawValue>()?.get();
            // One more than allowed is kept, so that the caller sees the excess; the rest is only skipped.
            if members.len() <= MAX_MEMBERS {
                members.push(Member { key, value });
            }
        }
        Ok(Members(members))
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_place() {
        let source = br#" {"a": 1.10, "b" : {"x":[1 , 2]}, "c":"t\u0065xt"} "#;
        let object = Object::parse(source, &[]).unwrap();
        assert_eq!(object.get("a"), Some("1.10"));
        assert_eq!(&source[object.span("b").unwrap()], br#"{"x":[1 , 2]}"#);
        assert_eq!(object.string("c").unwrap(), "text");
        assert_eq!(object.get("d"), None);
    }

    #[test]
    fn doubled_and_case_variant_members_are_refused() {
        let known = &["name", "method", "tasks"];
        let cases: &[(&str, Fault)] = &[
            (r#"{"name":1,"name":2}"#, Fault::Duplicate("name".into())),
            (r#"{"name":1,"na\u006de":2}"#, Fault::Duplicate("name".into())),
            (r#"{"zzz":1,"zzz":1}"#, Fault::Duplicate("zzz".into())),
            (r#"{"Name":1}"#, Fault::CaseVariant("Name".into())),
            (r#"{"METHOD":1}"#, Fault::CaseVariant("METHOD".into())),
            ("{\"ta\u{17f}ks\":1}", Fault::CaseVariant("ta\u{17f}ks".into())),
            ("{\"tas\u{212a}s\":1}", Fault::CaseVariant("tas\u{212a}s".into())),
            ("[1]", Fault::NotAnObject),
            ("3", Fault::NotAnObject),
            ("{", Fault::NotJson),
            ("{} {}", Fault::NotJson),
            ("", Fault::NotJson),
        ];
        for (source, expected) in cases {
            assert_eq!(Object::parse(source.as_bytes(), known).err().as_ref(), Some(expected), "{source}");
        }
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion() {
        let source = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Object::parse(source.as_bytes(), &[]).is_ok());
    }

    #[test]
    fn invalid_utf8_is_not_json() {
        assert_eq!(Object::parse(b"{\"a\":\"\xff\"}", &[]).err(), Some(Fault::NotJson));
    }

    #[test]
    fn too_many_members_are_refused() {
        let members: Vec<String> = (0..300).map(|n| format!("\"k{n}\":0")).collect();
        let source = format!("{{{}}}", members.join(","));
        assert_eq!(Object::parse(source.as_bytes(), &[]).err(), Some(Fault::TooMany));
    }

    #[test]
    fn members_are_left_out_and_the_rest_keeps_its_bytes() {
        let without = |source: &str| {
            let mut out = Vec::new();
            Object::parse(source.as_bytes(), &[]).unwrap().write_without(&["x", "y"], &mut out);
            String::from_utf8(out).unwrap()
        };
        let cases = [
            (r#" { "a" : 1.10 , "b":[1, 2] } "#, r#" { "a" : 1.10 , "b":[1, 2] } "#),
            (r#"{"x":1,"a" : 2}"#, r#"{"a" : 2}"#),
            (r#"{"x":1,"y":{"a":3}, "a":2 }"#, r#"{ "a":2 }"#),
            (r#"{"a":",","x":1}"#, r#"{"a":","}"#),
            (r#"{"a":1,"x":1 ,"b":2}"#, r#"{"a":1 ,"b":2}"#),
            (r#"{"x":1}"#, "{}"),
            ("{ }", "{ }"),
        ];
        for (source, expected) in cases {
            assert_eq!(without(source), expected, "{source}");
        }
    }

    #[test]
    fn splice_replaces_and_inserts() {
        let mut out = Vec::new();
        splice(&mut out, b"abcdef", &[Edit { at: 1..3, with: b"XY Z" }, Edit { at: 4..4, with: b"-" }]);
        assert_eq!(out, b"aXY Zd-ef");
    }
}

//! A reader of envelopes as the rules have it: it decodes everything, copies everything and takes its time.
//! Only JSON itself is somebody else's (`serde_json`).

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::KNOWN;

/// What a body says; nothing when it is no message.
pub(crate) type Reading = Result<Envelope, ()>;

/// A message, its parts as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Envelope {
    Request { id: String, method: String, params: Option<String> },
    Notification { method: String, params: Option<String> },
    Result { id: String, result: String },
    Error { id: Option<String>, error: String },
}

/// What may stand as an id.
enum Id {
    Absent,
    Null,
    Named(String),
}

/// Reads one message.
pub(crate) fn read(body: &[u8]) -> Reading {
    let Members(members) = serde_json::from_slice(body).map_err(|_| ())?;
    let text = |name: &str| members.get(name).cloned();
    let string = |name: &str| text(name).map(|text| serde_json::from_str::<String>(&text).map_err(|_| ()));
    if string("jsonrpc") != Some(Ok("2.0".to_owned())) {
        return Err(());
    }
    let id = id(text("id"))?;
    let method = string("method").transpose()?;
    let (params, result, error) = (text("params"), text("result"), text("error"));
    if method.as_ref().is_some_and(|method| method.len() > 256) {
        return Err(());
    }
    match (method, result, error, id) {
        (Some(_), None, None, _) if params.as_ref().is_some_and(|params| !params.starts_with('{')) => Err(()),
        (Some(method), None, None, Id::Named(id)) => Ok(Envelope::Request { id, method, params }),
        (Some(method), None, None, Id::Absent) => Ok(Envelope::Notification { method, params }),
        (None, Some(result), None, Id::Named(id)) => Ok(Envelope::Result { id, result }),
        (None, None, Some(error), Id::Named(id)) => Ok(Envelope::Error { id: Some(id), error }),
        (None, None, Some(error), Id::Absent | Id::Null) => Ok(Envelope::Error { id: None, error }),
        _ => Err(()),
    }
}

fn id(text: Option<String>) -> Result<Id, ()> {
    let Some(text) = text else { return Ok(Id::Absent) };
    match text.as_bytes()[0] {
        b'n' => Ok(Id::Null),
        b'"' | b'-' | b'0'..=b'9' if text.len() <= 512 => Ok(Id::Named(text)),
        _ => Err(()),
    }
}

/// The members of an object by their decoded names. It has none twice and none that another reader could confuse.
struct Members(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Strict)
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            let is_variant = !KNOWN.contains(&name.as_str()) && KNOWN.contains(&folded(&name).as_str());
            if is_variant || members.insert(name, value.get().to_owned()).is_some() {
                return Err(A::Error::custom("twice, or confusable"));
            }
        }
        Ok(Members(members))
    }
}

/// Folds a name as the most lenient reader does. These three are all the letters beyond ASCII that fold to one of ASCII.
fn folded(name: &str) -> String {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{131}' => 'i',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

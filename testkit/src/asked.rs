//! One message as a fake server reads it: leniently, because it is the gateway's work to be strict.

use std::collections::BTreeMap;

use protocol::{Era, meta};
use serde_json::{Value, value::RawValue};

/// Which eras a fake server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Only revisions with `initialize`.
    Legacy,
    /// Only 2026-07-28.
    Modern,
    /// Either, by request.
    Both,
}

impl Speaks {
    /// Tells whether requests of `era` are answered.
    pub const fn includes(self, era: Era) -> bool {
        matches!((self, era), (Self::Both, _) | (Self::Legacy, Era::Legacy) | (Self::Modern, Era::Modern))
    }
}

/// A request or notification.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The id; `None` for a notification.
    pub id: Option<Value>,
    /// The method's name.
    pub method: String,
    /// The parameters; `null` when there are none.
    pub params: Value,
    /// The era that the message belongs to.
    pub era: Era,
}

/// Message, `params`, `arguments`: so far a fake looks into what is nested too deep to be read as a whole.
const ENVELOPE_DEPTH: usize = 3;

/// Reads JSON; members that are nested too deep become `null`, what is no JSON is `null` too.
fn as_deep_as_possible(text: &str, depth: usize) -> Value {
    let read = serde_json::from_str::<Value>(text).ok();
    let members = || serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok().filter(|_| depth > 0);
    read.or_else(|| {
        let members = members()?.into_iter();
        Some(members.map(|(name, value)| (name, as_deep_as_possible(value.get(), depth - 1))).collect())
    })
    .unwrap_or_default()
}

impl Asked {
    /// Reads a message; `None` when it is no request and no notification.
    pub fn read(message: &[u8]) -> Option<Self> {
        let mut message = as_deep_as_possible(std::str::from_utf8(message).ok()?, ENVELOPE_DEPTH);
        let method = message.get("method")?.as_str()?.to_owned();
        let params = message.get_mut("params").map(Value::take).unwrap_or_default();
        let id = message.get("id").cloned();
        let names_version = params.get("_meta").and_then(|meta| meta.get(meta::PROTOCOL_VERSION)).is_some();
        let era = if names_version || method == "server/discover" { Era::Modern } else { Era::Legacy };
        Some(Self { id, method, params, era })
    }

    /// Returns the name of the tool that is called.
    pub fn tool(&self) -> &str {
        self.params.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns an argument that is text; empty when there is none.
    pub fn text(&self, argument: &str) -> &str {
        self.argument(argument).as_str().unwrap_or_default()
    }

    /// Returns an argument that is a number; 0 when there is none.
    pub fn number(&self, argument: &str) -> u64 {
        self.argument(argument).as_u64().unwrap_or_default()
    }

    /// Returns an argument; `null` when there is none.
    pub fn argument(&self, name: &str) -> &Value {
        self.params.get("arguments").and_then(|arguments| arguments.get(name)).unwrap_or(&Value::Null)
    }

    /// Returns the progress token that the caller sent.
    pub fn progress_token(&self) -> Option<&Value> {
        self.params.get("_meta")?.get(meta::PROGRESS_TOKEN)
    }
}

//! `_meta` of a request: the members that the specification reserves, and how they change between eras.

use crate::{Fault, Object};

/// The revision of one modern request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The capabilities that the client declares with one modern request.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The client's name and version; for display only.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The log level that one modern request asks for.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The server's name and version in a modern result.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The id of the listen request that a modern notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// The token under which a request wants its progress reported.
pub const PROGRESS_TOKEN: &str = "progressToken";

const MODERN_ONLY: &[&str] = &[PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL];
const KNOWN: &[&str] = &[PROTOCOL_VERSION, CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, PROGRESS_TOKEN];

/// Reads a `_meta` object strictly.
///
/// # Errors
/// [`Fault`] when it is no object, or a reserved member is doubled or misspelt by case.
pub fn parse(meta: &str) -> Result<Object<'_>, Fault> {
    Object::parse(meta.as_bytes(), KNOWN)
}

/// What the receiving side needs in `_meta`. Values are JSON text, except `version` and `log_level`.
#[derive(Debug, Clone, Copy)]
pub enum Toward<'a> {
    /// The same era: nothing changes but the progress token.
    Same {
        /// Our token in place of the client's, where one connection carries several calls.
        progress_token: Option<u64>,
    },
    /// A legacy upstream: members that only the modern era has are taken out.
    Legacy {
        /// See [`Toward::Same`].
        progress_token: Option<u64>,
    },
    /// A modern upstream and a client that does not send the modern members itself.
    Modern {
        /// The revision that the upstream speaks.
        version: &'a str,
        /// The JSON text of `clientInfo`.
        client_info: &'a str,
        /// The JSON text of the capabilities to declare.
        capabilities: &'a str,
        /// The level that the client asked for by `logging/setLevel`.
        log_level: Option<&'a str>,
        /// See [`Toward::Same`].
        progress_token: Option<u64>,
    },
}

/// The outcome of [`rewrite`].
#[derive(Debug, PartialEq, Eq)]
pub enum Rewritten {
    /// `_meta` may stay as it is, or stay absent.
    Unchanged,
    /// This JSON text takes its place.
    To(Vec<u8>),
}

/// Changes `_meta` for the receiving side. Members that are not reserved keep their bytes and order.
///
/// A progress token is replaced only when the client sent one.
///
/// # Errors
/// [`Fault`] when `meta` is no strict object.
pub fn rewrite(meta: Option<&str>, toward: &Toward<'_>) -> Result<Rewritten, Fault> {
    let object = meta.map(parse).transpose()?;
    let has = |name: &str| object.as_ref().is_some_and(|object| object.get(name).is_some());
    let (token, untouched) = match *toward {
        Toward::Same { progress_token } => (progress_token, true),
        Toward::Legacy { progress_token } => (progress_token, !MODERN_ONLY.iter().any(|name| has(name))),
        Toward::Modern { progress_token, .. } => (progress_token, false),
    };
    let token = token.filter(|_| has(PROGRESS_TOKEN));
    if untouched && token.is_none() {
        return Ok(Rewritten::Unchanged);
    }
    let mut writer = Writer::default();
    for (name, value) in object.iter().flat_map(Object::iter) {
        match (name, token) {
            (PROGRESS_TOKEN, Some(token)) => writer.member(name, &token.to_string()),
            _ if matches!(toward, Toward::Same { .. }) || !MODERN_ONLY.contains(&name) => {
                writer.member(name, value)
            }
            _ => {}
        }
    }
    if let Toward::Modern { version, client_info, capabilities, log_level, .. } = *toward {
        writer.member(PROTOCOL_VERSION, &format!("\"{version}\""));
        writer.member(CLIENT_CAPABILITIES, capabilities);
        writer.member(CLIENT_INFO, client_info);
        if let Some(level) = log_level {
            writer.member(LOG_LEVEL, &format!("\"{level}\""));
        }
    }
    Ok(Rewritten::To(writer.finish()))
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn member(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.extend(serde_json::to_vec(name).expect("a string is always JSON"));
        self.0.push(b':');
        self.0.extend_from_slice(value.as_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(meta: Option<&str>, toward: &Toward<'_>) -> Option<String> {
        match rewrite(meta, toward).unwrap() {
            Rewritten::Unchanged => None,
            Rewritten::To(text) => Some(String::from_utf8(text).unwrap()),
        }
    }

    #[test]
    fn the_same_era_changes_only_the_token() {
        let same = |progress_token| Toward::Same { progress_token };
        assert_eq!(rewritten(None, &same(Some(7))), None);
        assert_eq!(rewritten(Some(r#"{"x":1}"#), &same(Some(7))), None);
        let meta = r#"{"x/y":1.0,"progressToken":"mine"}"#;
        assert_eq!(rewritten(Some(meta), &same(Some(7))).unwrap(), r#"{"x/y":1.0,"progressToken":7}"#);
        assert_eq!(rewritten(Some(meta), &same(None)), None);
    }

    #[test]
    fn a_legacy_upstream_sees_no_modern_members() {
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","vendor":{"a":1},"io.modelcontextprotocol/clientCapabilities":{}}"#;
        let legacy = Toward::Legacy { progress_token: None };
        assert_eq!(rewritten(Some(meta), &legacy).unwrap(), r#"{"vendor":{"a":1}}"#);
        assert_eq!(rewritten(Some(r#"{"vendor":1}"#), &legacy), None);
    }
}

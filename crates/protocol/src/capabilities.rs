//! What a client declares that servers may ask of it (specification 2025-11-25, lifecycle: capability negotiation).
//! It is passed on as the client wrote it; only what the gateway decides about is read.

use bytes::Bytes;

use crate::{Fault, Object};

/// The request that has modes.
const ELICITATION: &str = "elicitation/create";
/// Longest declaration that is kept, in bytes. A longer one counts as none: it is repeated to every server.
const MAX_BYTES: usize = 4096;
/// Requests that run as tasks of the client are not passed on, so they are not declared either.
const NOT_PASSED_ON: [&str; 1] = ["tasks"];
/// The capabilities that servers may act on.
const KNOWN: &[&str] = &["roots", "sampling", "elicitation", "tasks"];

/// The capabilities of a client with a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCapabilities {
    json: Bytes,
    roots: bool,
    sampling: bool,
    /// To fill in a form, and to visit a URL.
    elicitation: Modes,
}

/// The ways in which a client can ask its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Modes {
    form: bool,
    url: bool,
}

impl ClientCapabilities {
    /// A client that can be asked for nothing.
    pub const NONE: Self =
        Self { json: Bytes::from_static(b"{}"), roots: false, sampling: false, elicitation: Modes::NONE };

    /// What the gateway can pass on to clients, whichever of them calls.
    pub const ALL: Self = Self {
        json: Bytes::from_static(
            br#"{"roots":{"listChanged":true},"sampling":{},"elicitation":{"form":{},"url":{}}}"#,
        ),
        roots: true,
        sampling: true,
        elicitation: Modes { form: true, url: true },
    };

    /// Reads the JSON text of a declaration.
    ///
    /// # Errors
    /// [`Fault`] when it is no strict object.
    pub fn parse(declared: &[u8]) -> Result<Self, Fault> {
        let object = Object::parse(declared, KNOWN)?;
        if declared.len() > MAX_BYTES {
            return Ok(Self::NONE);
        }
        let has = |name: &str| object.get(name).is_some_and(|value| value.starts_with('{'));
        let (roots, sampling) = (has("roots"), has("sampling"));
        let elicitation = object.get("elicitation").map_or(Modes::NONE, Modes::declared);
        let mut json = Vec::with_capacity(declared.len());
        object.write_without(&NOT_PASSED_ON, &mut json);
        Ok(Self { json: json.into(), roots, sampling, elicitation })
    }

    /// Returns the JSON text to declare to a server on the client's behalf.
    pub fn as_json(&self) -> &str {
        std::str::from_utf8(&self.json).expect("JSON that was read is UTF-8")
    }

    /// Tells whether a server may send requests of this method to the client, some of them at least.
    pub fn allow(&self, method: &str) -> bool {
        match method {
            "roots/list" => self.roots,
            "sampling/createMessage" => self.sampling,
            ELICITATION => self.elicitation != Modes::NONE,
            _ => false,
        }
    }

    /// Tells whether a server may send this very request to the client: an elicitation must be of a mode that the client
    /// declared (specification 2025-11-25, elicitation: capabilities).
    pub fn allow_request(&self, method: &str, params: Option<&Bytes>) -> bool {
        self.allow(method) && (method != ELICITATION || self.elicitation.include(params))
    }
}

impl Modes {
    const NONE: Self = Self { form: false, url: false };

    /// Reads a declaration; an empty one means forms, as before there were modes.
    fn declared(text: &str) -> Self {
        let Ok(declared) = Object::parse(text.as_bytes(), &["form", "url"]) else { return Self::NONE };
        let url = declared.get("url").is_some_and(|value| value.starts_with('{'));
        Self { form: !url || declared.get("form").is_some(), url }
    }

    fn include(self, params: Option<&Bytes>) -> bool {
        let Some(params) = params else { return self.form };
        let Ok(params) = Object::parse(params, &["mode"]) else { return false };
        match (params.get("mode"), params.string("mode").as_deref()) {
            (None, _) | (_, Some("form")) => self.form,
            (_, Some("url")) => self.url,
            (Some(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_passed_on_as_it_was_written() {
        let declared = br#"{ "sampling":{"tools":{}},"tasks":{"list":{}},"vendor" : 1.0 }"#;
        let capabilities = ClientCapabilities::parse(declared).unwrap();
        assert_eq!(capabilities.as_json(), r#"{ "sampling":{"tools":{}},"vendor" : 1.0 }"#);
        assert!(capabilities.allow("sampling/createMessage"));
        assert!(!capabilities.allow("elicitation/create") && !capabilities.allow("roots/list"));
        assert!(!capabilities.allow("tools/call"));
    }

    #[test]
    fn an_elicitation_is_of_a_declared_mode() {
        let check = |declared: &str, form: bool, url: bool| {
            let declared = format!(r#"{{"elicitation":{declared}}}"#);
            let capabilities = ClientCapabilities::parse(declared.as_bytes()).unwrap();
            let allows = |params: &'static str| {
                capabilities.allow_request(ELICITATION, Some(&Bytes::from_static(params.as_bytes())))
            };
            assert_eq!(capabilities.allow(ELICITATION), form || url, "{declared}");
            assert_eq!(capabilities.allow_request(ELICITATION, None), form, "{declared}");
            assert_eq!(allows(r#"{"message":"?"}"#), form, "{declared}");
            assert_eq!(allows(r#"{"mode":"form"}"#), form, "{declared}");
            assert_eq!(allows(r#"{"mode":"url"}"#), url, "{declared}");
            assert!(!allows(r#"{"mode":"other"}"#) && !allows(r#"{"mode":null}"#) && !allows("[]"));
        };
        check("{}", true, false);
        check(r#"{"form":{}}"#, true, false);
        check(r#"{"form":{},"url":{}}"#, true, true);
        check(r#"{"url":{}}"#, false, true);
        check("true", false, false);
    }

    #[test]
    fn what_is_no_declaration_allows_nothing() {
        assert!(ClientCapabilities::parse(b"[]").is_err());
        assert!(ClientCapabilities::parse(br#"{"roots":{},"roots":{}}"#).is_err());
        let shapeless = ClientCapabilities::parse(br#"{"roots":true}"#).unwrap();
        assert!(!shapeless.allow("roots/list"));
        let long = format!(r#"{{"roots":{{}},"x":"{}"}}"#, "x".repeat(MAX_BYTES));
        assert_eq!(ClientCapabilities::parse(long.as_bytes()).unwrap(), ClientCapabilities::NONE);
    }

    #[test]
    fn all_is_what_it_says() {
        let all = ClientCapabilities::parse(ClientCapabilities::ALL.as_json().as_bytes()).unwrap();
        assert_eq!(all, ClientCapabilities::ALL);
    }
}

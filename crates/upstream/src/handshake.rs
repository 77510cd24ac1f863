//! What a server says about itself at the beginning: the answer to `server/discover` (modern) or `initialize`
//! (legacy). Which of the two is asked is `era`'s decision.

use bytes::Bytes;
use protocol::{Era, Object, Version};

/// How a server introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The revision to speak with it.
    pub(crate) version: Version,
    /// The JSON text of its capabilities.
    pub(crate) capabilities: Bytes,
    /// Its instructions for the model.
    pub(crate) instructions: Option<String>,
}

/// What `server/discover` brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Discovered {
    /// A modern server.
    Modern(Greeting),
    /// A server that knows the question and speaks only legacy revisions.
    LegacyOnly,
    /// A modern server with which we share no revision.
    NoneShared,
    /// No answer to this question.
    Unreadable,
}

/// Reads a `DiscoverResult`.
pub(crate) fn discovered(result: &Bytes) -> Discovered {
    let Ok(object) = Object::parse(result, &["supportedVersions", "capabilities", "instructions"]) else {
        return Discovered::Unreadable;
    };
    let versions =
        object.get("supportedVersions").and_then(|list| serde_json::from_str::<Vec<String>>(list).ok());
    match versions.as_deref().map(shared_version) {
        None => Discovered::Unreadable,
        Some(None) => Discovered::NoneShared,
        Some(Some(version)) => match version.era() {
            Era::Legacy => Discovered::LegacyOnly,
            Era::Modern => Discovered::Modern(greeting(version, result, &object)),
        },
    }
}

/// Reads an `InitializeResult`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn initialized(result: &Bytes) -> Result<Greeting, String> {
    let object = Object::parse(result, &["protocolVersion", "capabilities", "instructions"])
        .map_err(|fault| format!("the result of `initialize` is {fault}"))?;
    let named =
        object.string("protocolVersion").ok_or("the result of `initialize` names no protocol version")?;
    let version: Version = named
        .parse()
        .map_err(|_| format!("it speaks protocol version `{}`, which we do not", shown(&named)))?;
    match version.era() {
        Era::Legacy => Ok(greeting(version, result, &object)),
        Era::Modern => Err(format!("it answered `initialize` with `{version}`, which has no sessions")),
    }
}

/// Returns the newest revision that we share with a server that speaks `theirs`.
pub(crate) fn shared_version(theirs: &[String]) -> Option<Version> {
    theirs.iter().filter_map(|version| version.parse().ok()).max()
}

fn greeting(version: Version, result: &Bytes, object: &Object<'_>) -> Greeting {
    let capabilities = object.span("capabilities").map(|span| result.slice(span));
    let capabilities = capabilities.filter(|text| text.starts_with(b"{"));
    Greeting {
        version,
        capabilities: capabilities.unwrap_or_else(|| Bytes::from_static(b"{}")),
        instructions: object.string("instructions").map(std::borrow::Cow::into_owned),
    }
}

/// Makes text of a server fit for an error: short, escaped.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(result: &'static str) -> Discovered {
        discovered(&Bytes::from_static(result.as_bytes()))
    }

    #[test]
    fn the_newest_shared_revision_decides() {
        let modern = discover(
            r#"{"supportedVersions":["2025-11-25","2026-07-28","2099-01-01"],"capabilities":{"tools":{}},"instructions":"a\nb"}"#,
        );
        let Discovered::Modern(greeting) = modern else { panic!("{modern:?}") };
        assert_eq!(greeting.version, Version::V2026_07_28);
        assert_eq!(greeting.capabilities, r#"{"tools":{}}"#);
        assert_eq!(greeting.instructions.as_deref(), Some("a\nb"));
        assert_eq!(discover(r#"{"supportedVersions":["2025-06-18"]}"#), Discovered::LegacyOnly);
        assert_eq!(discover(r#"{"supportedVersions":["2099-01-01"]}"#), Discovered::NoneShared);
        assert_eq!(discover(r#"{"supportedVersions":"2026-07-28"}"#), Discovered::Unreadable);
        assert_eq!(discover("{}"), Discovered::Unreadable);
    }

    #[test]
    fn initialize_must_name_a_legacy_revision() {
        let read = |result: &'static str| initialized(&Bytes::from_static(result.as_bytes()));
        assert_eq!(
            read(r#"{"protocolVersion":"2024-11-05","capabilities":{}}"#).unwrap().version,
            Version::V2024_11_05
        );
        assert!(read(r#"{"protocolVersion":"2026-07-28"}"#).is_err());
        assert!(read(r#"{"protocolVersion":"1"}"#).is_err());
        assert!(read(r#"{"capabilities":{}}"#).is_err());
        assert!(read("[]").is_err());
    }
}

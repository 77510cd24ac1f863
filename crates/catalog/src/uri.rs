//! URIs of ours, which name the server that has the resource: `toolgate://<server>/<its URI>`. The merged endpoint
//! shows them where a server's own would not lead to it (`uris.rs`), and understands them for every resource.

use std::{borrow::Cow, fmt::Write as _};

use domain::ServerId;

/// What every URI of ours begins with.
pub(crate) const PREFIX: &str = "toolgate://";

/// Whose resource a URI is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// The URI does not say.
    Unsaid,
    /// This server's, which knows it by this URI.
    Server(ServerId, Cow<'a, str>),
    /// Nobody's: it begins as ours do and is none.
    Nobody,
}

/// Returns the URI of ours for the resource `uri` of `server`.
pub(crate) fn qualified(server: &ServerId, uri: &str) -> String {
    let mut out = head(server, uri.len());
    encode(&mut out, uri);
    out
}

/// Returns the URI template of ours for a template of `server`.
///
/// The server's own text stays as it is: the values that clients put in are percent-encoded already, and whoever
/// decoded the whole would decode those as well. Its colon tells the two forms apart, as [`qualified`] leaves none. A
/// template without a colon makes no URIs, so nothing is promised for it.
pub(crate) fn qualified_template(server: &ServerId, template: &str) -> String {
    let mut out = head(server, template.len());
    out.push_str(template);
    out
}

/// Returns the URI of ours for `uri`, an expansion of a template of `server`: as [`qualified_template`]'s is expanded.
pub(crate) fn qualified_expansion(server: &ServerId, uri: &str) -> String {
    if uri.contains(':') { qualified_template(server, uri) } else { qualified(server, uri) }
}

/// Tells whose resource `uri` is.
pub(crate) fn owner(uri: &str) -> Owner<'_> {
    let Some(rest) = uri.strip_prefix(PREFIX) else { return Owner::Unsaid };
    let named = rest.split_once('/').and_then(|(server, uri)| {
        let server = ServerId::new(decode(server)?.as_ref()).ok()?;
        let uri = if uri.contains(':') { Cow::Borrowed(uri) } else { decode(uri)? };
        Some(Owner::Server(server, uri))
    });
    named.unwrap_or(Owner::Nobody)
}

fn head(server: &ServerId, room: usize) -> String {
    let mut out = String::with_capacity(PREFIX.len() + server.as_str().len() + 1 + room * 2);
    out.push_str(PREFIX);
    encode(&mut out, server.as_str());
    out.push('/');
    out
}

/// Appends `text` with everything percent-encoded but the characters that RFC 3986 never reserves.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
        }
    }
}

/// Undoes percent-encoding; `None` where a percent sign begins no byte, or the bytes are no UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let decoded = if byte == b'%' { digit(bytes.next()?)? << 4 | digit(bytes.next()?)? } else { byte };
        out.push(decoded);
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server(name: &str) -> ServerId {
        ServerId::new(name).unwrap()
    }

    #[test]
    fn uris_of_ours() {
        assert_eq!(qualified(&server("git"), "note://a/1"), "toolgate://git/note%3A%2F%2Fa%2F1");
        assert_eq!(qualified(&server("a/é"), "x:%20"), "toolgate://a%2F%C3%A9/x%3A%2520");
        assert_eq!(qualified_template(&server("git"), "note://{id}"), "toolgate://git/note://{id}");
    }

    #[test]
    fn owners() {
        let cases = [
            ("note://1", None),
            ("TOOLGATE://git/x", None),
            ("toolgate:git/x", None),
            ("toolgate://git", Some(None)),
            ("toolgate:///x", Some(None)),
            ("toolgate://git/%", Some(None)),
            ("toolgate://git/%4", Some(None)),
            ("toolgate://git/%zz", Some(None)),
            ("toolgate://git/%+f", Some(None)),
            ("toolgate://git/%FF", Some(None)),
            ("toolgate://%FF/x", Some(None)),
            ("toolgate://%00/x", Some(None)),
            ("toolgate://git/", Some(Some(("git", "")))),
            ("toolgate://git/note%3a%2F%2f1", Some(Some(("git", "note://1")))),
            ("toolgate://git/note://a%20b/c", Some(Some(("git", "note://a%20b/c")))),
            ("toolgate://a%2Fb/x%3A1", Some(Some(("a/b", "x:1")))),
            ("toolgate://a/toolgate%3A%2F%2Fb%2Fx", Some(Some(("a", "toolgate://b/x")))),
        ];
        for (uri, expected) in cases {
            let expected = match expected {
                None => Owner::Unsaid,
                Some(None) => Owner::Nobody,
                Some(Some((name, own))) => Owner::Server(server(name), own.into()),
            };
            assert_eq!(owner(uri), expected, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn whose_it_is_can_be_read_back(name in "\\PC{1,40}", uri in "\\PC*", odd in any::<String>()) {
            let server = server(&name);
            for uri in [uri, odd] {
                let shown = qualified(&server, &uri);
                prop_assert_eq!(owner(&shown), Owner::Server(server.clone(), uri.as_str().into()));
                for expansion in [format!("x:{uri}"), uri] {
                    let shown = qualified_expansion(&server, &expansion);
                    prop_assert_eq!(owner(&shown), Owner::Server(server.clone(), expansion.as_str().into()));
                }
            }
        }
    }
}

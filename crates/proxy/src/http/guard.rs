//! The first look at a request: does it name a host that we serve, and does it come from a page that may call?
//! Together they stop web pages from reaching a gateway on the same machine (DNS rebinding).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Uri, header};

use super::refusal::Refusal;
use crate::config::ListenSettings;

/// What the door accepts, made ready for comparison.
#[derive(Debug)]
pub(crate) struct Guard {
    bound: SocketAddr,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    /// Makes the guard for a listener that is bound to `bound`.
    pub(crate) fn new(bound: SocketAddr, listen: &ListenSettings) -> Self {
        Self { bound, hosts: listen.allowed_hosts().to_vec(), origins: listen.allowed_origins().to_vec() }
    }

    /// Checks `Host`, the request target and `Origin`, and refuses requests with two framings.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        check_framing(headers)?;
        self.check_host(uri, headers)?;
        self.check_origin(headers)
    }

    /// HTTP/1.1 has exactly one `Host`; HTTP/2 and absolute targets name an authority, which must be ours as well.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (first, second) = (hosts.next(), hosts.next());
        let authority = uri.authority().map(http::uri::Authority::as_str);
        let named = match first {
            Some(value) => Some(value.to_str().map_err(|_| Refusal::Host)?),
            None => authority,
        };
        let accepted = named.is_some_and(|host| self.accepts_host(host))
            && authority.is_none_or(|authority| self.accepts_host(authority));
        if second.is_none() && accepted { Ok(()) } else { Err(Refusal::Host) }
    }

    fn accepts_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let (name, port) = split_port(&host);
        if self.hosts.iter().any(|allowed| allowed == "*" || *allowed == host || allowed == name) {
            return true;
        }
        let port_is_ours = port.is_none_or(|port| port.parse() == Ok(self.bound.port()));
        port_is_ours && (is_loopback_name(name) || self.is_bound_address(name))
    }

    fn is_bound_address(&self, name: &str) -> bool {
        !self.bound.ip().is_unspecified() && address(name) == Some(self.bound.ip())
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = origin.to_str().map_err(|_| Refusal::Origin)?.to_ascii_lowercase();
        let accepted = self.origins.contains(&origin) || is_loopback_origin(&origin);
        if accepted && origins.next().is_none() { Ok(()) } else { Err(Refusal::Origin) }
    }
}

/// Chunks are the only coding of a transfer, and named once. Anything else is read differently by different readers
/// (RFC 9112, section 6.3).
///
/// A length beside chunks never comes here: hyper takes it out of the headers, reads the chunks and closes the connection
/// after the answer, as the same section allows. Over HTTP/2, h2 refuses a request that names a coding.
fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(()) };
    let is_chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if is_chunked && encodings.next().is_none() { Ok(()) } else { Err(Refusal::Framing) }
}

fn is_loopback_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    host.is_some_and(|host| {
        let (name, port) = split_port(host);
        is_loopback_name(name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
    })
}

fn is_loopback_name(name: &str) -> bool {
    name == "localhost" || address(name).is_some_and(|address| address.is_loopback())
}

/// Reads an address, an IPv6 one in brackets.
fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => name.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// Takes the port off a host; brackets belong to the name.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && (!name.contains(':') || name.ends_with(']')) => {
            (name, Some(port))
        }
        Some(_) | None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard {
            bound: "127.0.0.1:8787".parse().unwrap(),
            hosts: vec!["gateway.example.com".into()],
            origins: vec!["https://app.example.com".into()],
        }
    }

    #[test]
    fn hosts() {
        let cases = [
            ("127.0.0.1:8787", true),
            ("localhost:8787", true),
            ("LOCALHOST:8787", true),
            ("[::1]:8787", true),
            ("localhost", true),
            ("gateway.example.com", true),
            ("gateway.example.com:443", true),
            ("localhost:80", false),
            ("attacker.example:8787", false),
            ("localhost.attacker.example:8787", false),
            ("127.0.0.1.attacker.example", false),
            ("127.0.0.1@attacker.example:8787", false),
            ("localhost:8787:8787", false),
            ("localhost.:8787", false),
            ("0.0.0.0:8787", false),
            ("::1:8787", false),
            ("[::1", false),
            ("", false),
            ("127.1:8787", false),
            ("2130706433:8787", false),
            ("localhost:", false),
            ("localhost:abc", false),
        ];
        for (host, expected) in cases {
            assert_eq!(guard().accepts_host(host), expected, "{host}");
        }
    }

    #[test]
    fn origins() {
        let cases = [
            ("http://localhost:3000", true),
            ("http://127.0.0.1", true),
            ("https://[::1]:9", true),
            ("https://app.example.com", true),
            ("https://evil.example", false),
            ("null", false),
            ("http://localhost.evil.example", false),
            ("http://xn--lcalhost-v2a:3000", false),
            ("http://localhost@evil.example", false),
            ("http://localhost:3000/path", false),
            ("file://", false),
            ("http://app.example.com", false),
            ("", false),
        ];
        for (origin, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            assert_eq!(guard().check_origin(&headers).is_ok(), expected, "{origin}");
        }
    }
}

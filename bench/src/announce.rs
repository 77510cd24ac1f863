//! The one line by which a started part says where it listens, and how the runner finds an endpoint in a line.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

/// The path of the endpoint of every part.
pub const PATH: &str = "/mcp";

/// Prints `listening on http://ADDRESS/mcp` on stdout and flushes it.
///
/// # Errors
/// Fails when stdout is closed.
pub fn listening(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}{PATH}")?;
    out.flush()
}

/// Returns the first endpoint on loopback that `line` names, without what follows `/mcp`.
pub fn endpoint_in(line: &str) -> Option<String> {
    let start = line.find("http://127.0.0.1:")?;
    let rest = &line[start..];
    let end = rest.find(PATH)? + PATH.len();
    let port = rest.get("http://127.0.0.1:".len()..end - PATH.len())?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_port.then(|| rest[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::endpoint_in;

    #[test]
    fn endpoint_is_found_inside_a_sentence() {
        let found = endpoint_in("  ready: http://127.0.0.1:4711/mcp (2 servers)");
        assert_eq!(found.as_deref(), Some("http://127.0.0.1:4711/mcp"));
    }

    #[test]
    fn other_addresses_are_not_endpoints() {
        assert_eq!(endpoint_in("metrics on http://127.0.0.1:8788/metrics"), None);
        assert_eq!(endpoint_in("operations http://127.0.0.1:8788/metrics, see also /mcp"), None);
        assert_eq!(endpoint_in("nothing here"), None);
    }
}

//! Decides whether the listeners may open: off loopback nobody is served without a token.
//! Pure; whether there are tokens is told by `identity`.

use std::net::SocketAddr;

use super::ListenSettings;

/// Why the gateway refuses to listen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExposureError {
    /// Anybody on the network could call every tool.
    #[error(
        "`listen.address` {0} is reachable from the network, and no access token is configured \
             (run `toolgate token create --agent NAME`, or listen on 127.0.0.1)"
    )]
    OpenToEverybody(SocketAddr),
    /// Metrics, status and what is administrated there ask for no token.
    #[error(
        "`listen.operations` {0} is reachable from the network, and it asks for no token (listen on 127.0.0.1)"
    )]
    OpenOperations(SocketAddr),
}

/// How far the data port reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposed {
    /// Only programs on this machine connect.
    Loopback,
    /// The network connects, in plain text, with tokens. Worth a warning: tokens can be read on the way.
    PlainNetwork,
}

/// Checks that no address off loopback is served without a token.
///
/// # Errors
/// [`ExposureError`] when somebody else than this machine's users could call without a token.
pub fn check_exposure(listen: &ListenSettings, has_tokens: bool) -> Result<Exposed, ExposureError> {
    if !listen.operations().ip().is_loopback() {
        return Err(ExposureError::OpenOperations(listen.operations()));
    }
    match (listen.address().ip().is_loopback(), has_tokens) {
        (true, _) => Ok(Exposed::Loopback),
        (false, true) => Ok(Exposed::PlainNetwork),
        (false, false) => Err(ExposureError::OpenToEverybody(listen.address())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenConfig;

    fn check(address: &str, has_tokens: bool, expected: &str) {
        let config = ListenConfig { address: address.into(), ..ListenConfig::default() };
        let listen = config.build().expect("an address");
        let verdict = match check_exposure(&listen, has_tokens) {
            Ok(exposed) => format!("{exposed:?}"),
            Err(error) => error.to_string(),
        };
        assert!(verdict.starts_with(expected), "{verdict}");
    }

    #[test]
    fn nobody_is_served_off_loopback_without_a_token() {
        check("127.0.0.1:8787", false, "Loopback");
        check("[::1]:8787", false, "Loopback");
        check("127.0.0.1:8787", true, "Loopback");
        check("0.0.0.0:8787", true, "PlainNetwork");
        check("0.0.0.0:8787", false, "`listen.address` 0.0.0.0:8787 is reachable");
        check("192.168.1.4:8787", false, "`listen.address`");
        check("[::]:8787", false, "`listen.address`");
    }

    #[test]
    fn the_operations_port_stays_on_this_machine() {
        let config = ListenConfig { operations: "0.0.0.0:8788".into(), ..ListenConfig::default() };
        let listen = config.build().expect("an address");
        assert!(matches!(check_exposure(&listen, true), Err(ExposureError::OpenOperations(_))));
    }
}

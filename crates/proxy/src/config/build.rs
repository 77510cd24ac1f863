//! Checks listeners and bounds as written, and names every fault at once.

use std::{net::SocketAddr, time::Duration};

use domain::ConfigFault;

use super::{
    Limits, LimitsConfig, ListenConfig, ListenSettings, MAX_CONNECTIONS, MAX_IN_FLIGHT, MAX_LINE_BYTES,
    MAX_RECEIVE_TIMEOUT_MS, MAX_REQUEST_BYTES, MAX_RESULT_BYTES, MAX_SESSION_IDLE_MS, MAX_SESSIONS,
    MAX_SSE_KEEP_ALIVE_MS, MAX_STALL_MS, MIN_STALL_MS,
};

/// A smaller message bound would refuse the protocol's own handshake.
const MIN_MESSAGE_BYTES: u64 = 1024;

impl ListenConfig {
    /// Checks the addresses and lists.
    ///
    /// # Errors
    /// Every fault, with paths that start at the section.
    pub fn build(&self) -> Result<ListenSettings, Vec<ConfigFault>> {
        let mut faults = Vec::new();
        let address = socket_address("address", &self.address).map_err(|fault| faults.push(fault));
        let operations = socket_address("operations", &self.operations).map_err(|fault| faults.push(fault));
        let allowed_hosts = checked_list("allowed_hosts", &self.allowed_hosts, checked_host, &mut faults);
        let allowed_origins =
            checked_list("allowed_origins", &self.allowed_origins, checked_origin, &mut faults);
        if let (Ok(address), Ok(operations)) = (address, operations) {
            if address == operations && address.port() != 0 {
                faults.push(
                    ConfigFault::new(&["operations"], "clients and operations have the same address")
                        .with_help("write for example `operations: 127.0.0.1:8788`"),
                );
            }
            if faults.is_empty() {
                return Ok(ListenSettings { address, operations, allowed_hosts, allowed_origins });
            }
        }
        Err(faults)
    }
}

impl LimitsConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// Every bound that is outside its range, with paths that start at the section.
    pub fn build(&self) -> Result<Limits, Vec<ConfigFault>> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Limits {
            request_bytes: count(self.request_bytes),
            result_bytes: count(self.result_bytes),
            line_bytes: count(self.line_bytes),
            sessions: count(self.sessions.into()),
            session_idle: Duration::from_millis(self.session_idle_ms),
            header_timeout: Duration::from_millis(self.header_timeout_ms),
            body_timeout: Duration::from_millis(self.body_timeout_ms),
            sse_keep_alive: Duration::from_millis(self.sse_keep_alive_ms),
            stall: Duration::from_millis(self.stall_ms),
            in_flight: count(self.in_flight.into()),
            connections: count(self.connections.into()),
        })
    }

    fn faults(&self) -> Vec<ConfigFault> {
        let rows = [
            ("request_bytes", self.request_bytes, MIN_MESSAGE_BYTES, MAX_REQUEST_BYTES),
            ("result_bytes", self.result_bytes, MIN_MESSAGE_BYTES, MAX_RESULT_BYTES),
            ("line_bytes", self.line_bytes, MIN_MESSAGE_BYTES, MAX_LINE_BYTES),
            ("sessions", self.sessions.into(), 1, MAX_SESSIONS.into()),
            ("session_idle_ms", self.session_idle_ms, 1000, MAX_SESSION_IDLE_MS),
            ("header_timeout_ms", self.header_timeout_ms, 1, MAX_RECEIVE_TIMEOUT_MS),
            ("body_timeout_ms", self.body_timeout_ms, 1, MAX_RECEIVE_TIMEOUT_MS),
            ("sse_keep_alive_ms", self.sse_keep_alive_ms, 100, MAX_SSE_KEEP_ALIVE_MS),
            ("stall_ms", self.stall_ms, MIN_STALL_MS, MAX_STALL_MS),
            ("in_flight", self.in_flight.into(), 1, MAX_IN_FLIGHT.into()),
            ("connections", self.connections.into(), 1, MAX_CONNECTIONS.into()),
        ];
        let outside = rows.into_iter().filter(|(_, value, least, most)| value < least || value > most);
        outside
            .map(|(key, value, least, most)| {
                ConfigFault::new(&[key], format!("{value} is not within {least} and {most}"))
                    .with_help("leave the key out for its default")
            })
            .collect()
    }
}

/// Narrows a checked bound: the largest is 1 GiB, which every supported machine can count.
fn count(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn socket_address(key: &str, text: &str) -> Result<SocketAddr, ConfigFault> {
    text.parse().map_err(|_| {
        ConfigFault::new(&[key], format!("`{}` is not an IP address with a port", text.escape_debug()))
            .with_help("write for example `127.0.0.1:8787`, or `0.0.0.0:8787` for every network")
    })
}

fn checked_list(
    key: &str,
    entries: &[String],
    check: fn(&str) -> Result<String, &'static str>,
    faults: &mut Vec<ConfigFault>,
) -> Vec<String> {
    let mut checked = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        match check(entry) {
            Ok(entry) => checked.push(entry),
            Err(help) => faults.push(
                ConfigFault::new(
                    &[key, &index.to_string()],
                    format!("`{}` cannot be used", entry.escape_debug()),
                )
                .with_help(help),
            ),
        }
    }
    checked
}

fn checked_host(entry: &str) -> Result<String, &'static str> {
    const HELP: &str = "write a host name, with or without port, for example `gateway.example.com`";
    let has_only_host_characters = entry.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    let is_host = entry == "*" || (!entry.is_empty() && has_only_host_characters);
    if is_host { Ok(entry.to_ascii_lowercase()) } else { Err(HELP) }
}

fn checked_origin(entry: &str) -> Result<String, &'static str> {
    const HELP: &str = "write scheme and host without a path, for example `https://inspector.example.com`";
    let Some((scheme, host)) = entry.split_once("://") else { return Err(HELP) };
    let is_scheme =
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !is_scheme || host == "*" || checked_host(host).is_err() {
        return Err(HELP);
    }
    Ok(entry.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(faults: &[ConfigFault]) -> Vec<String> {
        faults.iter().map(|fault| format!("{}: {}", fault.path().join("."), fault.problem())).collect()
    }

    fn check_listen(config: ListenConfig, expected: &[&str]) {
        let faults = config.build().map_or_else(|faults| faults, |_| Vec::new());
        assert_eq!(lines(&faults), expected);
    }

    #[test]
    fn defaults_are_sound() {
        let listen = ListenConfig::default().build().expect("defaults");
        assert!(listen.address().ip().is_loopback() && listen.operations().ip().is_loopback());
        assert_eq!(Limits::default().request_bytes(), 4 * 1024 * 1024);
    }

    #[test]
    fn listeners_are_checked() {
        check_listen(
            ListenConfig {
                address: "localhost:8787".into(),
                operations: "8788".into(),
                ..ListenConfig::default()
            },
            &[
                "address: `localhost:8787` is not an IP address with a port",
                "operations: `8788` is not an IP address with a port",
            ],
        );
        check_listen(
            ListenConfig { operations: "127.0.0.1:8787".into(), ..ListenConfig::default() },
            &["operations: clients and operations have the same address"],
        );
        check_listen(
            ListenConfig {
                allowed_hosts: vec!["Gateway.example.com:80".into(), "http://a".into(), "*".into()],
                allowed_origins: vec!["https://a.example".into(), "a.example".into(), "https://a/b".into()],
                ..ListenConfig::default()
            },
            &[
                "allowed_hosts.1: `http://a` cannot be used",
                "allowed_origins.1: `a.example` cannot be used",
                "allowed_origins.2: `https://a/b` cannot be used",
            ],
        );
    }

    #[test]
    fn every_bound_is_named_at_once() {
        let config = LimitsConfig { request_bytes: 0, body_timeout_ms: 30_001, ..LimitsConfig::default() };
        let faults = config.build().expect_err("two bounds are broken");
        assert_eq!(
            lines(&faults),
            [
                "request_bytes: 0 is not within 1024 and 67108864",
                "body_timeout_ms: 30001 is not within 1 and 30000"
            ],
        );
    }
}

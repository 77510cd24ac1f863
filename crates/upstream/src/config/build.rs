//! Checks a server as written and builds its settings, or names every fault at once.
//! Faults never repeat a value: addresses, headers, arguments and variables may carry secrets.

use std::time::Duration;

use domain::{ConfigFault, Secret, ServerId};
use http::{HeaderName, HeaderValue};
use url::Url;

use super::{
    ChildSettings, Endpoint, EraChoice, HttpSettings, HttpTransport, MAX_IN_FLIGHT_LIMIT,
    MAX_PROBE_TIMEOUT_MS, MAX_TIMEOUT_MS, ServerConfig, ServerSettings, TransportSettings,
};

/// Headers that frame or route a request. Set by a file, they would break the protocol or confuse a proxy.
const OWN_HEADERS: [&str; 13] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The protocol's own headers start so.
const OWN_HEADER_PREFIX: &str = "mcp-";

impl ServerConfig {
    /// Checks the entry and builds the settings of the server `id`. Variables are filled in already, and a relative
    /// `cwd` is made absolute by the caller, who knows the file's folder. `enabled` is not looked at.
    ///
    /// # Errors
    /// Every fault of the entry, with paths that start at the entry.
    pub fn build(self, id: ServerId) -> Result<ServerSettings, Vec<ConfigFault>> {
        let mut faults = self.bound_faults();
        let (era, startup, max_in_flight) = (self.era, self.startup, self.max_in_flight);
        let timeout = Duration::from_millis(self.timeout_ms);
        let probe_timeout = Duration::from_millis(self.probe_timeout_ms);
        let transport = self.build_transport(&mut faults);
        match transport {
            Some(transport) if faults.is_empty() => {
                Ok(ServerSettings { id, transport, era, startup, timeout, max_in_flight, probe_timeout })
            }
            Some(_) | None => Err(faults),
        }
    }

    fn bound_faults(&self) -> Vec<ConfigFault> {
        let bounds = [
            ("timeout_ms", self.timeout_ms, MAX_TIMEOUT_MS, "30000"),
            ("max_in_flight", u64::from(self.max_in_flight), u64::from(MAX_IN_FLIGHT_LIMIT), "1000"),
            ("probe_timeout_ms", self.probe_timeout_ms, MAX_PROBE_TIMEOUT_MS, "3000"),
        ];
        let out_of_bounds = bounds.into_iter().filter(|(_, value, limit, _)| *value == 0 || value > limit);
        out_of_bounds
            .map(|(key, value, limit, example)| {
                ConfigFault::new(&[key], format!("{value} is not within 1 and {limit}"))
                    .with_help(format!("write for example `{key}: {example}`"))
            })
            .collect()
    }

    /// Builds the one transport that the entry names; without one, or with several, that is the fault.
    fn build_transport(self, faults: &mut Vec<ConfigFault>) -> Option<TransportSettings> {
        match (&self.command, &self.url, self.builtin) {
            (Some(_), None, None) => self.build_child(faults).map(TransportSettings::Child),
            (None, Some(_), None) => self.build_http(faults).map(TransportSettings::Http),
            (None, None, Some(builtin)) => {
                self.refuse_child_keys("builtin", faults);
                self.refuse_http_keys("builtin", faults);
                Some(TransportSettings::Builtin(builtin))
            }
            (None, None, None) => {
                faults.push(ConfigFault::new(&[], "nothing says how to reach this server").with_help(
                    "write `command: npx` with its `args`, or `url: https://mcp.example.com/mcp`",
                ));
                None
            }
            (Some(_), _, _) | (None, Some(_), Some(_)) => {
                faults.push(
                    ConfigFault::new(&[], "more than one of `command`, `url` and `builtin`")
                        .with_help("keep the one by which this server is reached"),
                );
                None
            }
        }
    }

    fn build_child(self, faults: &mut Vec<ConfigFault>) -> Option<ChildSettings> {
        self.refuse_http_keys("command", faults);
        let program = self.command?;
        if program.trim().is_empty() || program.contains('\0') {
            faults.push(
                ConfigFault::new(&["command"], "not the name of a program")
                    .with_help("write for example `npx`"),
            );
        }
        for (index, argument) in self.args.iter().enumerate() {
            if argument.expose().contains('\0') {
                faults.push(ConfigFault::new(
                    &["args", &index.to_string()],
                    "an argument cannot hold a NUL character",
                ));
            }
        }
        for (name, value) in &self.env {
            faults.extend(variable_fault(name, value));
        }
        let environment = self.env.into_iter().collect();
        Some(ChildSettings { program, arguments: self.args, environment, directory: self.cwd })
    }

    fn build_http(self, faults: &mut Vec<ConfigFault>) -> Option<HttpSettings> {
        self.refuse_child_keys("url", faults);
        self.refuse_contradictions(faults);
        let mut headers: Vec<(String, Secret<String>)> = Vec::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            match checked_header(&name, &value) {
                Ok(lower) if headers.iter().any(|(known, _)| *known == lower) => faults.push(
                    ConfigFault::new(&["headers", &name], "this header stands twice, in different spelling"),
                ),
                Ok(lower) => headers.push((lower, value)),
                Err(fault) => faults.push(fault),
            }
        }
        match checked_url(self.url?.expose()) {
            Ok(url) => {
                let affinity = self.affinity.unwrap_or_default();
                let transport = self.transport.unwrap_or_default();
                Some(HttpSettings { endpoint: Endpoint(url), headers: headers.into(), transport, affinity })
            }
            Err(fault) => {
                faults.push(fault);
                None
            }
        }
    }

    /// Refuses what a server with `url` cannot be told together: the older transport has sessions and one connection,
    /// and the modern era no sessions.
    fn refuse_contradictions(&self, faults: &mut Vec<ConfigFault>) {
        let is_sse = self.transport == Some(HttpTransport::Sse);
        let is_modern = self.era == EraChoice::Modern;
        if is_sse && is_modern {
            let problem = "a server with `type: sse` cannot speak the modern era";
            let help = "leave `era` out, or write `type: http`";
            faults.push(ConfigFault::new(&["era"], problem).with_help(help));
        }
        if self.affinity.is_none() {
            return;
        }
        let pointless = [
            (is_sse, "type: sse", "leave it out: all callers share the one connection"),
            (is_modern, "era: modern", "leave it out: there are no sessions in the modern era"),
        ];
        if let Some((_, kind, help)) = pointless.into_iter().find(|(applies, ..)| *applies) {
            let problem = format!("`affinity` has no meaning for a server with `{kind}`");
            faults.push(ConfigFault::new(&["affinity"], problem).with_help(help));
        }
    }

    fn refuse_child_keys(&self, kind: &str, faults: &mut Vec<ConfigFault>) {
        let written =
            [("args", !self.args.is_empty()), ("env", !self.env.is_empty()), ("cwd", self.cwd.is_some())];
        for (key, _) in written.into_iter().filter(|(_, is_written)| *is_written) {
            faults.push(
                ConfigFault::new(&[key], format!("`{key}` has no meaning for a server with `{kind}`"))
                    .with_help("it belongs to `command`"),
            );
        }
    }

    fn refuse_http_keys(&self, kind: &str, faults: &mut Vec<ConfigFault>) {
        if self.transport.is_some() {
            let problem = format!("`type` has no meaning for a server with `{kind}`");
            faults.push(ConfigFault::new(&["type"], problem).with_help("it belongs to `url`"));
        }
        if self.affinity.is_some() {
            let problem = format!("`affinity` has no meaning for a server with `{kind}`");
            let help = "it belongs to `url`; all callers share a child process";
            faults.push(ConfigFault::new(&["affinity"], problem).with_help(help));
        }
        if !self.headers.is_empty() {
            faults.push(
                ConfigFault::new(
                    &["headers"],
                    format!("`headers` has no meaning for a server with `{kind}`"),
                )
                .with_help("it belongs to `url`; a child process takes its secrets from `env`"),
            );
        }
    }
}

fn variable_fault(name: &str, value: &Secret<String>) -> Option<ConfigFault> {
    let path = ["env", name];
    if name.is_empty() || name.contains(['=', '\0']) {
        let fault = ConfigFault::new(&path, "not the name of an environment variable");
        return Some(fault.with_help("write for example `GITHUB_TOKEN: ${GITHUB_TOKEN}`"));
    }
    value.expose().contains('\0').then(|| ConfigFault::new(&path, "a variable cannot hold a NUL character"))
}

/// Returns the name in lower case.
fn checked_header(name: &str, value: &Secret<String>) -> Result<String, ConfigFault> {
    let path = ["headers", name];
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        ConfigFault::new(&path, "not the name of an HTTP header")
            .with_help("write for example `Authorization`")
    })?;
    if OWN_HEADERS.contains(&parsed.as_str()) || parsed.as_str().starts_with(OWN_HEADER_PREFIX) {
        return Err(ConfigFault::new(&path, "the gateway itself sets this header").with_help("remove it"));
    }
    HeaderValue::from_str(value.expose()).map_err(|_| {
        ConfigFault::new(&path, "a header cannot hold control characters or line ends")
            .with_help("look for a line end at the end of a secret")
    })?;
    Ok(parsed.as_str().to_owned())
}

fn checked_url(text: &str) -> Result<Url, ConfigFault> {
    const EXAMPLE: &str = "write for example `https://mcp.example.com/mcp`";
    let path = ["url"];
    let url = Url::parse(text)
        .map_err(|error| ConfigFault::new(&path, format!("not an address: {error}")).with_help(EXAMPLE))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConfigFault::new(&path, "the address is neither `http` nor `https`").with_help(EXAMPLE));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigFault::new(&path, "the address holds a user name or password")
            .with_help("write it under `headers` as `Authorization: Basic ${CREDENTIALS}`"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::Affinity, *};

    fn build(written: Value) -> Result<ServerSettings, Vec<ConfigFault>> {
        let config: ServerConfig = serde_json::from_value(written).expect("the test writes known keys");
        config.build(ServerId::new("s").expect("a name"))
    }

    fn check(written: Value, expected: &[&str]) {
        let faults = build(written).map_or_else(|faults| faults, |_| Vec::new());
        let lines: Vec<_> =
            faults.iter().map(|fault| format!("{}: {}", fault.path().join("."), fault.problem())).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn exactly_one_way_to_reach_a_server() {
        check(json!({"command": "npx", "args": ["-y"], "env": {"A": "b"}, "cwd": "/tmp"}), &[]);
        check(json!({"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer x"}}), &[]);
        check(json!({"builtin": "demo"}), &[]);
        check(json!({}), &[": nothing says how to reach this server"]);
        check(
            json!({"command": "a", "url": "http://b"}),
            &[": more than one of `command`, `url` and `builtin`"],
        );
        check(
            json!({"url": "http://b", "builtin": "demo"}),
            &[": more than one of `command`, `url` and `builtin`"],
        );
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        check(
            json!({"url": "http://b/mcp", "args": ["x"], "env": {"A": "b"}, "cwd": "/"}),
            &[
                "args: `args` has no meaning for a server with `url`",
                "env: `env` has no meaning for a server with `url`",
                "cwd: `cwd` has no meaning for a server with `url`",
            ],
        );
        check(
            json!({"command": "a", "headers": {"A": "b"}}),
            &["headers: `headers` has no meaning for a server with `command`"],
        );
        check(
            json!({"command": "a", "type": "sse"}),
            &["type: `type` has no meaning for a server with `command`"],
        );
        check(
            json!({"builtin": "demo", "affinity": "session"}),
            &["affinity: `affinity` has no meaning for a server with `builtin`"],
        );
    }

    #[test]
    fn sessions_are_shared_as_the_entry_says() {
        let affinity = |written: Value| match build(written).expect("a sound entry").transport() {
            TransportSettings::Http(http) => http.affinity(),
            other => panic!("an HTTP server, and not {other:?}"),
        };
        assert_eq!(affinity(json!({"url": "http://a"})), Affinity::Principal);
        assert_eq!(affinity(json!({"url": "http://a", "affinity": "session"})), Affinity::Session);
        assert_eq!(affinity(json!({"url": "http://a", "affinity": "shared"})), Affinity::Shared);
    }

    #[test]
    fn the_older_transport_is_named() {
        let transport = |written: Value| match build(written).expect("a sound entry").transport() {
            TransportSettings::Http(http) => http.transport(),
            other => panic!("an HTTP server, and not {other:?}"),
        };
        assert_eq!(transport(json!({"url": "http://a"})), HttpTransport::Streamable);
        assert_eq!(transport(json!({"url": "http://a", "type": "http"})), HttpTransport::Streamable);
        assert_eq!(transport(json!({"url": "http://a/sse", "type": "sse"})), HttpTransport::Sse);
    }

    #[test]
    fn what_cannot_go_together_is_refused() {
        check(
            json!({"url": "http://a/sse", "type": "sse", "era": "modern"}),
            &["era: a server with `type: sse` cannot speak the modern era"],
        );
        for affinity in ["principal", "session", "shared"] {
            check(
                json!({"url": "http://a/sse", "type": "sse", "affinity": affinity}),
                &["affinity: `affinity` has no meaning for a server with `type: sse`"],
            );
            check(
                json!({"url": "http://a", "era": "modern", "affinity": affinity}),
                &["affinity: `affinity` has no meaning for a server with `era: modern`"],
            );
        }
        check(
            json!({"url": "http://a/sse", "type": "sse", "era": "modern", "affinity": "shared"}),
            &[
                "era: a server with `type: sse` cannot speak the modern era",
                "affinity: `affinity` has no meaning for a server with `type: sse`",
            ],
        );
        check(json!({"url": "http://a/sse", "type": "sse", "era": "legacy"}), &[]);
        check(json!({"url": "http://a", "type": "http", "era": "modern"}), &[]);
        check(json!({"url": "http://a", "era": "legacy", "affinity": "session"}), &[]);
    }

    #[test]
    fn transports_are_shown_by_their_names() {
        let shown = |written: Value| build(written).expect("a sound entry").transport().as_str();
        assert_eq!(shown(json!({"command": "a"})), "stdio");
        assert_eq!(shown(json!({"url": "http://a"})), "http");
        assert_eq!(shown(json!({"url": "http://a", "type": "sse"})), "sse");
        assert_eq!(shown(json!({"builtin": "demo"})), "builtin");
    }

    #[test]
    fn bounds_hold() {
        check(
            json!({"command": "a", "timeout_ms": 600_001, "max_in_flight": 0, "probe_timeout_ms": 0}),
            &[
                "timeout_ms: 600001 is not within 1 and 600000",
                "max_in_flight: 0 is not within 1 and 100000",
                "probe_timeout_ms: 0 is not within 1 and 120000",
            ],
        );
    }

    #[test]
    fn addresses_and_headers_are_checked() {
        check(json!({"url": "ftp://a"}), &["url: the address is neither `http` nor `https`"]);
        check(json!({"url": "github.com/mcp"}), &["url: not an address: relative URL without a base"]);
        check(json!({"url": "https://me:pw@a/"}), &["url: the address holds a user name or password"]);
        check(
            json!({"url": "http://a", "headers": {"Host": "b", "Mcp-Session-Id": "1", "a b": "c", "X": "a\nb"}}),
            &[
                "headers.Host: the gateway itself sets this header",
                "headers.Mcp-Session-Id: the gateway itself sets this header",
                "headers.X: a header cannot hold control characters or line ends",
                "headers.a b: not the name of an HTTP header",
            ],
        );
        check(
            json!({"url": "http://a", "headers": {"X-A": "1", "x-a": "2"}}),
            &["headers.x-a: this header stands twice, in different spelling"],
        );
    }

    #[test]
    fn variables_are_checked() {
        check(
            json!({"command": "a", "env": {"A=B": "x", "C": "\u{0}"}, "args": ["\u{0}"]}),
            &[
                "args.0: an argument cannot hold a NUL character",
                "env.A=B: not the name of an environment variable",
                "env.C: a variable cannot hold a NUL character",
            ],
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let written = [
            json!({"command": "a", "args": ["hunter2"], "env": {"A": "hunter2"}}),
            json!({"url": "http://a/mcp?key=hunter2", "headers": {"A": "hunter2"}}),
        ];
        for entry in written {
            let as_written: ServerConfig = serde_json::from_value(entry.clone()).expect("known keys");
            let checked = build(entry).expect("a sound entry");
            assert!(!format!("{as_written:?} {checked:?}").contains("hunter2"));
        }
    }
}

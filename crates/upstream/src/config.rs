//! The configuration of one upstream: as written in a file ([`ServerConfig`]), and checked ([`ServerSettings`]).
//! Variables are filled in before; which file an entry stands in, and the map of all of them, is the program's.
//! Where the checks live: `config/build.rs`.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::{Credential, Secret, ServerId};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

mod build;

/// A call is given up after this long without progress: long enough for a search, short for a person who waits.
pub const DEFAULT_TIMEOUT_MS: u64 = 30_000;
/// No call lives longer, whatever is asked for: a caller that is gone must not hold a slot for ever.
pub const MAX_TIMEOUT_MS: u64 = 600_000;
/// Calls in flight at one upstream; far above what one server does well, and still a bound on memory.
pub const DEFAULT_MAX_IN_FLIGHT: u32 = 1_000;
/// Upper bound of `max_in_flight`.
pub const MAX_IN_FLIGHT_LIMIT: u32 = 100_000;
/// How long a server may take to answer the question which protocol era it speaks.
pub const DEFAULT_PROBE_TIMEOUT_MS: u64 = 3_000;
/// Upper bound of `probe_timeout_ms`: servers that are downloaded at their first start are slow.
pub const MAX_PROBE_TIMEOUT_MS: u64 = 120_000;

/// One entry of `servers`, as written. It says exactly one of `command`, `url` and `builtin`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// What the server is for, as `list_servers` tells agents. Default: none.
    #[serde(default)]
    #[schemars(example = &"Web search")]
    pub description: Option<String>,
    /// Program to start as a child process that speaks MCP on its standard input and output. Looked up in `PATH`.
    #[serde(default)]
    #[schemars(example = &"npx")]
    pub command: Option<String>,
    /// Arguments of `command`, one string each. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>", example = args_example())]
    pub args: Vec<Secret<String>>,
    /// Environment variables of `command`, beside the few that every child gets (`PATH`, `HOME`, `LANG`, ...).
    /// Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", example = env_example())]
    pub env: BTreeMap<String, Secret<String>>,
    /// Working directory of `command`; a relative one starts at the folder of the file. Default: the gateway's own.
    #[serde(default)]
    #[schemars(with = "Option<String>", example = &"./project")]
    pub cwd: Option<PathBuf>,
    /// Address of an MCP server that is reached over HTTP.
    #[serde(default)]
    #[schemars(with = "Option<String>", example = &"https://mcp.example.com/mcp")]
    pub url: Option<Secret<String>>,
    /// HTTP transport that `url` speaks. Default: `http`; a server that refuses it as one does that speaks `sse` only is
    /// spoken with in that.
    #[serde(rename = "type", default)]
    #[schemars(example = &"sse")]
    pub transport: Option<HttpTransport>,
    /// HTTP headers sent to `url` with each request, such as `Authorization`. Default: none.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", example = headers_example())]
    pub headers: BTreeMap<String, Secret<String>>,
    /// A server that is part of the gateway itself.
    #[serde(default)]
    #[schemars(example = &"demo")]
    pub builtin: Option<Builtin>,
    /// Protocol era the server speaks. Default: `auto`, which asks the server.
    #[serde(default)]
    #[schemars(example = &"auto")]
    pub era: EraChoice,
    /// Who shares a session at a legacy server with `url`, and so what such a server keeps in it. Default: `principal`.
    #[serde(default)]
    #[schemars(example = &"session")]
    pub affinity: Option<Affinity>,
    /// When the server is started or connected to. Default: `eager`.
    #[serde(default)]
    #[schemars(example = &"lazy")]
    pub startup: Startup,
    /// `false` leaves the server out without deleting its entry. Default: `true`.
    #[serde(default = "enabled")]
    #[schemars(example = true)]
    pub enabled: bool,
    /// Longest silence of a call, in milliseconds; progress starts it anew. Default: 30000, at most 600000.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 1, max = 600_000), example = 30_000)]
    pub timeout_ms: u64,
    /// Calls that may be in flight at the server at once; one more is refused. Default: 1000.
    #[serde(default = "default_max_in_flight")]
    #[schemars(range(min = 1, max = 100_000), example = 1_000)]
    pub max_in_flight: u32,
    /// How long the server may take to say which era it speaks, in milliseconds; legacy is assumed then.
    /// Default: 3000, at most 120000.
    #[serde(default = "default_probe_timeout_ms")]
    #[schemars(range(min = 1, max = 120_000), example = 3_000)]
    pub probe_timeout_ms: u64,
}

/// A server that is part of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// A few harmless tools to try the gateway with.
    Demo,
}

/// Which protocol era a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EraChoice {
    /// Ask the server, and remember the answer.
    #[default]
    Auto,
    /// Sessions opened by `initialize` (2024-11-05 to 2025-11-25).
    Legacy,
    /// Stateless requests (2026-07-28).
    Modern,
}

/// How messages travel to and from a server with `url`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum HttpTransport {
    /// Streamable HTTP, the transport since 2025-03-26.
    #[default]
    #[serde(rename = "http")]
    Streamable,
    /// HTTP+SSE, the transport of 2024-11-05. All callers share one connection.
    #[serde(rename = "sse")]
    Sse,
}

/// Who shares a session at a server that has sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// Nobody: each client with a session has one of its own there, and the others one for each principal.
    Session,
    /// The clients of one principal that declare the same capabilities.
    #[default]
    Principal,
    /// Everybody. The server is told that clients can do all that the gateway passes on.
    Shared,
}

/// When a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Startup {
    /// With the gateway, in the background.
    #[default]
    Eager,
    /// With the first request that needs it.
    Lazy,
}

/// One upstream, checked: exactly one way to reach it, all bounds within their limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    id: ServerId,
    transport: TransportSettings,
    era: EraChoice,
    startup: Startup,
    timeout: Duration,
    max_in_flight: u32,
    probe_timeout: Duration,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportSettings {
    /// A child process on standard input and output.
    Child(ChildSettings),
    /// An HTTP endpoint.
    Http(HttpSettings),
    /// Part of this process.
    Builtin(Builtin),
}

/// A child process, checked: no part holds a NUL byte, and the names of variables are names.
#[derive(Clone, PartialEq, Eq)]
pub struct ChildSettings {
    program: String,
    arguments: Vec<Secret<String>>,
    environment: Vec<(String, Secret<String>)>,
    directory: Option<PathBuf>,
}

/// An HTTP endpoint, checked: an `http` or `https` address without user name, headers that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    endpoint: Endpoint,
    headers: Arc<[(String, Secret<String>)]>,
    transport: HttpTransport,
    affinity: Affinity,
}

/// The address of an HTTP server. `Debug` and `Display` leave out the query, which may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

// === impl ServerSettings ===

impl ServerSettings {
    /// Returns the server's name.
    pub const fn id(&self) -> &ServerId {
        &self.id
    }

    /// Returns how the server is reached.
    pub const fn transport(&self) -> &TransportSettings {
        &self.transport
    }

    /// Returns the era to speak.
    pub const fn era(&self) -> EraChoice {
        self.era
    }

    /// Returns when to start.
    pub const fn startup(&self) -> Startup {
        self.startup
    }

    /// Returns the longest silence of a call: above zero, at most [`MAX_TIMEOUT_MS`].
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns how many calls may be in flight: 1 to [`MAX_IN_FLIGHT_LIMIT`].
    pub const fn max_in_flight(&self) -> u32 {
        self.max_in_flight
    }

    /// Returns how long the question for the era may take: above zero, at most [`MAX_PROBE_TIMEOUT_MS`].
    pub const fn probe_timeout(&self) -> Duration {
        self.probe_timeout
    }

    /// Returns the credential that the configuration gives for the server as it is set up here. After a change of anything
    /// that says who it is, or what it is shown, the old one is refused: it was given out under older rules.
    pub fn credential(&self) -> Credential {
        Credential::new(self.id.clone(), self.fingerprint(), self.headers())
    }

    /// Returns a text that differs where the server's program, address or headers do. It is a hash, and tells nothing.
    fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        match &self.transport {
            TransportSettings::Child(child) => {
                ("child", &child.program, child.arguments.len(), child.environment.len()).hash(&mut hasher);
                child.arguments.iter().for_each(|argument| argument.expose().hash(&mut hasher));
                for (name, value) in &child.environment {
                    (name, value.expose()).hash(&mut hasher);
                }
                child.directory.hash(&mut hasher);
            }
            TransportSettings::Http(http) => {
                ("http", http.endpoint.url().as_str()).hash(&mut hasher);
                for (name, value) in http.headers.iter() {
                    (name, value.expose()).hash(&mut hasher);
                }
            }
            TransportSettings::Builtin(_) => {}
        }
        format!("{:016x}", hasher.finish())
    }

    /// Returns the headers that authorize calls; empty unless the server is reached over HTTP.
    pub fn headers(&self) -> Arc<[(String, Secret<String>)]> {
        match &self.transport {
            TransportSettings::Http(http) => Arc::clone(&http.headers),
            TransportSettings::Child(_) | TransportSettings::Builtin(_) => Arc::new([]),
        }
    }

    /// Builds the settings of the built-in server `kind` with every bound at its default.
    pub const fn builtin(id: ServerId, kind: Builtin) -> Self {
        Self {
            id,
            transport: TransportSettings::Builtin(kind),
            era: EraChoice::Auto,
            startup: Startup::Eager,
            timeout: Duration::from_millis(DEFAULT_TIMEOUT_MS),
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            probe_timeout: Duration::from_millis(DEFAULT_PROBE_TIMEOUT_MS),
        }
    }
}

// === impl TransportSettings ===

impl TransportSettings {
    /// Returns the word that people are shown: `stdio`, `http`, `sse` or `builtin`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Child(_) => "stdio",
            Self::Http(http) => match http.transport {
                HttpTransport::Streamable => "http",
                HttpTransport::Sse => "sse",
            },
            Self::Builtin(_) => "builtin",
        }
    }
}

// === impl ChildSettings ===

impl ChildSettings {
    /// Returns the program, to be looked up in `PATH` when it has no slash.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Returns the arguments. They are secrets because many servers take a key as an argument.
    pub fn arguments(&self) -> &[Secret<String>] {
        &self.arguments
    }

    /// Returns the declared variables, sorted by name.
    pub fn environment(&self) -> &[(String, Secret<String>)] {
        &self.environment
    }

    /// Returns the working directory; none means the gateway's own.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

impl fmt::Debug for ChildSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("ChildSettings")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .field("environment", &variables)
            .field("directory", &self.directory)
            .finish()
    }
}

// === impl HttpSettings ===

impl HttpSettings {
    /// Returns the address.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the headers for the gateway's own requests (connecting, listing). Names are lower case and valid.
    pub const fn headers(&self) -> &Arc<[(String, Secret<String>)]> {
        &self.headers
    }

    /// Returns the transport to begin with.
    pub const fn transport(&self) -> HttpTransport {
        self.transport
    }

    /// Returns who shares a session there.
    pub const fn affinity(&self) -> Affinity {
        self.affinity
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Returns the whole address, query included.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        write!(f, "{shown}")
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

const fn enabled() -> bool {
    true
}

const fn default_timeout_ms() -> u64 {
    DEFAULT_TIMEOUT_MS
}

const fn default_max_in_flight() -> u32 {
    DEFAULT_MAX_IN_FLIGHT
}

const fn default_probe_timeout_ms() -> u64 {
    DEFAULT_PROBE_TIMEOUT_MS
}

fn args_example() -> [&'static str; 2] {
    ["-y", "@modelcontextprotocol/server-memory"]
}

fn env_example() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("GITHUB_TOKEN", "${GITHUB_TOKEN}")])
}

fn headers_example() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([("Authorization", "Bearer ${API_TOKEN}")])
}

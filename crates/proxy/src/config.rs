//! The configuration of the listeners and of the bounds of the data plane: as written ([`ListenConfig`],
//! [`LimitsConfig`]), and checked ([`ListenSettings`], [`Limits`]). Where the checks live: `config/build.rs`.
//! Which servers there are is `upstream`'s; who may call is `identity`'s.

use std::{net::SocketAddr, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

mod build;
mod exposure;
mod exposures;
mod rates;

pub use exposure::{Exposed, ExposureError, check_exposure};
pub use exposures::ExposureConfig;
pub use rates::{Each, Globs, MAX_RATE_LIMIT_CALLS, MAX_RATE_LIMIT_WINDOW, MAX_RATE_LIMITS, RateLimitConfig};

/// Where clients connect. Loopback: nobody else reaches it before somebody decides so.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8787";
/// Where metrics and status are served.
pub const DEFAULT_OPERATIONS_ADDRESS: &str = "127.0.0.1:8788";
/// A request larger than this is not a tool call any more, and it is held in memory.
pub const DEFAULT_REQUEST_BYTES: u64 = 4 << 20;
/// Upper bound of `request_bytes`.
pub const MAX_REQUEST_BYTES: u64 = 64 << 20;
/// Results are streamed over HTTP; the bound stops an endless one.
pub const DEFAULT_RESULT_BYTES: u64 = 64 << 20;
/// Upper bound of `result_bytes`.
pub const MAX_RESULT_BYTES: u64 = 1 << 30;
/// One message on standard input or output is one line, and is held in memory.
pub const DEFAULT_LINE_BYTES: u64 = 16 << 20;
/// Upper bound of `line_bytes`.
pub const MAX_LINE_BYTES: u64 = 256 << 20;
/// Sessions of legacy clients kept at once; each costs a few KiB.
pub const DEFAULT_SESSIONS: u32 = 10_000;
/// Upper bound of `sessions`.
pub const MAX_SESSIONS: u32 = 1_000_000;
/// A session without a request for this long is forgotten: half an hour outlives a coffee break.
pub const DEFAULT_SESSION_IDLE_MS: u64 = 1_800_000;
/// Upper bound of `session_idle_ms`: one day.
pub const MAX_SESSION_IDLE_MS: u64 = 86_400_000;
/// Time to send the headers of a request, and life of a connection without requests: longer than client pools keep one
/// idle, so that they rarely meet our closing it.
pub const DEFAULT_HEADER_TIMEOUT_MS: u64 = 30_000;
/// Upper bound of `header_timeout_ms` and `body_timeout_ms`.
pub const MAX_RECEIVE_TIMEOUT_MS: u64 = 30_000;
/// Time to send the body of a request, from its first byte to its last.
pub const DEFAULT_BODY_TIMEOUT_MS: u64 = 30_000;
/// Comment lines keep an idle event stream alive: below the minute at which common proxies give up.
pub const DEFAULT_SSE_KEEP_ALIVE_MS: u64 = 15_000;
/// Upper bound of `sse_keep_alive_ms`.
pub const MAX_SSE_KEEP_ALIVE_MS: u64 = 600_000;
/// A client that takes nothing for a minute is not reading; no pause of one that reads is as long.
pub const DEFAULT_STALL_MS: u64 = 60_000;
/// Lower bound of `stall_ms`: a busy client may well pause for a moment.
pub const MIN_STALL_MS: u64 = 1_000;
/// Upper bound of `stall_ms`.
pub const MAX_STALL_MS: u64 = 600_000;
/// Requests in progress over all clients and upstreams; ten upstreams at their own bound.
pub const DEFAULT_IN_FLIGHT: u32 = 10_000;
/// Upper bound of `in_flight`.
pub const MAX_IN_FLIGHT: u32 = 1_000_000;
/// Connections open at once; each costs a file descriptor.
pub const DEFAULT_CONNECTIONS: u32 = 20_000;
/// Upper bound of `connections`.
pub const MAX_CONNECTIONS: u32 = 1_000_000;

/// Where the gateway listens, and which web pages and host names it answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// IP address and port for clients. Default: `127.0.0.1:8787`. Off loopback, a token must be configured.
    #[schemars(example = &"127.0.0.1:8787")]
    pub address: String,
    /// IP address and port for metrics and status. Default: `127.0.0.1:8788`. Keep it on loopback: it asks for no token.
    #[schemars(example = &"127.0.0.1:8788")]
    pub operations: String,
    /// Names accepted in the `Host` header beside loopback names and the address itself; a name alone accepts any
    /// port. Default: none. `*` accepts every name, which is safe only where tokens are required.
    #[schemars(example = host_example())]
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call, beside pages on loopback names. Default: none.
    #[schemars(example = origin_example())]
    pub allowed_origins: Vec<String>,
}

/// Bounds of the data plane. What would exceed one is refused, and counted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Largest request of a client, in bytes. Default: 4194304 (4 MiB), at most 67108864.
    #[schemars(range(min = 1024, max = 67_108_864), example = 4_194_304)]
    pub request_bytes: u64,
    /// Largest result over HTTP, in bytes. Default: 67108864 (64 MiB), at most 1073741824.
    #[schemars(range(min = 1024, max = 1_073_741_824), example = 67_108_864)]
    pub result_bytes: u64,
    /// Largest line on standard input or output, of clients and of child processes, in bytes.
    /// Default: 16777216 (16 MiB), at most 268435456.
    #[schemars(range(min = 1024, max = 268_435_456), example = 16_777_216)]
    pub line_bytes: u64,
    /// Sessions of legacy clients kept at once. Default: 10000, at most 1000000.
    #[schemars(range(min = 1, max = 1_000_000), example = 10_000)]
    pub sessions: u32,
    /// A session idle for longer is forgotten, in milliseconds. Default: 1800000 (30 min), at most 86400000.
    #[schemars(range(min = 1000, max = 86_400_000), example = 1_800_000)]
    pub session_idle_ms: u64,
    /// Longest time to receive the headers of a request, in milliseconds. A connection
    /// without requests is closed after the same time. Default: 30000, which is the most.
    #[schemars(range(min = 1, max = 30_000), example = 30_000)]
    pub header_timeout_ms: u64,
    /// Longest time to receive the body of a request, in milliseconds. Default: 30000, which is the most.
    #[schemars(range(min = 1, max = 30_000), example = 30_000)]
    pub body_timeout_ms: u64,
    /// Silence after which an event stream gets a comment line, in milliseconds. Default: 15000, at most 600000.
    #[schemars(range(min = 100, max = 600_000), example = 15_000)]
    pub sse_keep_alive_ms: u64,
    /// Longest time that a client may take nothing of what is sent to it, in milliseconds; then its connection is
    /// closed. Default: 60000, at least 1000, at most 600000.
    #[schemars(range(min = 1000, max = 600_000), example = 60_000)]
    pub stall_ms: u64,
    /// Requests in progress at once, over all clients. Default: 10000, at most 1000000.
    #[schemars(range(min = 1, max = 1_000_000), example = 10_000)]
    pub in_flight: u32,
    /// Connections of clients open at once. Default: 20000, at most 1000000.
    #[schemars(range(min = 1, max = 1_000_000), example = 20_000)]
    pub connections: u32,
}

/// Where the gateway listens, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    address: SocketAddr,
    operations: SocketAddr,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
}

/// Bounds of the data plane, checked: every one is above zero and at most its documented maximum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    request_bytes: usize,
    result_bytes: usize,
    line_bytes: usize,
    sessions: usize,
    session_idle: Duration,
    header_timeout: Duration,
    body_timeout: Duration,
    sse_keep_alive: Duration,
    stall: Duration,
    in_flight: usize,
    connections: usize,
}

// === impl ListenConfig ===

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            address: DEFAULT_ADDRESS.to_owned(),
            operations: DEFAULT_OPERATIONS_ADDRESS.to_owned(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
        }
    }
}

// === impl LimitsConfig ===

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            request_bytes: DEFAULT_REQUEST_BYTES,
            result_bytes: DEFAULT_RESULT_BYTES,
            line_bytes: DEFAULT_LINE_BYTES,
            sessions: DEFAULT_SESSIONS,
            session_idle_ms: DEFAULT_SESSION_IDLE_MS,
            header_timeout_ms: DEFAULT_HEADER_TIMEOUT_MS,
            body_timeout_ms: DEFAULT_BODY_TIMEOUT_MS,
            sse_keep_alive_ms: DEFAULT_SSE_KEEP_ALIVE_MS,
            stall_ms: DEFAULT_STALL_MS,
            in_flight: DEFAULT_IN_FLIGHT,
            connections: DEFAULT_CONNECTIONS,
        }
    }
}

// === impl ListenSettings ===

impl ListenSettings {
    /// Returns the address for clients. Port 0 lets the system choose.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address for metrics and status.
    pub const fn operations(&self) -> SocketAddr {
        self.operations
    }

    /// Returns the accepted `Host` names beside loopback names and the address itself: lower case, with or without
    /// port; `*` alone accepts every name.
    pub fn allowed_hosts(&self) -> &[String] {
        &self.allowed_hosts
    }

    /// Returns the accepted origins beside loopback ones: lower case, `scheme://host[:port]`, no path.
    pub fn allowed_origins(&self) -> &[String] {
        &self.allowed_origins
    }
}

// === impl Limits ===

impl Limits {
    /// Returns the largest request in bytes.
    pub const fn request_bytes(&self) -> usize {
        self.request_bytes
    }

    /// Returns the largest result over HTTP in bytes.
    pub const fn result_bytes(&self) -> usize {
        self.result_bytes
    }

    /// Returns the largest line on standard input or output in bytes.
    pub const fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Returns how many sessions of legacy clients are kept.
    pub const fn sessions(&self) -> usize {
        self.sessions
    }

    /// Returns how long an idle session is kept.
    pub const fn session_idle(&self) -> Duration {
        self.session_idle
    }

    /// Returns the longest time to receive the headers of a request.
    pub const fn header_timeout(&self) -> Duration {
        self.header_timeout
    }

    /// Returns the longest time to receive the body of a request.
    pub const fn body_timeout(&self) -> Duration {
        self.body_timeout
    }

    /// Returns the silence after which an event stream gets a comment line.
    pub const fn sse_keep_alive(&self) -> Duration {
        self.sse_keep_alive
    }

    /// Returns how long a client may take nothing of what is sent to it.
    pub const fn stall(&self) -> Duration {
        self.stall
    }

    /// Returns how many requests may be in progress at once.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns how many connections of clients may be open at once.
    pub const fn connections(&self) -> usize {
        self.connections
    }
}

impl Default for Limits {
    fn default() -> Self {
        LimitsConfig::default().build().expect("every default is within its own bound; a test builds them")
    }
}

const fn host_example() -> [&'static str; 1] {
    ["gateway.example.com"]
}

const fn origin_example() -> [&'static str; 1] {
    ["https://inspector.example.com"]
}

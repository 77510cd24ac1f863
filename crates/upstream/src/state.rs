//! What is known about one upstream at this moment, for people and for `/ready`.

use std::sync::Arc;

use domain::ServerId;
use protocol::{Era, Version};

use crate::metrics::CounterValues;

/// One upstream's state. All text in it is fit to be shown: no secrets, nothing unescaped.
#[derive(Debug, Clone)]
pub struct ServerState {
    /// The server's configured name.
    pub server: ServerId,
    /// How it is reached: `stdio`, `http`, `sse` or `builtin`. While it is connected this is how it is spoken with, which
    /// may be older than what its configuration says.
    pub transport: &'static str,
    /// The revision spoken with it, once known.
    pub version: Option<Version>,
    /// How it is doing.
    pub health: Health,
    /// Why it is not ready, or what was last wrong with it.
    pub reason: Option<String>,
    /// How often it was started again after a failure.
    pub restarts: u64,
    /// How many failures in a row there were since it last listed.
    pub failures_in_a_row: u32,
    /// Calls in flight.
    pub in_flight: usize,
    /// The child's process number.
    pub pid: Option<u32>,
    /// What the child last wrote to stderr before it failed, oldest first.
    pub stderr: Vec<String>,
    /// What its owner should know: oddities of its listing, samples of output that is no message.
    pub findings: Vec<String>,
    /// Its counters.
    pub counters: CounterValues,
}

/// How an upstream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is started with the first request that needs it.
    Lazy,
    /// It is being started for the first time.
    Starting,
    /// It is connected and listed.
    Ready,
    /// It failed and is started again.
    Restarting,
    /// It failed so often in a row that its tools are not offered any more; it is still tried now and then.
    Failed,
    /// It was taken out of the configuration, or the gateway is going down.
    Stopped,
}

impl Health {
    /// Returns the word used in status, metrics and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lazy => "lazy",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl ServerState {
    /// Returns the era spoken with the server, once known.
    pub fn era(&self) -> Option<Era> {
        self.version.map(Version::era)
    }
}

/// The part of the state that the supervisor writes.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) health: Health,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) version: Option<Version>,
    pub(crate) pid: Option<u32>,
    pub(crate) failures_in_a_row: u32,
    pub(crate) stderr: Vec<String>,
    pub(crate) findings: Vec<String>,
    /// Whether it has listed or failed at least once since it was started.
    pub(crate) is_settled: bool,
}

impl Status {
    pub(crate) const fn new(health: Health) -> Self {
        Self {
            health,
            reason: None,
            version: None,
            pid: None,
            failures_in_a_row: 0,
            stderr: Vec::new(),
            findings: Vec::new(),
            is_settled: false,
        }
    }
}

//! The data plane: listeners let callers in, every call takes one path to its upstream and back.
//! Start reading at `call.rs`; the doors are `http` and `stdio`. Configuration files and the command line are
//! `toolgate`'s; rules, screening, transports and the audit file are the crates below.

mod admission;
mod answer;
mod batch;
mod call;
mod changes;
pub mod config;
mod detached;
mod drain;
mod duplex;
mod error;
mod exposure;
mod http;
mod logs;
mod methods;
mod metrics;
mod notified;
mod observe;
mod operations;
mod places;
mod proxy;
mod rates;
mod read_cache;
mod refusals;
mod reloads;
mod request_state;
mod result_kind;
mod roster;
mod session;
mod snapshot;
mod standing;
mod stdio;
mod tasks;
mod tool_search;
mod updates;
mod uris;
mod vouching;

pub use drain::Drain;
pub use error::ERROR_META;
pub use exposure::{
    BYTES_PER_TOKEN, DEFAULT_AUTO_TOKENS, Exposure, ExposureSettings, NoExposure, StatusTool,
};
pub use http::{Connections, serve_connection};
pub use metrics::Metrics;
pub use operations::{Ending, MAX_AGENTS, Operation, Operations};
pub use proxy::{Parts, Proxy, ServerInfo};
pub use rates::{MAX_COUNTERS, MAX_LOGGED_CALLS, RateLimitRule, RateLimited, RateLimits, Why};
pub use reloads::{Reloaded, Reloads};
pub use request_state::{NoRandomness, RequestStates};
pub use roster::{ConfiguredServer, Reached, Roster};
pub use snapshot::{Configured, Files, Snapshot, Snapshots};
pub use stdio::{StdioSettings, serve_stdio};
pub use tool_search::ToolSearch;

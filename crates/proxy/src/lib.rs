//! The data plane: listeners let callers in, every call takes one path to its upstream and back.
//! Start reading at `call.rs`; the doors are `http` and `stdio`. Configuration files and the command line are
//! `toolgate`'s; rules, screening, transports and the audit file are the crates below.

mod admission;
mod answer;
mod call;
mod changes;
pub mod config;
mod detached;
mod drain;
mod error;
mod http;
mod logs;
mod methods;
mod metrics;
mod observe;
mod places;
mod proxy;
mod refusals;
mod session;
mod snapshot;
mod stdio;

pub use drain::Drain;
pub use error::ERROR_META;
pub use http::{Connections, serve_connection};
pub use metrics::Metrics;
pub use proxy::{Parts, Proxy, ServerInfo};
pub use snapshot::{Snapshot, Snapshots};
pub use stdio::{StdioSettings, serve_stdio};

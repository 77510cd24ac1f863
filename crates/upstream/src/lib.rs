//! Connections to MCP servers: children on standard input and output, Streamable HTTP, servers inside this process.
//! A call goes in with a permit and screened parameters; a reply comes out as it arrives, unscreened. Who may call,
//! and what names mean to clients, is decided elsewhere (`policy`, `catalog`).
//!
//! Start at [`Upstreams`]. One server's life is in `supervisor`, what moves its messages in `transports`.

pub mod child;
pub mod config;
pub mod worker;

mod backoff;
mod client_session;
mod era;
mod error;
mod handshake;
mod in_flight;
mod inbox;
mod instances;
mod listing;
mod metrics;
mod outgoing;
mod own_request;
mod refresh;
mod reply;
mod server;
mod server_request;
mod settings;
mod state;
mod subscription;
mod supervisor;
mod transports;
mod upstreams;
mod watching;

pub use client_session::{ClientSession, News, Said, SharedSession};
pub use error::CallError;
pub use instances::INSTANCES_HEADER;
pub use metrics::CounterValues;
pub use outgoing::{Caller, Outgoing};
pub use reply::{Event, Payload, Reply, ResultStream};
pub use server_request::ServerRequest;
pub use settings::{DEPTH_HEADER, DEPTH_VARIABLE, MAX_DEPTH, SelfInfo, Settings};
pub use state::{Health, ServerState};
pub use transports::builtin::{BuiltinError, BuiltinFuture, BuiltinRequest, BuiltinServer};
pub use upstreams::{UpstreamEvent, Upstreams};
pub use watching::{
    AGREEMENT_LIMIT, MAX_WATCHED, MAX_WATCHED_URI_BYTES, Update, Updated, WatchError, Watcher,
};

//! The HTTP door: Streamable HTTP of both eras on `/mcp` and `/mcp/{server}`, HTTP+SSE of 2024-11-05 on `/sse` beside
//! them (`sse.rs`), and two plain health answers.
//! Here bytes become an admitted request and an answer becomes bytes; what a request means is in `methods`.

mod batch;
mod body;
mod connection;
mod guard;
mod health;
mod legacy;
mod modern;
mod panics;
mod patient;
mod post;
mod receive;
mod refusal;
mod reply;
mod rings;
mod service;
mod sse;
mod streams;

pub use connection::{Connections, serve_connection};
pub(crate) use receive::arriving;

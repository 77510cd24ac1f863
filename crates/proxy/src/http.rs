//! The HTTP door: Streamable HTTP of both eras on `/mcp` and `/mcp/{server}`, and two plain health answers.
//! Here bytes become an admitted request and an answer becomes bytes; what a request means is in `methods`.

mod body;
mod connection;
mod guard;
mod health;
mod legacy;
mod modern;
mod post;
mod receive;
mod refusal;
mod reply;
mod rings;
mod service;
mod streams;

pub use connection::{Connections, serve_connection};

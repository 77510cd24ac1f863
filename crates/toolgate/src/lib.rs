//! The program: configuration, command line, and the parts of a gateway put together.
//! What a call does is in `proxy`; start reading here at `gateway.rs`.

pub mod announce;
pub mod cli;
pub mod clients;
pub mod config;
pub mod demo_server;
pub mod gateway;
pub mod listener;
pub mod operations;
pub mod peer_variables;
pub mod publisher;
mod reload;
pub mod service;
pub mod signals;
pub mod telemetry;
mod watch;
pub mod workers;
pub mod writing;

//! Writes configuration files for people: `toolgate.yaml` with comments, or the two files of agent-mcp-gateway.
//!
//! A [`Draft`] says what is to stand in them: servers in our own words (`server.rs`), secrets taken out if wanted
//! (`secrets.rs`), names without collisions (`names.rs`), rules (`rules.rs`). `toolgate_yaml.rs` and `peer_files.rs`
//! make texts of it, and [`write()`] puts texts on the disk, whole or not at all. Where servers come from is in
//! `cli/import`, what a person is asked in `cli/init`.

mod disk;
mod draft;
mod names;
mod peer_files;
mod rules;
mod secrets;
mod server;
mod toolgate_yaml;
mod yaml;

pub use disk::{NewFile, Privacy, Replacing, WriteError, write};
pub use draft::{Draft, Grants, Header};
pub use names::Names;
pub use peer_files::{mcp_json, rules_json};
pub use rules::{RulesDraft, RulesFault};
pub use secrets::{Variable, Variables};
pub use server::{DraftServer, LeftOut};
pub use toolgate_yaml::toolgate_yaml;

//! The files in which MCP clients keep their servers: where they are, what stands in them, and how to change one entry
//! and nothing else.
//!
//! [`Client::places`] says where, [`read`] reads, [`ClientFile`] edits in memory, [`install`] and [`uninstall`] write,
//! with a record that makes the change undoable. What a person is shown and asked is in `cli/install.rs`.

mod client;
mod entry;
mod error;
mod file;
mod found;
mod install;
mod json;
mod places;
mod records;
mod splice;
mod toml;
mod uninstall;
mod write;

pub use client::Client;
pub use entry::{DEFAULT_URL, Launch};
pub use error::ClientError;
pub use file::{ClientFile, read};
pub use found::FoundServer;
pub use install::{Change, InstallPlan, Installation, install, plan_install};
pub use places::{Machine, Place, Scope, System};
pub use records::Records;
pub use uninstall::{Undo, UninstallPlan, Way, plan_uninstall, uninstall};

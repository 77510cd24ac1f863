//! Configuration: finds the file, reads it, checks it, and hands out checked values. Start reading at [`load`].
//!
//! A file becomes a tree that knows its places (`document`), is compared with the schema of what may be written
//! (`shape`, `written`), and is then checked by the crates that own the parts (`build`, `servers`). Nothing here opens
//! a socket or starts a process.

mod adopted;
mod build;
mod diagnostic;
mod document;
mod error;
mod find;
mod interpolate;
mod jsonc;
mod load;
mod mask;
mod own;
pub mod peer_validation;
mod rules;
mod self_reference;
mod servers;
mod shape;
mod suggest;
mod whereabouts;
mod written;
mod yaml;

pub use build::Config;
pub use diagnostic::{Diagnostic, Position, Severity};
pub(crate) use document::{Entry, Node, NodeValue, Span, unreadable};
pub use error::{LoadError, ServerFault};
pub use find::Source;
pub(crate) use find::{find_rules, find_servers_of_peer, same_file};
pub(crate) use jsonc::read as read_jsonc;
pub use load::{Choices, Compat, Loaded, Origin, Surroundings, load};
pub(crate) use mask::{hide, secret_spans};
pub(crate) use whereabouts::{Basis, Wanted, Whereabouts};
pub use written::{DEFAULT_AGENT, GatewayConfig, NamingChoice, schema};

//! What all upstreams of one gateway have in common: who we say we are, how children are started, bounds.

use std::sync::Arc;

use protocol::{ClientCapabilities, Version};

use crate::{
    child::{DEFAULT_MAX_LINE_BYTES, Launcher},
    config::Builtin,
    transports::builtin::BuiltinServer,
};

/// The variable that tells a child how many gateways stand above it.
pub const DEPTH_VARIABLE: &str = "TOOLGATE_DEPTH";
/// The header that tells an HTTP server how many gateways the request has passed.
pub const DEPTH_HEADER: &str = "toolgate-depth";

/// Most gateways that may stand above one another; more is a ring.
pub const MAX_DEPTH: u32 = 8;

/// Largest result over HTTP: room for files, and a bound on what one call may move.
const DEFAULT_RESULT_BYTES: usize = 64 * 1024 * 1024;

/// The settings of [`Upstreams`](crate::Upstreams).
#[derive(Clone)]
pub struct Settings {
    /// Starts children.
    pub launcher: Launcher,
    /// How we introduce ourselves to servers.
    pub self_info: SelfInfo,
    /// Largest result over HTTP, in bytes.
    pub result_bytes: usize,
    /// Longest line of a child, in bytes. A longer one ends the child.
    pub line_bytes: usize,
    /// How many gateways stand above this one; children and HTTP servers are told one more.
    pub depth: u32,
    /// The servers inside this process, by what the configuration calls them.
    pub builtins: Vec<(Builtin, Arc<dyn BuiltinServer>)>,
}

/// Name and version that servers see; for display only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfInfo {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
}

impl Settings {
    /// Returns settings with every bound at its default, no gateway above and no built-in server.
    pub const fn new(launcher: Launcher, self_info: SelfInfo) -> Self {
        let (result_bytes, line_bytes) = (DEFAULT_RESULT_BYTES, DEFAULT_MAX_LINE_BYTES);
        Self { launcher, self_info, result_bytes, line_bytes, depth: 0, builtins: Vec::new() }
    }

    /// Returns the built-in server of this name, if it is part of this process.
    pub(crate) fn builtin(&self, name: Builtin) -> Option<Arc<dyn BuiltinServer>> {
        self.builtins.iter().find(|(known, _)| *known == name).map(|(_, server)| Arc::clone(server))
    }
}

impl SelfInfo {
    /// Returns `clientInfo` as JSON text.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({ "name": self.name, "version": self.version }).to_string()
    }

    /// Returns the parameters of `initialize` for a server to which clients that can do this much are `declared`.
    pub(crate) fn initialize_params(&self, declared: &ClientCapabilities) -> String {
        let (version, info, declared) = (Version::LATEST_LEGACY, self.to_json(), declared.as_json());
        format!(r#"{{"protocolVersion":"{version}","capabilities":{declared},"clientInfo":{info}}}"#)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("self_info", &self.self_info).finish_non_exhaustive()
    }
}

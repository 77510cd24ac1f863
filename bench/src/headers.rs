//! The header names of the protocol's HTTP binding, once.

use hyper::header::HeaderName;

/// The session of a legacy client.
pub const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The revision a request speaks.
pub const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method of a modern request, as in its body.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The tool of a modern call, as in its body.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The content type of every message.
pub const JSON: &str = "application/json";
/// What a client of the protocol accepts.
pub const ACCEPT_BOTH: &str = "application/json, text/event-stream";

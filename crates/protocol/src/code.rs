//! Error codes of JSON-RPC and MCP (specification, basic: error codes). Only `proxy` puts them on the wire.

/// The body is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not a valid request.
pub const INVALID_REQUEST: i64 = -32600;
/// The method does not exist or is not available.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters are wrong; also an unknown tool, prompt or (modern) resource.
pub const INVALID_PARAMS: i64 = -32602;
/// The server failed.
pub const INTERNAL_ERROR: i64 = -32603;
/// Legacy only: the resource does not exist. Modern servers answer [`INVALID_PARAMS`].
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// Modern: a header and the body disagree, or a required header is missing or malformed (SEP-2243).
pub const HEADER_MISMATCH: i64 = -32020;
/// Modern: the server needs a capability that the client did not declare.
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
/// Modern: the protocol version is not supported.
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// Tells whether `code` is one that only a modern server sends (era detection rests on it).
pub const fn is_modern(code: i64) -> bool {
    matches!(code, HEADER_MISMATCH | MISSING_CLIENT_CAPABILITY | UNSUPPORTED_VERSION)
}

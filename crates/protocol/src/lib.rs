//! JSON-RPC and MCP on the wire, every revision: the envelope, the method table, eras, error codes, SSE.
//! Pure functions over bytes: no IO, no policy. What is only forwarded stays bytes; see [`Object`] for how
//! single members are found and replaced without decoding the rest.

pub mod code;
pub mod encode;
pub mod header;
pub mod meta;
pub mod param_headers;
pub mod sse;

mod cancelled;
mod capabilities;
mod id;
mod message;
mod method;
mod object;
mod params;
mod replacements;
mod version;

pub use cancelled::cancelled_id;
pub use capabilities::ClientCapabilities;
pub use id::RequestId;
pub use message::{Malformed, Message, Notification, Request, Response, ResponseBody, Unreadable};
pub use method::{
    APPS_EXTENSION, Availability, Feature, ListKind, MethodRow, Routing, SKILLS_EXTENSION, TASKS_EXTENSION,
    method,
};
pub use object::{Edit, Fault, Object, splice};
pub use params::{BadParams, Params};
pub use replacements::Replacements;
pub use version::{Era, UnknownVersion, Version};

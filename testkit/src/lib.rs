//! Fake MCP servers for tests: small, real, and faulty on request. A call's arguments say what goes wrong with it,
//! so that a test reads as one: `hang`, `break`, `garbage`, `twice`, `exit`.
//!
//! - [`FakeServer`] speaks Streamable HTTP on a port of its own, inside the test's process.
//! - [`stdio::serve`] is the whole of a child process that speaks over its standard input and output.
//! - [`asked`] and [`said`] are what both share: reading a request, and everything that is said without faults.
//!
//! They judge nothing. What they were asked is on record for the test ([`Seen`], the `seen` tool).

pub mod asked;
mod http;
pub mod said;
mod seen;
pub mod stdio;

pub use asked::Speaks;
pub use http::FakeServer;
pub use said::Script;
pub use seen::{Seen, SeenRequest};

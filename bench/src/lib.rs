//! The small benchmark: a stub upstream, a load generator, the bare hop, and a runner that puts them in one table.
//!
//! Nothing here links the gateway: it is measured from outside, as a process, like every other hop.
//! The binaries are thin; each has its module here, so that `run` can start all of them from its own executable.

pub mod announce;
pub mod envelope;
pub mod era;
pub mod headers;
pub mod histogram;
pub mod listener;
pub mod load;
pub mod pass;
pub mod processes;
pub mod scenario;
pub mod stub;

//! The audit trail: a file in which every call has a line before it is sent and a line when it ended, chained by
//! hashes so that a change shows. Who may call, and what a call says, is decided elsewhere; here it is only recorded.
//! For users, and field by field: `docs/audit.md`. In the code: [`Trail`] first, then `journal.rs`.
//!
//! # Use
//!
//! ```
//! # use audit::*;
//! # async fn call(trail: &Trail, begin: Begin<'_>) -> Result<(), AuditError> {
//! let mut call = trail.begin(begin).await?; // an error refuses the call
//! call.mark_sent(); // dropped from here on, it ends as `unknown` and no longer as `cancelled`
//! call.finish(End { result_bytes: Some(512), ..End::of(Outcome::Ok) });
//! # Ok(())
//! # }
//! ```
//!
//! # The chain
//!
//! A line is one JSON object and a newline. Its last three fields are `seq`, `prev` and `hash`, in this order and
//! without white space:
//!
//! ```text
//! {"phase":"begin", … ,"seq":7,"prev":"<64 hex>","hash":"<64 hex>"}
//! ```
//!
//! `hash` is the SHA-256, in lower-case hex, of the line's bytes from its first brace up to and without
//! `,"hash":"<64 hex>"}`. The hashed bytes hold `prev`, which is the `hash` of the line before, and `seq`, which is one
//! more than the line before has; in the first line `prev` is 64 zeros and `seq` is 1. So an edited line has the wrong
//! hash, and a removed, inserted, repeated or moved line breaks `seq` or `prev` at the place where it was done.
//!
//! There is no key in it. Who can write to the file can cut lines off its end, or compute the whole chain anew; that
//! shows only against a line kept elsewhere ([`Known::holds`], [`Report::head`]).
//!
//! # Architecture invariants
//!
//! - A file has one writer, which holds its lock. A second gateway writes to a file of its own ([`Place`]).
//! - `seq` and `prev` move on only with a line that the kernel took. What a failed write left behind is cut off
//!   before the next line, so that a full disk makes no fault in the chain.
//! - The lock that writers share is never held during a sync, and no lock is held across an `.await`.

mod arguments;
mod call;
mod chain;
mod config;
mod counters;
mod error;
mod escape;
#[cfg(test)]
mod faults;
mod flusher;
mod inbox;
mod journal;
mod line;
mod lines;
mod medium;
mod place;
mod record;
mod seat;
mod syncer;
pub mod tail;
mod trail;
mod verify;

pub use call::{CallId, OpenCall};
pub use chain::{InvalidHash, LineHash, Link};
pub use config::{ArgumentsKept, Config, ConfigFault, DEFAULT_FILE, Mode, Places, Settings};
pub use counters::Counters;
pub use error::AuditError;
pub use place::Place;
pub use record::{Begin, Decision, Detail, End, Era, Event, Outcome, SessionTag, Transport};
pub use trail::Trail;
pub use verify::{Fault, Known, Problem, Report, verify, verify_against};

/// Most bytes of a line, its newline included. Writers stay far below; readers refuse more.
pub const MAX_LINE_BYTES: usize = 128 * 1024;

//! The trail as its users see it: files, processes, what stands in a line.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod chain;
mod crash;
mod lines;
mod places;
mod support;

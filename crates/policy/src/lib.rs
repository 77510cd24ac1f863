//! Decides whether a caller may use a route. Pure: no IO, no clock, no async.
//! Content is not looked at here (see `guardrails`); who the caller is was settled in `identity`.
//!
//! Start with `policy.rs`. Rules are read by `rules/read.rs`, compiled by `rules/build.rs`, and asked in
//! `rules/judge.rs`.
//!
//! A [`Permit`] is the only address an upstream call accepts, and only [`Policy::authorize`] makes one:
//!
//! ```compile_fail,E0451
//! fn forge(route: catalog::Route) -> policy::Permit {
//!     policy::Permit { route, principal: todo!() } // private fields
//! }
//! ```

mod denial;
mod judgement;
mod no_agent;
mod pattern;
mod policy;
mod sight;
mod verdict;

pub mod peer_validation;
pub mod rules;

pub use denial::{About, Denial};
pub use no_agent::NoAgent;
pub use pattern::Pattern;
pub use policy::{Permit, Policy};
pub use rules::{Built, Explanation, Notice, Reading, Rules, RulesConfig, RulesSection};
pub use sight::PolicySight;
pub use verdict::{Step, Verdict};

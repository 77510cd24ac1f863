//! What a caller is told that is not let through.

use std::{fmt, time::Duration};

use super::{
    counters::Reason,
    rule::{Asked, Part, RateLimitRule},
};
use crate::error::shown;

/// A call that is not let through. Its text is public: it names the limit and what the caller itself asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}; try again in {} s", self.retry_after_secs())]
pub struct RateLimited {
    /// The path of the rule, as it stands in audit: `rate_limits[0]`.
    pub rule: String,
    /// How many calls the rule lets through per window.
    pub calls: u32,
    /// The length of the window.
    pub window: Duration,
    /// How long until the rule has room again, if nobody else calls.
    pub retry_after: Duration,
    /// What stands in the way.
    pub why: Why,
}

/// What stands in the way of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// As many calls as the rule allows lie within the window.
    Reached {
        /// Rule and counter in words: `10 calls per minute for agent 'a'`.
        limit: String,
    },
    /// There is no memory left to count the call in, so it is not made ([`crate::MAX_COUNTERS`],
    /// [`crate::MAX_LOGGED_CALLS`]).
    NoRoomToCount,
}

impl RateLimited {
    pub(super) fn new(
        at: usize,
        rule: &RateLimitRule,
        asked: &Asked<'_>,
        reason: Reason,
        retry_after: Duration,
    ) -> Self {
        let why = match reason {
            Reason::Reached => Why::Reached { limit: limit_in_words(rule, asked) },
            Reason::Full => Why::NoRoomToCount,
        };
        let (calls, window) = (rule.calls(), rule.window());
        Self { rule: format!("rate_limits[{at}]"), calls, window, retry_after, why }
    }

    /// Returns `retry_after` in whole seconds, rounded up, at least 1: the value of a `Retry-After` header.
    pub fn retry_after_secs(&self) -> u64 {
        let part = u64::from(self.retry_after.subsec_nanos() > 0);
        (self.retry_after.as_secs() + part).max(1)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached { limit } => write!(f, "rate limit: {limit}"),
            Self::NoRoomToCount => f.write_str("rate limit: the gateway counts as many callers as it can"),
        }
    }
}

fn limit_in_words(rule: &RateLimitRule, asked: &Asked<'_>) -> String {
    let calls = rule.calls();
    let noun = if calls == 1 { "call" } else { "calls" };
    let whose = rule.each().iter().map(|part| {
        let kind = match part {
            Part::Agent => "agent",
            Part::Server => "server",
            Part::Tool => "tool",
        };
        format!("{kind} '{}'", shown(asked.name(*part)))
    });
    let whose = whose.collect::<Vec<_>>().join(", ");
    let whose = if whose.is_empty() { "all callers together".to_owned() } else { whose };
    format!("{calls} {noun} per {} for {whose}", window_in_words(rule.window()))
}

fn window_in_words(window: Duration) -> String {
    match window.as_secs() {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        3_600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        seconds => format!("{seconds} s"),
    }
}

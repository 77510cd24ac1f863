//! Rate limits: at most so many calls in any stretch of time, per agent, server and tool. Exact on one node.
//!
//! A counter is a log of the calls it let through ([`log`]); a call is let through when fewer than the limit lie within
//! the window that ends now. That is more than a token bucket or GCRA (as in the crate `governor`) promises: a bucket
//! that holds N lets N through at once and then one more each `window / N`, so up to 2N - 1 within one window; a bucket
//! that holds one keeps the limit, but refuses 49 of 50 callers who come at once although all 50 may.
//!
//! What is counted is what was let through, whatever became of it; refused calls cost nothing. A call that several
//! rules match needs room in all of them, and is counted in all of them or in none: all counters are behind one lock,
//! which is held for look-ups and never across a wait.
//! As written: `config/rates`; globs are those of `policy`. What a rule matches: [`rule`]. Memory: [`counters`].

mod counters;
mod limited;
mod log;
mod rule;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

pub use counters::{MAX_COUNTERS, MAX_LOGGED_CALLS};
pub use limited::{RateLimited, Why};
pub use rule::RateLimitRule;

pub(crate) use rule::{Part, Selection};

use counters::{Bounds, Claim, Counters, RuleId};
use rule::Asked;

/// The rules in force and their counters. Cheap to clone; clones and reconfigured ones share the counters.
#[derive(Debug, Clone, Default)]
pub struct RateLimits {
    rules: Arc<[Numbered]>,
    counters: Arc<Mutex<Counters>>,
}

/// A rule with the number under which its counters are kept.
#[derive(Debug)]
struct Numbered {
    id: RuleId,
    rule: RateLimitRule,
}

impl RateLimits {
    /// Starts with these rules and empty counters. Without rules, every call is let through.
    pub fn new(rules: Vec<RateLimitRule>) -> Self {
        Self::bounded(rules, Bounds::default())
    }

    fn bounded(rules: Vec<RateLimitRule>, bounds: Bounds) -> Self {
        let empty = Self { rules: Arc::default(), counters: Arc::new(Mutex::new(Counters::new(bounds))) };
        empty.reconfigured(rules)
    }

    /// Returns the limits of a new configuration. A rule that counts the same calls over the same window goes on with
    /// its counters, wherever it stands in the list and even if its number of calls changed. The counters are shared:
    /// calls that are still judged by the old configuration count in the new one.
    ///
    /// Nothing changes for `self`, so the result may be dropped when the configuration is refused after all.
    #[must_use]
    pub fn reconfigured(&self, rules: Vec<RateLimitRule>) -> Self {
        let mut kept: Vec<&Numbered> = self.rules.iter().collect();
        let mut counters = self.counters.lock();
        let numbered = rules.into_iter().map(|rule| {
            let same = kept.iter().position(|old| old.rule.counts_like(&rule));
            // Each number is given out once: two equal rules must not count one call twice in one counter.
            let id = same.map_or_else(|| counters.next_rule(), |at| kept.remove(at).id);
            Numbered { id, rule }
        });
        Self { rules: numbered.collect(), counters: self.counters.clone() }
    }

    /// Lets a call through and counts it, or refuses it and counts nothing. Never waits for anything but a short lock.
    ///
    /// `tool` is the tool's own name. Names longer than 256 bytes, which no checked name is, count by their beginning.
    /// `now` must not be ahead of the clock: the counters' time never goes back, so an earlier `now` than one seen
    /// before counts as that one. Two calls exactly one window apart do not share a window.
    ///
    /// # Errors
    /// [`RateLimited`]: of all rules without room the one that takes longest to have some.
    pub fn admit(&self, agent: &str, server: &str, tool: &str, now: Instant) -> Result<(), RateLimited> {
        if self.rules.is_empty() {
            return Ok(());
        }
        let asked = Asked { agent, server, tool };
        let (places, claims) = self.claims(&asked);
        if claims.is_empty() {
            return Ok(());
        }
        let admitted = self.counters.lock().admit(&claims, now);
        admitted.map_err(|refusal| {
            let at = places[refusal.claim];
            let retry_after = Duration::from_nanos(refusal.wait_nanos);
            RateLimited::new(at, &self.rules[at].rule, &asked, refusal.reason, retry_after)
        })
    }

    /// Returns where the rules stand that match, and the counter that each of them asks for.
    fn claims(&self, asked: &Asked<'_>) -> (Vec<usize>, Vec<Claim>) {
        let matching = self.rules.iter().enumerate().filter(|(_, numbered)| numbered.rule.matches(asked));
        matching
            .map(|(at, Numbered { id, rule })| {
                (
                    at,
                    Claim {
                        key: rule.key(*id, asked),
                        calls: rule.calls(),
                        window_nanos: rule.window_nanos(),
                    },
                )
            })
            .unzip()
    }
}

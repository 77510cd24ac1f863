//! All counters of all rules, and the bounds on them. A counter that let nothing through for a window says nothing any
//! more and is forgotten; when a call needs one and none can be had, it is refused.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::Instant,
};

use super::log::Log;

/// Counters kept at once, over all rules. One takes about 250 bytes beside its log, 1 KiB with the longest names.
pub const MAX_COUNTERS: usize = 65_536;
/// Calls remembered at once, over all counters, at eight bytes each: 64 MiB.
pub const MAX_LOGGED_CALLS: usize = 8 << 20;
/// Counters looked at along with one call, to forget the idle ones. More than the one or two that a call makes, so that
/// they get fewer.
const LOOKS_PER_CALL: usize = 8;
/// Most counters looked at to find memory for one call: less than a millisecond under the lock. Those found in use go
/// to the end of the order, so the next call looks further.
const LOOKS_FOR_MEMORY: usize = 256;

/// The number under which a rule's counters are kept. Never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RuleId(pub(super) u64);

/// What may be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) counters: usize,
    pub(super) logged_calls: usize,
}

/// A counter that must have room, and what its rule says.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) key: Vec<u8>,
    pub(super) calls: u32,
    pub(super) window_nanos: u64,
}

/// Why a call is not let through.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Which of the claims it fails by.
    pub(super) claim: usize,
    pub(super) reason: Reason,
    /// When it may be worth while to try again.
    pub(super) wait_nanos: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The limit is reached.
    Reached,
    /// There is no memory left to count the call in.
    Full,
}

/// All counters. Times are nanoseconds since `began`.
#[derive(Debug)]
pub(super) struct Counters {
    logs: HashMap<Arc<[u8]>, Log>,
    /// One entry for each log: a time before which it cannot be idle.
    looked_at: BinaryHeap<Reverse<(u64, Arc<[u8]>)>>,
    /// The places of all logs together.
    places: usize,
    bounds: Bounds,
    began: Option<Instant>,
    latest: u64,
    rules: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { counters: MAX_COUNTERS, logged_calls: MAX_LOGGED_CALLS }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Counters {
    pub(super) fn new(bounds: Bounds) -> Self {
        let (logs, looked_at) = (HashMap::new(), BinaryHeap::new());
        Self { logs, looked_at, places: 0, bounds, began: None, latest: 0, rules: 0 }
    }

    /// Gives out a rule's number.
    pub(super) const fn next_rule(&mut self) -> RuleId {
        self.rules += 1;
        RuleId(self.rules)
    }

    /// Counts a call in every counter that is claimed, or in none. The keys of `claims` differ.
    ///
    /// # Errors
    /// [`Refusal`] when one of them has no room.
    pub(super) fn admit(&mut self, claims: &[Claim], now: Instant) -> Result<(), Refusal> {
        let now = self.nanos(now);
        self.forget_idle(now, LOOKS_PER_CALL);
        self.check_limits(claims, now)?;
        if self.lacks_memory(claims).is_some() {
            self.forget_idle(now, LOOKS_FOR_MEMORY);
        }
        if let Some(claim) = self.lacks_memory(claims) {
            let next = self.looked_at.peek().map_or(now, |Reverse((time, _))| *time);
            return Err(Refusal { claim, reason: Reason::Full, wait_nanos: next.saturating_sub(now) });
        }
        for claim in claims {
            self.count(claim, now);
        }
        Ok(())
    }

    /// Turns `now` into the counters' time, which never goes back: callers read the clock before they get the lock.
    fn nanos(&mut self, now: Instant) -> u64 {
        let began = *self.began.get_or_insert(now);
        let passed = u64::try_from(now.saturating_duration_since(began).as_nanos()).unwrap_or(u64::MAX);
        self.latest = self.latest.max(passed);
        self.latest
    }

    /// Of the claims without room, names the one that has to wait longest: who comes back earlier is refused again.
    fn check_limits(&mut self, claims: &[Claim], now: u64) -> Result<(), Refusal> {
        let mut longest = None;
        for (at, claim) in claims.iter().enumerate() {
            let Some(log) = self.logs.get_mut(&*claim.key) else { continue };
            self.places -= log.places();
            log.forget_old(now);
            self.places += log.places();
            let wait_nanos = log.wait_nanos(count(claim.calls), now);
            if wait_nanos > 0 && longest.is_none_or(|(_, other)| wait_nanos > other) {
                longest = Some((at, wait_nanos));
            }
        }
        longest
            .map_or(Ok(()), |(claim, wait_nanos)| Err(Refusal { claim, reason: Reason::Reached, wait_nanos }))
    }

    /// Returns a claim that would break a bound if all were counted.
    fn lacks_memory(&self, claims: &[Claim]) -> Option<usize> {
        let (mut counters, mut places) = (self.logs.len(), self.places);
        claims.iter().position(|claim| {
            let calls = count(claim.calls);
            match self.logs.get(&*claim.key) {
                Some(log) => places += log.growth(calls),
                None => {
                    counters += 1;
                    places += Log::new(claim.window_nanos).growth(calls);
                }
            }
            counters > self.bounds.counters || places > self.bounds.logged_calls
        })
    }

    fn count(&mut self, claim: &Claim, now: u64) {
        if !self.logs.contains_key(&*claim.key) {
            let key: Arc<[u8]> = claim.key.as_slice().into();
            self.looked_at.push(Reverse((now.saturating_add(claim.window_nanos), key.clone())));
            self.logs.insert(key, Log::new(claim.window_nanos));
        }
        let log = self.logs.get_mut(&*claim.key).expect("it was made above if it was missing");
        self.places -= log.places();
        log.note(count(claim.calls), now);
        self.places += log.places();
    }

    /// Looks at no more than `most` counters that may be idle by now, and forgets those that are. The others are not
    /// looked at again before they can be, so each costs one look per window, however many calls come.
    fn forget_idle(&mut self, now: u64, most: usize) {
        for _ in 0..most {
            let Some(entry) = self.looked_at.peek_mut().filter(|entry| entry.0.0 <= now) else { return };
            let Reverse((_, key)) = std::collections::binary_heap::PeekMut::pop(entry);
            let Some(log) = self.logs.get_mut(&key) else { continue };
            self.places -= log.places();
            log.forget_old(now);
            self.places += log.places();
            match log.idle_at() {
                Some(time) => self.looked_at.push(Reverse((time, key))),
                None => {
                    self.places -= log.places();
                    self.logs.remove(&key);
                }
            }
        }
    }

    /// Returns how many counters and places there are.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        assert_eq!(self.logs.len(), self.looked_at.len());
        assert_eq!(self.places, self.logs.values().map(Log::places).sum::<usize>());
        (self.logs.len(), self.places)
    }
}

/// Widens a number of calls: every supported machine counts to four milliards.
fn count(calls: u32) -> usize {
    usize::try_from(calls).unwrap_or(usize::MAX)
}

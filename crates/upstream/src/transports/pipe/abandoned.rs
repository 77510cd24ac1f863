//! Calls that nobody waits for any more although the server may still work on them: a cancellation need not be heeded,
//! and a call that was is never answered (specification 2025-11-25, cancellation). Until its answer comes, or a good
//! while has passed, such a call may be why the server asks or says something, so that it counts as in flight.
//! Whom a server means is decided in `pipe/pending`.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::turns::Turn;

/// How long a call counts that never is answered: servers that ask wait for answers about as long as that, and those
/// that heed cancellations have long given it up.
pub(super) const ABANDONED_TIME: Duration = Duration::from_secs(300);
/// Calls that count at once. With one more the oldest is forgotten, and for the time that it would have counted the
/// server is taken to mean somebody unknown.
pub(super) const MAX_ABANDONED: usize = 1_024;

/// The abandoned calls at one server, oldest first.
#[derive(Default)]
pub(super) struct Abandoned {
    calls: VecDeque<AbandonedCall>,
    /// Until when a call counts that found no room any more.
    forgotten_until: Option<Instant>,
}

/// What is known of a call that nobody waits for.
pub(super) struct AbandonedCall {
    /// Under which id it was sent.
    pub(super) id: u64,
    /// The number of its client's session, if it had one.
    pub(super) client: Option<u64>,
    /// Whether its client could be asked something.
    pub(super) is_interactive: bool,
    /// What it keeps other interactive calls from.
    pub(super) turn: Option<Turn>,
    /// Until when it counts.
    pub(super) until: Instant,
}

impl Abandoned {
    /// Adds a call, which counts no shorter than those before it. Returns what had to go for it.
    pub(super) fn add(&mut self, call: AbandonedCall) -> Option<AbandonedCall> {
        let gone = if self.calls.len() >= MAX_ABANDONED { self.calls.pop_front() } else { None };
        if let Some(gone) = &gone {
            self.forgotten_until = self.forgotten_until.max(Some(gone.until));
        }
        self.calls.push_back(call);
        gone
    }

    /// Takes out a call that was answered after all.
    pub(super) fn answered(&mut self, id: u64) -> Option<AbandonedCall> {
        let place = self.calls.iter().position(|call| call.id == id)?;
        self.calls.remove(place)
    }

    /// Takes out the calls that have counted long enough.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<AbandonedCall> {
        let count = self.calls.iter().take_while(|call| call.until <= now).count();
        self.calls.drain(..count).collect()
    }

    /// Takes out all calls.
    pub(super) fn clear(&mut self) -> VecDeque<AbandonedCall> {
        std::mem::take(&mut self.calls)
    }

    /// Returns when the next call has counted long enough; `None` when there are none.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.calls.front().map(|call| call.until)
    }

    /// Takes the turns that calls of a client still have. The calls go on counting.
    pub(super) fn take_turns(&mut self, client: u64) -> Vec<Turn> {
        let own = self.calls.iter_mut().filter(|call| call.client == Some(client));
        own.filter_map(|call| call.turn.take()).collect()
    }

    /// Tells whether every call that counts is of this client; never so for callers without a session, who may be
    /// anybody.
    pub(super) fn are_all_of(&self, client: Option<u64>, now: Instant) -> bool {
        let is_own = |call: &AbandonedCall| client.is_some() && call.client == client;
        self.forgotten_until.is_none_or(|until| until <= now) && self.counting(now).all(is_own)
    }

    /// Tells whether a call counts during which another client than this one could be asked.
    pub(super) fn have_interactive_of_others(&self, client: u64, now: Instant) -> bool {
        self.counting(now).any(|call| call.is_interactive && call.client != Some(client))
    }

    fn counting(&self, now: Instant) -> impl Iterator<Item = &AbandonedCall> {
        self.calls.iter().filter(move |call| call.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: u64, client: Option<u64>, until: Instant) -> AbandonedCall {
        AbandonedCall { id, client, is_interactive: true, turn: None, until }
    }

    #[test]
    fn a_call_counts_until_it_is_answered_or_its_time_is_over() {
        let (mut abandoned, now) = (Abandoned::default(), Instant::now());
        let later = now + ABANDONED_TIME;
        assert!(abandoned.are_all_of(None, now));
        abandoned.add(call(1, Some(7), later));
        abandoned.add(call(2, Some(8), later));
        assert!(!abandoned.are_all_of(Some(7), now) && abandoned.have_interactive_of_others(7, now));
        assert!(abandoned.answered(2).is_some() && abandoned.answered(2).is_none());
        assert!(abandoned.are_all_of(Some(7), now) && !abandoned.have_interactive_of_others(7, now));
        assert!(!abandoned.are_all_of(Some(8), now) && !abandoned.are_all_of(None, now));
        assert_eq!((abandoned.expire(now).len(), abandoned.next_expiry()), (0, Some(later)));
        assert!(abandoned.are_all_of(Some(8), later), "it counts no longer");
        assert_eq!((abandoned.expire(later).len(), abandoned.next_expiry()), (1, None));
    }

    #[test]
    fn somebody_without_a_session_is_never_known_to_be_the_same() {
        let (mut abandoned, now) = (Abandoned::default(), Instant::now());
        abandoned.add(call(1, None, now + ABANDONED_TIME));
        assert!(!abandoned.are_all_of(None, now) && !abandoned.are_all_of(Some(7), now));
    }

    #[test]
    fn a_call_that_found_no_room_may_be_of_anybody() {
        let (mut abandoned, now) = (Abandoned::default(), Instant::now());
        let later = now + ABANDONED_TIME;
        for id in 0..MAX_ABANDONED {
            assert!(abandoned.add(call(id as u64, Some(7), later)).is_none());
        }
        assert!(abandoned.are_all_of(Some(7), now));
        let gone = abandoned.add(call(u64::MAX, Some(7), later + Duration::from_secs(1)));
        assert_eq!(gone.map(|gone| gone.id), Some(0));
        assert!(!abandoned.are_all_of(Some(7), now));
        assert!(abandoned.are_all_of(Some(7), later));
    }
}

//! Calls that nobody waits for any more although the server may still work on them: a cancellation need not be heeded,
//! and a call that was is never answered (specification 2025-11-25, cancellation); and a call that was answered by a
//! task has only begun (tasks). Until its answer comes, or a good while has passed, such a call may be why the server
//! asks or says something, so that it counts as in flight. Others need not wait for it: with it in flight nobody else is
//! taken for the one who is meant. Whom a server means is decided in `pipe/pending`.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

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
    /// The id of the task that it was answered by, if it was.
    pub(super) task: Option<Box<str>>,
    /// Until when it counts.
    pub(super) until: Instant,
}

impl Abandoned {
    /// Adds a call, which counts no shorter than those before it.
    pub(super) fn add(&mut self, call: AbandonedCall) {
        let gone = if self.calls.len() >= MAX_ABANDONED { self.calls.pop_front() } else { None };
        if let Some(gone) = gone {
            self.forgotten_until = self.forgotten_until.max(Some(gone.until));
        }
        self.calls.push_back(call);
    }

    /// Takes out a call that was answered after all.
    pub(super) fn answered(&mut self, id: u64) {
        self.calls.retain(|call| call.id != id || call.task.is_some());
    }

    /// Takes out the call that was answered by a task that is over.
    pub(super) fn task_over(&mut self, task: &str) {
        // Without an id it could be any.
        self.calls.retain(|call| task.is_empty() || call.task.as_deref() != Some(task));
    }

    /// Tells whether every call that counts is of this client; never so for callers without a session, who may be
    /// anybody.
    pub(super) fn are_all_of(&self, client: Option<u64>, now: Instant) -> bool {
        let is_own = |call: &AbandonedCall| client.is_some() && call.client == client;
        self.forgotten_until.is_none_or(|until| until <= now) && self.counting(now).all(is_own)
    }

    fn counting(&self, now: Instant) -> impl Iterator<Item = &AbandonedCall> {
        self.calls.iter().filter(move |call| call.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: u64, client: Option<u64>, until: Instant) -> AbandonedCall {
        AbandonedCall { id, client, task: None, until }
    }

    #[test]
    fn a_call_counts_until_it_is_answered_or_its_time_is_over() {
        let (mut abandoned, now) = (Abandoned::default(), Instant::now());
        let later = now + ABANDONED_TIME;
        assert!(abandoned.are_all_of(None, now));
        abandoned.add(call(1, Some(7), later));
        abandoned.add(call(2, Some(8), later));
        assert!(!abandoned.are_all_of(Some(7), now));
        abandoned.answered(2);
        assert!(abandoned.are_all_of(Some(7), now));
        assert!(!abandoned.are_all_of(Some(8), now) && !abandoned.are_all_of(None, now));
        assert!(abandoned.are_all_of(Some(8), later), "it counts no longer");
    }

    #[test]
    fn a_call_that_became_a_task_counts_until_that_is_over() {
        let (mut abandoned, now) = (Abandoned::default(), Instant::now());
        let task = Some("T".into());
        abandoned.add(AbandonedCall { task, ..call(1, Some(7), now + ABANDONED_TIME) });
        abandoned.answered(1);
        abandoned.task_over("another");
        assert!(!abandoned.are_all_of(Some(8), now), "its answer was the task");
        abandoned.task_over("T");
        assert!(abandoned.are_all_of(Some(8), now));
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
            abandoned.add(call(id as u64, Some(7), later));
        }
        assert!(abandoned.are_all_of(Some(7), now));
        abandoned.add(call(u64::MAX, Some(7), later + Duration::from_secs(1)));
        assert!(!abandoned.are_all_of(Some(7), now));
        assert!(abandoned.are_all_of(Some(7), later));
    }
}

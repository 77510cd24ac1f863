//! How many interactive calls a server serves at once. All of them, until it has asked something that could be any of
//! theirs: from then on one after the other, in the order in which they came, so that the next question has one asker.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::abandoned::MAX_ABANDONED;
use crate::config::MAX_IN_FLIGHT_LIMIT;

/// A call takes one seat, or all of them to be alone. No server has more calls in flight, those that were abandoned
/// among them.
const SEATS: u32 = MAX_IN_FLIGHT_LIMIT + MAX_ABANDONED as u32;

/// The seats of the interactive calls at one server.
#[derive(Debug)]
pub(super) struct Turns {
    seats: Arc<Semaphore>,
    one_at_a_time: AtomicBool,
    waiting: AtomicUsize,
}

/// Somebody who wants a turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    turns: &'a Turns,
    before: usize,
}

/// What a call holds as long as it is in flight, or is taken to be.
pub(super) type Turn = OwnedSemaphorePermit;

/// The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Over;

impl Default for Turns {
    fn default() -> Self {
        let seats = Arc::new(Semaphore::new(SEATS as usize));
        Self { seats, one_at_a_time: AtomicBool::new(false), waiting: AtomicUsize::new(0) }
    }
}

impl Turns {
    /// Announces somebody who wants a turn.
    pub(super) fn wait(&self) -> Waiting<'_> {
        Waiting { turns: self, before: self.waiting.fetch_add(1, Ordering::AcqRel) }
    }

    /// Waits until a call may begin; whoever waited longest begins first. `own` is what the call has already, and is
    /// lost when it gives up. Cancel safe. The caller bounds the time.
    ///
    /// # Errors
    /// [`Over`] once the connection has ended.
    pub(super) async fn take(&self, own: Option<Turn>) -> Result<Turn, Over> {
        let seats = if self.are_one_at_a_time() { SEATS } else { 1 };
        let missing = seats.saturating_sub(own.as_ref().map_or(0, seats_of));
        let mut turn = Arc::clone(&self.seats).acquire_many_owned(missing).await.map_err(|_| Over)?;
        if let Some(own) = own {
            turn.merge(own);
        }
        Ok(turn)
    }

    /// Lets calls begin one at a time from now on, the next one when those in flight are over. Tells whether that is
    /// new.
    pub(super) fn one_at_a_time(&self) -> bool {
        !self.one_at_a_time.swap(true, Ordering::AcqRel)
    }

    /// Tells whether calls begin one at a time.
    pub(super) fn are_one_at_a_time(&self) -> bool {
        self.one_at_a_time.load(Ordering::Acquire)
    }

    /// Sends away those who wait, and those who come.
    pub(super) fn close(&self) {
        self.seats.close();
    }
}

impl Waiting<'_> {
    /// Tells whether nobody else waited before.
    pub(super) const fn is_first(&self) -> bool {
        self.before == 0
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.turns.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

fn seats_of(turn: &Turn) -> u32 {
    u32::try_from(turn.num_permits()).expect("there are no more seats than `SEATS`")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn all_at_once_until_one_at_a_time() {
        let turns = Turns::default();
        let take = || Box::pin(turns.take(None));
        let (first, second) = (take().now_or_never().unwrap(), take().now_or_never().unwrap());
        assert!(turns.one_at_a_time() && !turns.one_at_a_time(), "it is new once");
        let (mut third, mut given_up, mut last) = (take(), take(), take());
        assert!((&mut third).now_or_never().is_none());
        assert!((&mut given_up).now_or_never().is_none());
        assert!((&mut last).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "the second call is still in flight");
        drop(second);
        let third = (&mut third).now_or_never().expect("its turn has come");
        drop(given_up);
        assert!((&mut last).now_or_never().is_none(), "one at a time");
        drop(third);
        let _last = (&mut last).now_or_never().expect("who no longer waits is passed over").unwrap();
    }

    #[test]
    fn what_a_call_has_already_need_not_be_waited_for() {
        let turns = Turns::default();
        let take = |own| Box::pin(turns.take(own));
        let (first, second) = (take(None).now_or_never().unwrap(), take(None).now_or_never().unwrap());
        assert!(turns.one_at_a_time());
        let mut both = first.unwrap();
        both.merge(second.unwrap());
        let alone = take(Some(both)).now_or_never().expect("nobody else is in flight").unwrap();
        assert!(take(None).now_or_never().is_none(), "it is alone");
        let again = take(Some(alone)).now_or_never().expect("it is alone already").unwrap();
        drop(again);
        drop(take(None).now_or_never().expect("all seats are free again").unwrap());
    }

    #[test]
    fn nobody_waits_at_a_connection_that_ended() {
        let turns = Turns::default();
        assert!(turns.one_at_a_time());
        let _first = turns.take(None).now_or_never().unwrap();
        let mut second = Box::pin(turns.take(None));
        assert!((&mut second).now_or_never().is_none());
        turns.close();
        assert_eq!(second.now_or_never().unwrap().err(), Some(Over));
        assert_eq!(turns.take(None).now_or_never().unwrap().err(), Some(Over));
    }
}

//! How many interactive calls a server serves at once. All of them, until it has asked something that could be any of
//! theirs: from then on one after the other, in the order in which they came, so that the next question has one asker.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::MAX_IN_FLIGHT_LIMIT;

/// A call takes one seat, or all of them to be alone. No server has more calls in flight.
const SEATS: u32 = MAX_IN_FLIGHT_LIMIT;

/// The seats of the interactive calls at one server.
#[derive(Debug)]
pub(super) struct Turns {
    seats: Arc<Semaphore>,
    one_at_a_time: AtomicBool,
}

/// What a call holds as long as it is in flight.
pub(super) type Turn = OwnedSemaphorePermit;

/// The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Over;

impl Default for Turns {
    fn default() -> Self {
        let seats = Arc::new(Semaphore::new(SEATS as usize));
        Self { seats, one_at_a_time: AtomicBool::new(false) }
    }
}

impl Turns {
    /// Waits until a call may begin; whoever waited longest begins first. Cancel safe. The caller bounds the time.
    ///
    /// # Errors
    /// [`Over`] once the connection has ended.
    pub(super) async fn take(&self) -> Result<Turn, Over> {
        let seats = if self.are_one_at_a_time() { SEATS } else { 1 };
        Arc::clone(&self.seats).acquire_many_owned(seats).await.map_err(|_| Over)
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn all_at_once_until_one_at_a_time() {
        let turns = Turns::default();
        let take = || Box::pin(turns.take());
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
    fn nobody_waits_at_a_connection_that_ended() {
        let turns = Turns::default();
        assert!(turns.one_at_a_time());
        let _first = turns.take().now_or_never().unwrap();
        let mut second = Box::pin(turns.take());
        assert!((&mut second).now_or_never().is_none());
        turns.close();
        assert_eq!(second.now_or_never().unwrap().err(), Some(Over));
        assert_eq!(turns.take().now_or_never().unwrap().err(), Some(Over));
    }
}

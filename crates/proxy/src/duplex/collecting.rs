//! How much of last messages may be collected for one client and not yet be on its way: what a client asks for at the
//! same time costs the gateway no more than this, whether or not the client reads. Nobody is refused here; who waits does
//! not read from its upstream meanwhile. How large one message may be is `share`'s matter, what waits for the client to
//! read is `outbox`'s.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The beginning of each message that does not count: small answers wait for no large one. How many there are is bounded
/// by the requests in progress.
const FREE: usize = 64 << 10;

/// Most bytes that are collected side by side: as many as may wait for the client to read.
const BYTES: usize = 4 << 20;

/// The room for what is collected for one client.
pub(super) struct Collecting {
    bytes: Arc<Semaphore>,
    /// Whoever has the turn may go on without bytes, so that messages that share them cannot hold each other up. It is
    /// held by one whose upstream already answers, and which waits for nothing but it and the client.
    turn: Arc<Semaphore>,
}

/// The room that one message has. Dropping gives it back.
#[derive(Default)]
pub(crate) struct Held {
    counted: usize,
    bytes: Option<OwnedSemaphorePermit>,
    turn: Option<OwnedSemaphorePermit>,
}

/// A last message with its room, which is held until the message is handed on.
pub(crate) struct Last {
    /// The JSON-RPC text.
    pub(crate) message: Bytes,
    /// What it takes up.
    pub(crate) held: Held,
}

impl Collecting {
    /// Makes the room of a client for which nothing is collected yet.
    pub(super) fn new() -> Self {
        Self { bytes: Arc::new(Semaphore::new(BYTES)), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Waits until a message may have `bytes`. Cancel safe.
    pub(super) async fn grow_to(&self, held: &mut Held, bytes: usize) {
        let more = bytes.saturating_sub(FREE).saturating_sub(held.counted);
        if more == 0 || held.turn.is_some() {
            return;
        }
        let wanted = more.min(BYTES) as u32;
        tokio::select! {
            biased;
            share = Arc::clone(&self.bytes).acquire_many_owned(wanted) => {
                let share = share.expect("the room is never closed");
                held.counted += more;
                match &mut held.bytes {
                    Some(bytes) => bytes.merge(share),
                    None => held.bytes = Some(share),
                }
            }
            turn = Arc::clone(&self.turn).acquire_owned() => {
                held.turn = Some(turn.expect("turns never end"));
            }
        }
    }
}

impl From<Bytes> for Last {
    /// A message that was not collected takes up no room.
    fn from(message: Bytes) -> Self {
        Self { message, held: Held::default() }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LARGE: usize = BYTES * 3 / 4;

    #[tokio::test]
    async fn what_does_not_fit_goes_on_one_by_one_and_small_ones_never_wait() {
        let collecting = Collecting::new();
        let mut messages: Vec<Held> = std::iter::repeat_with(Held::default).take(4).collect();
        let goes_on = |held: &mut Held, bytes| collecting.grow_to(held, bytes).now_or_never().is_some();
        assert!(goes_on(&mut messages[0], LARGE), "there is room");
        assert!(goes_on(&mut messages[1], LARGE), "it has the turn");
        assert!(goes_on(&mut messages[1], 10 * BYTES), "and keeps it");
        assert!(!goes_on(&mut messages[0], 2 * BYTES) && !goes_on(&mut messages[2], LARGE));
        assert!(goes_on(&mut messages[2], FREE + BYTES / 8), "what is left is for everybody");
        assert!(goes_on(&mut messages[3], FREE));

        let (mut first, mut third) = (messages.remove(0), messages.remove(1));
        let mut waiting = Box::pin(collecting.grow_to(&mut first, 2 * BYTES));
        let mut behind = Box::pin(collecting.grow_to(&mut third, 2 * BYTES));
        assert!(waiting.as_mut().now_or_never().is_none() && behind.as_mut().now_or_never().is_none());
        drop(messages);
        waiting.await;
        assert!(behind.as_mut().now_or_never().is_none(), "one at a time");
        drop(first);
        behind.await;
    }

    #[tokio::test]
    async fn who_waits_no_longer_leaves_everything_to_others() {
        let collecting = Collecting::new();
        let (mut first, mut second) = (Held::default(), Held::default());
        collecting.grow_to(&mut first, BYTES).await;
        collecting.grow_to(&mut second, BYTES).await;
        assert!(collecting.grow_to(&mut Held::default(), BYTES).now_or_never().is_none());
        drop((first, second));
        assert_eq!((collecting.bytes.available_permits(), collecting.turn.available_permits()), (BYTES, 1));
    }
}

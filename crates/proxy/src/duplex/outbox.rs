//! What waits for one client to read: messages in their order, bounded in number and in bytes. An answer waits for room,
//! but not for a client that takes nothing; what a client can do without is dropped when there is none soon. Who reads
//! is the door's matter: room is free again when the message that the door took is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Most messages that wait: enough that a client that reads finds the next one ready.
const MESSAGES: usize = 64;

/// Most bytes that wait: far more than pipes and sockets hold, and little beside what one client may have in requests.
/// A longer message goes when it is the only one.
const BYTES: usize = 4 << 20;

/// How long what a client can do without waits for room: a busy client has read on by then, and its call is not held up
/// for longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// No message was dropped yet.
const NEVER: u64 = u64::MAX;

/// To one client. It is gone when it does not listen any more, or took nothing for too long.
pub(crate) struct Outbox {
    /// `None` when the client is gone.
    sender: Mutex<Option<mpsc::Sender<Bytes>>>,
    room: Arc<Room>,
    stall: Duration,
    /// Completes when the client took nothing for too long.
    stalled: CancellationToken,
    /// How many messages were taken when one was dropped last.
    dropped_at: AtomicU64,
}

/// The bytes that may wait.
struct Room {
    free: Arc<Semaphore>,
    /// How many messages were taken.
    taken: AtomicU64,
}

/// A message that takes up room until it is dropped.
struct Waiting {
    message: Bytes,
    room: Arc<Room>,
    _share: OwnedSemaphorePermit,
}

impl Outbox {
    /// Makes the outbox of a client that may take nothing for `stall`, and where its messages come out. They end when
    /// the outbox is dropped or the client is given up.
    pub(crate) fn new(stall: Duration) -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, messages) = mpsc::channel(MESSAGES);
        let room = Room { free: Arc::new(Semaphore::new(BYTES)), taken: AtomicU64::new(0) };
        let outbox = Self {
            sender: Mutex::new(Some(sender)),
            room: Arc::new(room),
            stall,
            stalled: CancellationToken::new(),
            dropped_at: AtomicU64::new(NEVER),
        };
        (outbox, messages)
    }

    /// Sends a message when there is room for it. A client that takes nothing meanwhile, for as long as it may, is given
    /// up; one that is gone hears nothing. Cancel safe: then the message is not sent.
    pub(crate) async fn send(&self, message: Bytes) {
        let Some(sender) = self.sender() else { return };
        self.unless_gone(&sender, self.enter(&sender, message)).await;
    }

    /// Sends what the client can do without. It is dropped where there is no room soon, and then at once until the client
    /// takes something.
    pub(crate) async fn offer(&self, message: Bytes) {
        let taken = self.room.taken.load(Ordering::Relaxed);
        if self.dropped_at.load(Ordering::Relaxed) == taken {
            return;
        }
        if timeout(PATIENCE, self.send(message)).await.is_err() {
            self.dropped_at.store(taken, Ordering::Relaxed);
        }
    }

    /// Waits until no message waits for room in bytes. Who reads the client's requests waits here, so that one that
    /// writes and does not read begins no more of them. Cancel safe.
    pub(crate) async fn has_room(&self) {
        let Some(sender) = self.sender() else { return };
        // Whoever waits is let in after those that came before.
        let passing = async { drop(Arc::clone(&self.room.free).acquire_owned().await) };
        self.unless_gone(&sender, passing).await;
    }

    /// Completes when the client does not read any more. Cancel safe.
    pub(crate) async fn unread(&self) {
        let Some(sender) = self.sender() else { return };
        tokio::select! {
            () = sender.closed() => {}
            () = self.stalled.cancelled() => {}
        }
    }

    fn sender(&self) -> Option<mpsc::Sender<Bytes>> {
        self.sender.lock().clone()
    }

    async fn enter(&self, sender: &mpsc::Sender<Bytes>, message: Bytes) {
        let share = message.len().min(BYTES) as u32;
        let share = Arc::clone(&self.room.free).acquire_many_owned(share).await;
        let share = share.expect("the room is never closed");
        // Refused when the client is gone: then there is nobody to tell.
        let Ok(place) = sender.reserve().await else { return };
        // Not before it has its place: one that is dropped without it was not taken by the client.
        let waiting = Waiting { message, room: Arc::clone(&self.room), _share: share };
        place.send(Bytes::from_owner(waiting));
    }

    /// Waits for room, and gives the client up when it takes nothing for too long.
    async fn unless_gone(&self, sender: &mpsc::Sender<Bytes>, waiting: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = waiting => {}
            () = sender.closed() => {}
            () = self.stalled.cancelled() => {}
            () = self.room.untouched(self.stall) => {
                tracing::info!("a client was given up, because it did not read");
                drop(self.sender.lock().take());
                self.stalled.cancel();
            }
        }
    }
}

impl Room {
    /// Completes when nothing was taken for a time.
    async fn untouched(&self, time: Duration) {
        loop {
            let taken = self.taken.load(Ordering::Relaxed);
            sleep(time).await;
            if self.taken.load(Ordering::Relaxed) == taken {
                return;
            }
        }
    }
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.room.taken.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    const STALL: Duration = Duration::from_secs(1);
    /// Far beyond what a busy machine needs.
    const LONG: Duration = Duration::from_secs(30);

    fn large() -> Bytes {
        Bytes::from(vec![b'x'; BYTES / 2])
    }

    async fn next(messages: &mut mpsc::Receiver<Bytes>) -> Bytes {
        messages.recv().await.expect("a message")
    }

    #[tokio::test]
    async fn large_messages_wait_for_room_and_small_ones_behind_them() {
        let (outbox, mut messages) = Outbox::new(STALL);
        for _ in 0..2 {
            outbox.send(large()).now_or_never().expect("there is room");
        }
        let (mut third, mut small) = (Box::pin(outbox.send(large())), Box::pin(outbox.send("s".into())));
        assert!(third.as_mut().now_or_never().is_none() && small.as_mut().now_or_never().is_none());
        assert!(outbox.has_room().now_or_never().is_none(), "no request is begun");
        let held = next(&mut messages).await;
        assert!(third.as_mut().now_or_never().is_none(), "it is taken, and not written");
        drop(held);
        third.await;
        assert!(small.as_mut().now_or_never().is_none());
        drop(next(&mut messages).await);
        small.await;
        assert_eq!((next(&mut messages).await.len(), &*next(&mut messages).await), (BYTES / 2, &b"s"[..]));
        assert!(outbox.has_room().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_message_longer_than_the_room_goes_alone() {
        let (outbox, mut messages) = Outbox::new(STALL);
        outbox.send("s".into()).await;
        let mut longest = Box::pin(outbox.send(Bytes::from(vec![b'x'; 2 * BYTES])));
        assert!(longest.as_mut().now_or_never().is_none());
        drop(next(&mut messages).await);
        longest.await;
        assert_eq!(next(&mut messages).await.len(), 2 * BYTES);
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_who_takes_a_little_is_not() {
        let (outbox, mut messages) = Outbox::new(STALL);
        for _ in 0..MESSAGES {
            outbox.send("s".into()).await;
        }
        let began = Instant::now();
        // The taker is polled first, so that a busy machine does not make it late.
        let slow = async {
            for _ in 0..5 {
                sleep(STALL / 4).await;
                drop(next(&mut messages).await);
            }
        };
        let sending = async {
            for _ in 0..6 {
                outbox.send("s".into()).await;
            }
        };
        tokio::join!(slow, sending, outbox.unread());
        assert!(began.elapsed() >= STALL * 9 / 4, "a stall after the last was taken: {:?}", began.elapsed());
        outbox.send("s".into()).now_or_never().expect("nobody is told");
        for _ in 0..MESSAGES {
            next(&mut messages).await;
        }
        assert_eq!(messages.recv().await, None, "the stream ends with what was in it");
    }

    #[tokio::test]
    async fn what_a_client_can_do_without_is_dropped() {
        let (outbox, mut messages) = Outbox::new(STALL);
        for _ in 0..2 {
            outbox.send(large()).await;
        }
        let began = Instant::now();
        outbox.offer("dropped".into()).await;
        assert!(began.elapsed() >= PATIENCE);
        outbox.offer("dropped at once".into()).now_or_never().expect("no call is held up again");
        drop(next(&mut messages).await);
        outbox.offer("told".into()).now_or_never().expect("there is room again");
        drop(next(&mut messages).await);
        assert_eq!(&*next(&mut messages).await, b"told");
    }

    #[tokio::test]
    async fn what_was_dropped_was_not_taken_where_many_small_messages_wait() {
        let (outbox, mut messages) = Outbox::new(STALL);
        for _ in 0..MESSAGES {
            outbox.send("s".into()).now_or_never().expect("there is room");
        }
        let began = Instant::now();
        outbox.offer("dropped".into()).await;
        assert!(began.elapsed() >= PATIENCE);
        outbox.offer("dropped at once".into()).now_or_never().expect("no call is held up again");
        drop(next(&mut messages).await);
        outbox.offer("told".into()).now_or_never().expect("there is room again");
        assert_eq!(outbox.room.taken.load(Ordering::Relaxed), 1);
        assert_eq!(outbox.room.free.available_permits(), BYTES - (MESSAGES - 1) - "told".len());

        // Offers that go on do not hide that nothing is taken.
        let mut offers = 0;
        let offering = async {
            loop {
                outbox.offer("dropped".into()).await;
                offers += 1;
                sleep(STALL / 10).await;
            }
        };
        let given_up = async { tokio::join!(outbox.send("late".into()), outbox.unread()) };
        tokio::select! {
            () = offering => {}
            given_up = timeout(LONG, given_up) => drop(given_up.expect("it is given up")),
        }
        assert!(offers > 1, "{offers}");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_client_that_is_gone() {
        let (outbox, messages) = Outbox::new(LONG);
        for _ in 0..2 {
            outbox.send(large()).await;
        }
        let began = Instant::now();
        tokio::join!(outbox.send(large()), outbox.unread(), async { drop(messages) });
        assert!(began.elapsed() < LONG);
    }
}

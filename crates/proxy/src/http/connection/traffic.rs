//! What goes on on one connection, and when it has to end: nobody asked for too long, or nobody takes the answers. What
//! an answer does while it is on its way: `exchange`. HTTP/1 needs only the first of these, for hyper bounds the time
//! between two requests itself, and an answer that is not taken soon stands in the socket (`http/patient.rs`).

use std::{
    ops::ControlFlow,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::exchange::Exchange;

/// Exchanges that are looked through for ended ones at the least: fewer are not worth it.
const FEW: usize = 32;

/// The exchanges of one connection.
#[derive(Debug)]
pub(super) struct Traffic {
    going: Mutex<Going>,
    /// How long a client may take nothing of an answer.
    stall: Duration,
}

#[derive(Debug)]
struct Going {
    asked: Asked,
    /// Those in progress, and some that ended.
    exchanges: Vec<Weak<Exchange>>,
    in_progress: usize,
    /// Since when none is in progress, if none is.
    quiet_since: Instant,
}

/// In what protocol there was a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    NotYet,
    Http1,
    Http2,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No request ever came.
    Silent,
    /// No request is in progress, and none came for a while.
    Idle,
    /// Requests are in progress, and the client takes nothing of the answer to any of them.
    Stalled,
}

impl Traffic {
    /// Begins with a connection on which nobody asked yet.
    pub(super) fn new(stall: Duration) -> Arc<Self> {
        let quiet_since = Instant::now();
        let going = Going { asked: Asked::NotYet, exchanges: Vec::new(), in_progress: 0, quiet_since };
        Arc::new(Self { going: Mutex::new(going), stall })
    }

    /// Notes a request over HTTP/1.
    pub(super) fn asked_over_http1(&self) {
        self.going.lock().asked = Asked::Http1;
    }

    /// Begins an exchange over HTTP/2.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange::new(self.clone()));
        let mut going = self.going.lock();
        going.asked = Asked::Http2;
        going.in_progress += 1;
        // Looking through all of them costs little when half have ended since the last time.
        if going.exchanges.len() >= FEW.max(2 * going.in_progress) {
            going.exchanges.retain(|exchange| exchange.strong_count() > 0);
        }
        going.exchanges.push(Arc::downgrade(&exchange));
        exchange
    }

    /// Notes the end of an exchange.
    pub(super) fn ended(&self) {
        let mut going = self.going.lock();
        going.in_progress -= 1;
        if going.in_progress == 0 {
            going.quiet_since = Instant::now();
        }
    }

    /// Gives the client time from now on, as if it had just asked.
    pub(super) fn forgive(&self) {
        self.going.lock().quiet_since = Instant::now();
    }

    /// Completes when the connection has to end, which is when it was quiet for `patience`, or its client takes nothing.
    /// An answer that is not taken beside others that are loses what is left of it; each is told to `lost`. Cancel safe.
    pub(super) async fn verdict(&self, patience: Duration, lost: impl Fn()) -> Verdict {
        loop {
            match self.look(patience, &lost) {
                ControlFlow::Break(verdict) => return verdict,
                ControlFlow::Continue(Some(next)) => sleep_until(next).await,
                ControlFlow::Continue(None) => std::future::pending().await,
            }
        }
    }

    /// Judges as of now, or tells when to look again; never, with `None`. An exchange that begins meanwhile cannot have
    /// stalled before that.
    fn look(&self, patience: Duration, lost: &impl Fn()) -> ControlFlow<Verdict, Option<Instant>> {
        let now = Instant::now();
        let exchanges = {
            let going = self.going.lock();
            let due = going.quiet_since + patience;
            match going.asked {
                Asked::Http1 => return ControlFlow::Continue(None),
                Asked::NotYet if due <= now => return ControlFlow::Break(Verdict::Silent),
                Asked::Http2 if going.in_progress == 0 && due <= now => {
                    return ControlFlow::Break(Verdict::Idle);
                }
                Asked::Http2 if going.in_progress > 0 => going.alive(),
                Asked::NotYet | Asked::Http2 => {
                    return ControlFlow::Continue(Some(due.min(now + self.stall)));
                }
            }
        };
        // Not under the lock: whoever holds the last one of an exchange ends it.
        match self.next_stall(&exchanges, now, lost) {
            Some(next) => ControlFlow::Continue(Some(next.min(now + patience))),
            // All have ended since.
            None if exchanges.is_empty() => ControlFlow::Continue(Some(now + patience.min(self.stall))),
            None => ControlFlow::Break(Verdict::Stalled),
        }
    }

    /// Returns when the next exchange may have stalled; `None` when all have. Those that did beside others are cut.
    fn next_stall(&self, exchanges: &[Arc<Exchange>], now: Instant, lost: &impl Fn()) -> Option<Instant> {
        let until = |exchange: &Arc<Exchange>| exchange.waiting_since().unwrap_or(now) + self.stall;
        let next = exchanges.iter().map(until).filter(|until| *until > now).min()?;
        let stalled = exchanges.iter().filter(|exchange| until(exchange) <= now);
        stalled.filter(|exchange| exchange.cut()).for_each(|_| lost());
        Some(next)
    }
}

impl Going {
    fn alive(&self) -> Vec<Arc<Exchange>> {
        self.exchanges.iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::{sync::Notify, time::timeout};

    use super::{super::super::body::ReplyBody, *};

    const STALL: Duration = Duration::from_millis(60);
    const PATIENCE: Duration = Duration::from_millis(30);
    /// For what happens soon, on a busy machine.
    const LONG: Duration = Duration::from_secs(30);

    async fn within(traffic: &Traffic, limit: Duration) -> Option<Verdict> {
        timeout(limit, traffic.verdict(PATIENCE, || {})).await.ok()
    }

    #[tokio::test]
    async fn a_connection_ends_when_nobody_asks() {
        let traffic = Traffic::new(STALL);
        let begun = Instant::now();
        assert_eq!(within(&traffic, LONG).await, Some(Verdict::Silent));
        assert!(begun.elapsed() >= PATIENCE);
        let exchange = traffic.begin();
        assert_eq!(within(&traffic, 4 * STALL).await, None, "it waits for its answer");
        let ended = Instant::now();
        drop(exchange);
        assert_eq!(within(&traffic, LONG).await, Some(Verdict::Idle));
        assert!(ended.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn over_http1_only_silence_ends_it() {
        let traffic = Traffic::new(STALL);
        traffic.asked_over_http1();
        assert_eq!(within(&traffic, 4 * STALL).await, None);
    }

    #[tokio::test]
    async fn an_answer_that_stalls_ends_alone_or_ends_the_connection() {
        let traffic = Traffic::new(STALL);
        let waits_for_us = traffic.begin();
        let mut stalled = traffic.begin().answer(ReplyBody::Whole("x".into()));
        let lost = Notify::new();
        let mut judging = std::pin::pin!(traffic.verdict(PATIENCE, || lost.notify_one()));
        tokio::select! {
            verdict = judging.as_mut() => panic!("{verdict:?}, and another goes on"),
            () = lost.notified() => {}
        }
        assert!(stalled.frame().await.unwrap().is_err());
        drop((waits_for_us, stalled));
        let _untaken = traffic.begin().answer(ReplyBody::Whole("x".into()));
        assert_eq!(timeout(LONG, judging).await, Ok(Verdict::Stalled));
    }

    #[tokio::test]
    async fn what_ended_is_forgotten() {
        let traffic = Traffic::new(STALL);
        let _kept = traffic.begin();
        for _ in 0..1_000 {
            traffic.begin();
        }
        assert!(traffic.going.lock().exchanges.len() <= FEW);
    }
}

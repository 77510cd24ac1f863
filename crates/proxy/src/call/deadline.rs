//! How long a call may take: silence is bounded, progress gives more time, and nothing goes on for ever.

use std::{pin::Pin, time::Duration};

use domain::ServerId;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;

/// Longest time a call may take, whatever progress it reports.
pub(crate) const HARD_LIMIT: Duration = Duration::from_secs(600);

/// How long a call may still take.
#[derive(Debug)]
pub(super) struct Deadline {
    idle: Duration,
    /// How long the upstream may be silent when it did not just give a sign of life.
    silence: Duration,
    most: Duration,
    until: Instant,
    hard: Instant,
    /// What the upstream has asked and nobody has answered or refused yet. Each is cancelled when that is done.
    asked: Vec<CancellationToken>,
}

impl Deadline {
    /// `idle` is how long an upstream may be silent; `time` is the caller's own limit, which progress does not extend.
    pub(super) fn new(idle: Duration, time: Option<Duration>) -> Self {
        let now = Instant::now();
        let most = time.map_or(HARD_LIMIT, |time| time.min(HARD_LIMIT));
        Self { idle, silence: idle, most, until: now + idle.min(most), hard: now + most, asked: Vec::new() }
    }

    /// Starts the time anew, within the hard limit.
    pub(super) fn extend(&mut self) {
        self.until = (Instant::now() + self.idle).min(self.hard);
    }

    /// Leaves only the hard limit, until the next sign of life.
    pub(super) fn suspend(&mut self) {
        self.silence = self.most;
        self.until = self.hard;
    }

    /// Leaves only the hard limit until a question is settled: whoever is asked may need minutes. Then the time starts
    /// anew.
    pub(super) fn wait_for(&mut self, question: CancellationToken) {
        self.asked.retain(|open| !open.is_cancelled());
        self.asked.push(question);
    }

    /// Waits for `work` until the time is over or the gateway gives up its running calls. It takes a pinned future,
    /// because futures passed by value are copied into each layer around them.
    pub(super) async fn bound<T>(
        &mut self,
        server: &ServerId,
        over: &CancellationToken,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = self.in_time(work) => done.map_err(|limit| expired(server, limit)),
            () = over.cancelled() => Err(Failure::ShuttingDown),
        }
    }

    /// Waits for `work` as long as the call may take.
    ///
    /// # Errors
    /// The limit, when it is over.
    async fn in_time<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Duration> {
        if !self.asked.is_empty() {
            tokio::select! {
                biased;
                done = timeout_at(self.hard, work.as_mut()) => return done.map_err(|_| self.most),
                () = settled(&mut self.asked) => {}
            }
            self.until = (Instant::now() + self.silence).min(self.hard);
        }
        let limit = if self.until == self.hard { self.most } else { self.idle };
        timeout_at(self.until, work).await.map_err(|_| limit)
    }
}

/// Waits until every question is settled. Cancel safe.
async fn settled(asked: &mut Vec<CancellationToken>) {
    while let Some(question) = asked.last() {
        question.cancelled().await;
        asked.pop();
    }
}

fn expired(server: &ServerId, limit: Duration) -> Failure {
    Failure::Timeout { server: server.clone(), limit_ms: limit.as_millis() as u64 }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        pin::pin,
    };

    use super::*;

    const IDLE: Duration = Duration::from_millis(30);

    /// Waits for a server that says nothing; returns the limit that it broke.
    async fn silence(deadline: &mut Deadline) -> Duration {
        let (server, over) = (ServerId::new("one").unwrap(), CancellationToken::new());
        let failure =
            deadline.bound(&server, &over, pin!(pending::<()>())).await.expect_err("it says nothing");
        let Failure::Timeout { limit_ms, .. } = failure else { panic!("{failure:?}") };
        Duration::from_millis(limit_ms)
    }

    #[tokio::test]
    async fn whoever_is_asked_has_minutes_and_a_server_that_has_its_answer_has_not() {
        let mut deadline = Deadline::new(IDLE, None);
        let [first, second] = [(); 2].map(|()| CancellationToken::new());
        for question in [&first, &second] {
            deadline.wait_for(question.clone());
        }
        first.cancel();
        let waited = timeout_at(Instant::now() + 10 * IDLE, silence(&mut deadline)).await;
        assert!(waited.is_err(), "one is still asked");
        second.cancel();
        let settled = Instant::now();
        assert_eq!(silence(&mut deadline).await, IDLE);
        assert!(settled.elapsed() >= IDLE, "from the last answer on");
    }

    #[tokio::test]
    async fn an_answer_while_the_server_works_starts_the_time_anew() {
        let mut deadline = Deadline::new(IDLE, None);
        let question = CancellationToken::new();
        deadline.wait_for(question.clone());
        let (limit, ()) = tokio::join!(silence(&mut deadline), async {
            tokio::task::yield_now().await;
            question.cancel();
        });
        assert_eq!(limit, IDLE);
    }

    #[tokio::test]
    async fn work_that_may_take_minutes_still_may_when_a_question_is_settled() {
        let mut deadline = Deadline::new(IDLE, Some(4 * IDLE));
        deadline.suspend();
        let question = CancellationToken::new();
        deadline.wait_for(question.clone());
        question.cancel();
        assert_eq!(silence(&mut deadline).await, 4 * IDLE);
    }

    #[tokio::test]
    async fn nobody_is_asked_beyond_the_hard_limit() {
        let mut deadline = Deadline::new(IDLE, Some(2 * IDLE));
        deadline.wait_for(CancellationToken::new());
        assert_eq!(silence(&mut deadline).await, 2 * IDLE);
    }

    #[tokio::test]
    async fn work_that_is_done_is_done() {
        let mut deadline = Deadline::new(IDLE, None);
        deadline.wait_for(CancellationToken::new());
        let (server, over) = (ServerId::new("one").unwrap(), CancellationToken::new());
        assert_eq!(deadline.bound(&server, &over, pin!(ready(7))).await.unwrap(), 7);
    }
}

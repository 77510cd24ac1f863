//! Which log level the server knows in one session, and which it is being told (specification 2025-11-25, logging).
//! Invariant: it is told one level at a time. Of two requests on their way at once the server may read the newer one
//! first, and would end at the older.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::level::{Cell, LogLevel};

/// What the server knows in one session about the level that is wanted.
#[derive(Debug, Default)]
pub(in super::super) struct Telling {
    /// What it has been told; nothing if it may know one level or another.
    known: Cell,
    /// What it is being told.
    now: Mutex<Option<LogLevel>>,
    settled: Notify,
}

/// How telling a level went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Outcome {
    /// The server was told, whatever it thought of that.
    Told,
    /// It was not told.
    NotTold,
    /// It may have been told.
    Unknown,
}

impl Telling {
    /// Returns the level that the server knows.
    pub(in super::super) fn known(&self) -> Option<LogLevel> {
        self.known.get()
    }

    /// Takes it on to tell the server the level that is wanted, and returns it; `None` if it knows, or is just being
    /// told one: whoever does that asks in [`Telling::next`] what else is wanted. What `wanted` returns is read where
    /// nobody else can take it on, so that nothing older replaces it.
    pub(in super::super) fn begin(&self, wanted: impl FnOnce() -> Option<LogLevel>) -> Option<LogLevel> {
        let mut now = self.now.lock();
        if now.is_none() {
            *now = wanted().filter(|level| self.known() != Some(*level));
            return *now;
        }
        None
    }

    /// Notes how telling went. Returns what is to be told now, which whoever told the last one has to do.
    pub(in super::super) fn next(
        &self,
        outcome: Outcome,
        wanted: impl FnOnce() -> Option<LogLevel>,
    ) -> Option<LogLevel> {
        let mut now = self.now.lock();
        let tried = now.take();
        match outcome {
            Outcome::Told => _ = self.known.replace(tried),
            Outcome::NotTold => {}
            Outcome::Unknown => _ = self.known.replace(None),
        }
        // What has just failed is left to the next request.
        *now = wanted().filter(|level| tried != Some(*level) && self.known() != Some(*level));
        if now.is_none() {
            self.settled.notify_waiters();
        }
        *now
    }

    /// Notes that nobody goes on telling: the level is told another time.
    pub(in super::super) fn give_up(&self) {
        let mut now = self.now.lock();
        if now.take().is_some() {
            self.known.replace(None);
            self.settled.notify_waiters();
        }
    }

    /// Waits until nothing is being told. Cancel safe; the caller bounds the time.
    pub(in super::super) async fn settled(&self) {
        let mut settled = std::pin::pin!(self.settled.notified());
        settled.as_mut().enable();
        if self.now.lock().is_some() {
            settled.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(name: &str) -> Option<LogLevel> {
        Some(LogLevel::named(name).unwrap())
    }

    #[test]
    fn a_level_is_told_once() {
        let telling = Telling::default();
        assert_eq!(telling.begin(|| None), None);
        assert_eq!(telling.begin(|| level("debug")), level("debug"));
        assert_eq!(telling.begin(|| level("debug")), None);
        assert_eq!(telling.next(Outcome::Told, || level("debug")), None);
        assert_eq!(telling.known(), level("debug"));
        assert_eq!(telling.begin(|| level("debug")), None);
    }

    #[test]
    fn one_level_follows_the_other_and_the_last_one_wins() {
        let telling = Telling::default();
        telling.begin(|| level("info"));
        assert_eq!(telling.next(Outcome::Told, || level("info")), None);
        assert_eq!(telling.begin(|| level("debug")), level("debug"));
        assert_eq!(telling.begin(|| level("error")), None, "not beside the other");
        assert_eq!(telling.next(Outcome::Told, || level("info")), level("info"), "wanted again meanwhile");
        assert_eq!(telling.next(Outcome::Told, || level("info")), None);
        assert_eq!(telling.known(), level("info"));
    }

    #[test]
    fn what_was_not_told_is_told_another_time() {
        let telling = Telling::default();
        telling.begin(|| level("info"));
        telling.next(Outcome::Told, || level("info"));
        telling.begin(|| level("debug"));
        assert_eq!(telling.next(Outcome::NotTold, || level("debug")), None);
        assert_eq!(telling.known(), level("info"));
        assert_eq!(telling.begin(|| level("debug")), level("debug"));
        assert_eq!(telling.next(Outcome::Unknown, || level("debug")), None);
        assert_eq!(telling.begin(|| level("info")), level("info"), "it may know the other one");
        telling.give_up();
        assert_eq!(telling.begin(|| level("info")), level("info"));
    }
}

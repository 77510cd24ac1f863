//! Log levels as numbers, and which one a server knows (specification 2025-11-25, logging).

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// From the most talkative to the most silent one.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A level; the smaller, the more is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::transports) struct LogLevel(u8);

impl LogLevel {
    /// What is written where there is no level: more silent than all of them.
    const NONE: u8 = u8::MAX;

    pub(in crate::transports) fn named(name: &str) -> Option<Self> {
        let place = LEVELS.iter().position(|known| *known == name)?;
        u8::try_from(place).ok().map(Self)
    }

    fn number(level: Option<Self>) -> u8 {
        level.map_or(Self::NONE, |level| level.0)
    }

    pub(in crate::transports) fn name(self) -> &'static str {
        LEVELS[usize::from(self.0)]
    }
}

/// A level that threads share, or none.
#[derive(Debug)]
pub(super) struct Cell(AtomicU8);

impl Default for Cell {
    fn default() -> Self {
        Self(AtomicU8::new(LogLevel::NONE))
    }
}

impl Cell {
    pub(super) fn get(&self) -> Option<LogLevel> {
        Some(self.0.load(Ordering::Acquire)).filter(|level| *level != LogLevel::NONE).map(LogLevel)
    }

    /// Puts `level` in and returns what was there.
    pub(super) fn replace(&self, level: Option<LogLevel>) -> Option<LogLevel> {
        let before = self.0.swap(LogLevel::number(level), Ordering::AcqRel);
        Some(before).filter(|level| *level != LogLevel::NONE).map(LogLevel)
    }

    /// Puts `level` in if `expected` is there.
    fn replace_if(&self, expected: Option<LogLevel>, level: Option<LogLevel>) {
        let (from, to) = (LogLevel::number(expected), LogLevel::number(level));
        // Something else is there: somebody else has taken it on.
        let _ = self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// What a server was told about the level.
#[derive(Debug, Default)]
pub(in crate::transports) struct Told {
    /// What it is being told, or was.
    asked: Cell,
    /// What it has been told.
    known: Cell,
    changed: Notify,
}

impl Told {
    /// Returns the level that the server knows.
    pub(in crate::transports) fn known(&self) -> Option<LogLevel> {
        self.known.get()
    }

    /// Takes it on to tell the server `level`; false if that is being done, or was.
    pub(in crate::transports) fn begin(&self, level: LogLevel) -> bool {
        self.asked.replace(Some(level)) != Some(level)
    }

    /// Notes that the server was told `level`, whatever it thought of that.
    pub(in crate::transports) fn finish(&self, level: LogLevel) {
        self.known.replace(Some(level));
        self.changed.notify_waiters();
    }

    /// Notes that the server could not be told `level`, if that is so: it is told another time.
    pub(in crate::transports) fn give_up(&self, level: LogLevel) {
        self.asked.replace_if(Some(level), self.known.get());
        self.changed.notify_waiters();
    }

    /// Waits until nothing is being told. Cancel safe; the caller bounds the time.
    pub(in crate::transports) async fn settled(&self) {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if self.asked.get() == self.known.get() {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_talkative_level_is_the_smaller_one() {
        assert!(LogLevel::named("debug") < LogLevel::named("info"));
        assert_eq!(LogLevel::named("emergency").unwrap().name(), "emergency");
        assert_eq!(LogLevel::named("loud"), None);
    }

    #[test]
    fn a_level_is_told_once() {
        let (told, debug) = (Told::default(), LogLevel::named("debug").unwrap());
        assert_eq!(told.known(), None);
        assert!(told.begin(debug) && !told.begin(debug));
        told.finish(debug);
        assert_eq!(told.known(), Some(debug));
        assert!(!told.begin(debug));
        let error = LogLevel::named("error").unwrap();
        assert!(told.begin(error));
        told.give_up(error);
        assert!(told.begin(error), "it is told another time");
    }
}

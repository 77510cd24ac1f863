//! Log levels as numbers, alone and shared by threads (specification 2025-11-25, logging). How a server is told one in a
//! session is in `telling`.

use std::sync::atomic::{AtomicU8, Ordering};

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
}

/// What a server was told last, where messages to it keep their order.
#[derive(Debug, Default)]
pub(in crate::transports) struct Told(Cell);

impl Told {
    /// Takes it on to tell the server `level`; false if that is being done, or was.
    pub(in crate::transports) fn begin(&self, level: LogLevel) -> bool {
        self.0.replace(Some(level)) != Some(level)
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
        assert!(told.begin(debug) && !told.begin(debug));
        assert!(told.begin(LogLevel::named("error").unwrap()) && told.begin(debug));
    }
}

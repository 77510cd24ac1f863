//! The last calls by time: however many are put in, no more than wanted are kept.

use std::{collections::BTreeMap, str::FromStr};

use time::OffsetDateTime;

use super::entry::Entry;

/// How many calls are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// So many, the last ones.
    Last(usize),
    /// Every one.
    All,
}

/// The last calls.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    entries: BTreeMap<(OffsetDateTime, u64), Entry>,
    put: u64,
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            number => number.parse().map(Self::Last).map_err(|_| "write a number, or `all`".to_owned()),
        }
    }
}

impl Window {
    pub(super) const fn new(size: usize) -> Self {
        Self { size, entries: BTreeMap::new(), put: 0 }
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.put += 1;
        self.entries.insert((entry.time, self.put), entry);
        if self.entries.len() > self.size {
            self.entries.pop_first();
        }
    }

    /// Returns what is kept, the oldest first.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn entry(second: i64) -> Entry {
        Entry {
            time: OffsetDateTime::UNIX_EPOCH + Duration::seconds(second),
            call: second.to_string(),
            agent: String::new(),
            operation: String::new(),
            server: None,
            target: None,
            outcome: String::new(),
            latency_ms: None,
            code: None,
            rule: None,
            raw: String::new(),
        }
    }

    #[test]
    fn the_last_by_time_are_kept_in_order() {
        let kept = |size: usize| {
            let mut window = Window::new(size);
            [3, 1, 4, 1, 5, 2].into_iter().map(entry).for_each(|entry| window.put(entry));
            window.into_entries().into_iter().map(|entry| entry.call).collect::<Vec<_>>()
        };
        assert_eq!(kept(3), ["3", "4", "5"]);
        assert_eq!(kept(9), ["1", "1", "2", "3", "4", "5"]);
        assert!(kept(0).is_empty());
    }

    #[test]
    fn counts_are_read() {
        assert_eq!("all".parse(), Ok(Count::All));
        assert_eq!("0".parse(), Ok(Count::Last(0)));
        assert!("-1".parse::<Count>().is_err());
    }
}

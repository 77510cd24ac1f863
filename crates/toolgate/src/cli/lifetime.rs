//! How long a token lives, as typed: `30d`, or the time at which it ends.

use std::time::{Duration, SystemTime};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Longest lifetime; a token for longer is one without an end.
const MAX_DAYS: u64 = 3650;
const SECONDS_PER_DAY: u64 = 86_400;

/// When a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// So long from now.
    For(Duration),
    /// At a time.
    Until(SystemTime),
}

impl Lifetime {
    /// Returns the end, counted from `now`.
    pub(super) fn end(self, now: SystemTime) -> SystemTime {
        match self {
            Self::For(duration) => now + duration,
            Self::Until(end) => end,
        }
    }
}

/// Reads a number with one of `s m h d w`, or an RFC 3339 time.
pub(super) fn parse(text: &str) -> Result<Lifetime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Lifetime::Until(time.into()));
    }
    let wrong = || "write for example `30d`, `12h`, `90m`, or `2027-01-31T00:00:00Z`".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds_per_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => SECONDS_PER_DAY,
        'w' => 7 * SECONDS_PER_DAY,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    match count.checked_mul(seconds_per_unit) {
        Some(0) => Err("the token would be dead at once".to_owned()),
        Some(seconds) if seconds <= MAX_DAYS * SECONDS_PER_DAY => {
            Ok(Lifetime::For(Duration::from_secs(seconds)))
        }
        Some(_) | None => {
            Err(format!("more than {MAX_DAYS} days: leave the option out for a token without end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read() {
        let seconds = |text: &str| match parse(text) {
            Ok(Lifetime::For(duration)) => Some(duration.as_secs()),
            Ok(Lifetime::Until(_)) | Err(_) => None,
        };
        assert_eq!(seconds("30d"), Some(2_592_000));
        assert_eq!(
            (seconds("90s"), seconds("2m"), seconds("1h"), seconds("1w")),
            (Some(90), Some(120), Some(3600), Some(604_800))
        );
        for wrong in
            ["", "d", "30", "-1d", "1.5h", "30 d", "1y", "0d", "99999999999999999999d", "3651d", "5ü"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(matches!(parse("2027-01-31T00:00:00Z"), Ok(Lifetime::Until(_))));
    }
}

//! `--since` and `--until` as typed: a time, or how long ago.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const WRONG: &str = "write for example `15m`, `2h`, `1d`, or `2027-01-31T00:00:00Z`";

/// Reads a number with one of `s m h d w`, counted back from `now`, or an RFC 3339 time.
pub(super) fn parse(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let ago = duration(text).ok_or(WRONG)?;
    let ago = time::Duration::try_from(ago).map_err(|_| WRONG)?;
    now.checked_sub(ago).ok_or_else(|| "that is before all times".to_owned())
}

/// As [`parse`], counted from the system's clock.
pub(super) fn parse_from_now(text: &str) -> Result<OffsetDateTime, String> {
    parse(text, OffsetDateTime::now_utc())
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let digits = &text[..text.len() - unit.len_utf8()];
    let count: u64 = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    count.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_read_and_durations_counted_back() {
        let now = datetime!(2026-11-21 12:00:00 UTC);
        for (text, expected) in [
            ("15m", datetime!(2026-11-21 11:45:00 UTC)),
            ("2h", datetime!(2026-11-21 10:00:00 UTC)),
            ("1d", datetime!(2026-11-20 12:00:00 UTC)),
            ("1w", datetime!(2026-11-14 12:00:00 UTC)),
            ("0s", now),
            ("2026-01-02T03:04:05+01:00", datetime!(2026-01-02 02:04:05 UTC)),
        ] {
            assert_eq!(parse(text, now), Ok(expected), "{text}");
        }
        for wrong in ["", "m", "15", "+5m", "-1d", "1.5h", "15 m", "1y", "5ü", "yesterday"] {
            assert_eq!(parse(wrong, now), Err(WRONG.to_owned()), "{wrong}");
        }
        assert!(parse("99999999999w", now).is_err());
        assert!(parse("99999999999999999999s", now).is_err());
    }
}

//! A line of the audit trail, as far as `toolgate logs` shows it. The fields are explained in `docs/audit.md`; whether
//! the chain of lines is sound is not looked at here (`toolgate audit verify` does that).

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Shown as the outcome of a call that has no end line, in a file whose gateway may still write it.
pub(super) const RUNNING: &str = "running";
/// Shown as the outcome of a call that will never get an end line: its gateway ended before it.
pub(super) const UNFINISHED: &str = "unfinished";

/// What a line tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// A call begins; its outcome says [`RUNNING`].
    Begin(Entry),
    /// A call ended.
    End(Entry),
    /// A gateway begins or ended its work on this file: calls that are still open stay so.
    Boundary(OffsetDateTime),
    /// An event that is no call.
    Other(OffsetDateTime),
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// When the line was written: the end of the call, or the begin of one without an end.
    pub(super) time: OffsetDateTime,
    /// Joins the lines of a call.
    pub(super) call: String,
    pub(super) agent: String,
    pub(super) operation: String,
    pub(super) server: Option<String>,
    /// The tool, prompt or URI.
    pub(super) target: Option<String>,
    /// A word of `docs/audit.md`, [`RUNNING`] or [`UNFINISHED`].
    pub(super) outcome: String,
    pub(super) latency_ms: Option<f64>,
    pub(super) code: Option<String>,
    pub(super) rule: Option<String>,
    /// The line itself.
    pub(super) raw: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Begin,
    End,
    Event,
}

#[derive(Deserialize)]
struct Fields {
    phase: Phase,
    timestamp: String,
    call: Option<String>,
    agent_id: Option<String>,
    operation: Option<String>,
    server: Option<String>,
    target: Option<String>,
    outcome: Option<String>,
    latency_ms: Option<f64>,
    code: Option<String>,
    rule: Option<String>,
    event: Option<String>,
}

impl Line {
    /// Reads a line; None for one that is broken.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let raw = str::from_utf8(bytes).ok()?;
        let fields: Fields = serde_json::from_str(raw).ok()?;
        let time = OffsetDateTime::parse(&fields.timestamp, &Rfc3339).ok()?;
        match fields.phase {
            Phase::Event => Some(match fields.event.as_deref()? {
                "started" | "stopped" => Self::Boundary(time),
                _ => Self::Other(time),
            }),
            Phase::Begin => {
                Entry::of(Fields { outcome: Some(RUNNING.to_owned()), ..fields }, time, raw).map(Self::Begin)
            }
            Phase::End => Entry::of(fields, time, raw).map(Self::End),
        }
    }

    /// Returns when the line was written.
    pub(super) const fn time(&self) -> OffsetDateTime {
        match self {
            Self::Begin(entry) | Self::End(entry) => entry.time,
            Self::Boundary(time) | Self::Other(time) => *time,
        }
    }
}

impl Entry {
    fn of(fields: Fields, time: OffsetDateTime, raw: &str) -> Option<Self> {
        Some(Self {
            time,
            call: fields.call?,
            agent: fields.agent_id?,
            operation: fields.operation?,
            server: fields.server,
            target: fields.target,
            outcome: fields.outcome?,
            latency_ms: fields.latency_ms,
            code: fields.code,
            rule: fields.rule,
            raw: raw.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const TIME: &str = r#""timestamp":"2026-11-21T02:04:16.000123+00:00""#;

    #[test]
    fn the_three_kinds_of_line_are_told_apart() {
        let end = format!(
            r#"{{"phase":"end",{TIME},"call":"c","agent_id":"a","operation":"o","outcome":"ok","latency_ms":1.25,"new":[]}}"#
        );
        let Some(Line::End(entry)) = Line::read(end.as_bytes()) else { panic!("{end}") };
        assert_eq!((entry.outcome.as_str(), entry.latency_ms), ("ok", Some(1.25)));
        assert_eq!(entry.time, datetime!(2026-11-21 02:04:16.000123 UTC));
        assert_eq!(entry.raw, end);
        let begin = format!(r#"{{"phase":"begin",{TIME},"call":"c","agent_id":"a","operation":"o"}}"#);
        let Some(Line::Begin(entry)) = Line::read(begin.as_bytes()) else { panic!("{begin}") };
        assert_eq!(entry.outcome, RUNNING);
        let event =
            |name: &str| Line::read(format!(r#"{{"phase":"event",{TIME},"event":"{name}"}}"#).as_bytes());
        assert!(matches!(event("started"), Some(Line::Boundary(_))));
        assert!(matches!(event("auth_failed"), Some(Line::Other(_))));
    }

    #[test]
    fn broken_lines_are_none() {
        for broken in [
            "",
            "{}",
            "nonsense",
            "[]",
            "{\"phase\":\"end\"",
            &format!(r#"{{"phase":"end",{TIME}}}"#),
            &format!(r#"{{"phase":"pause",{TIME},"call":"c","agent_id":"a","operation":"o"}}"#),
            r#"{"phase":"event","timestamp":"today","event":"started"}"#,
        ] {
            assert_eq!(Line::read(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(Line::read(b"\xff\xfe"), None);
    }
}

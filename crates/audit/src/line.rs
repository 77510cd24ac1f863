//! The fields of a line, in the order in which they stand. Opens a line and fills it; [`crate::chain`] completes it.
//! Which fields there are and what they mean to a reader: `docs/audit.md`.

use std::time::{Duration, SystemTime};

use domain::AgentSource;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::{
    ArgumentsKept, Begin, CallId, Detail, End, Event, arguments::push_arguments, chain::push_decimal,
    escape::push_text,
};

/// Most bytes of a name: agent, user, server, method and the like.
const NAME_BYTES: usize = 256;
/// Most bytes of a tool's name or a resource's URI, of a rule's path, and of a detail.
const TARGET_BYTES: usize = 1024;
/// Most details of an event, and most members of `metadata`.
const MAX_DETAILS: usize = 16;

/// The three kinds of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Begin,
    End,
    Event,
}

/// Opens a line: its phase and the time.
pub(crate) fn push_opening(out: &mut Vec<u8>, phase: Phase, now: SystemTime) {
    out.extend_from_slice(match phase {
        Phase::Begin => br#"{"phase":"begin","timestamp":""#,
        Phase::End => br#"{"phase":"end","timestamp":""#,
        Phase::Event => br#"{"phase":"event","timestamp":""#,
    });
    push_timestamp(out, now);
    out.push(b'"');
}

/// Appends the fields that the begin line and the end line of a call share.
pub(crate) fn push_call(out: &mut Vec<u8>, id: CallId, begin: &Begin<'_>) {
    out.extend_from_slice(br#","call":""#);
    id.push(out);
    out.push(b'"');
    text(out, "agent_id", begin.principal.agent.as_str(), NAME_BYTES);
    text(out, "operation", begin.operation.unwrap_or(begin.method), NAME_BYTES);
    optional(out, "server", begin.server, NAME_BYTES);
    optional(out, "target", begin.target, TARGET_BYTES);
    text(out, "revision", begin.revision, NAME_BYTES);
}

/// Appends the other fields of a begin line.
pub(crate) fn push_begin(out: &mut Vec<u8>, begin: &Begin<'_>, kept: ArgumentsKept) {
    let principal = begin.principal;
    word(
        out,
        "agent_source",
        match principal.agent_source {
            AgentSource::Token => "token",
            AgentSource::Launch => "launch",
            AgentSource::Fallback => "fallback",
            AgentSource::Builtin => "builtin",
            AgentSource::Claimed => "claimed",
        },
    );
    optional(out, "user", principal.user.as_ref().map(domain::UserId::as_str), NAME_BYTES);
    optional(out, "token_id", principal.token.as_ref().map(domain::TokenId::as_str), NAME_BYTES);
    text(out, "method", begin.method, NAME_BYTES);
    word(out, "transport", begin.transport.as_str());
    word(out, "era", begin.era.as_str());
    optional(out, "session", begin.session.map(crate::SessionTag::as_str), NAME_BYTES);
    text(out, "guardrails", begin.guardrails, NAME_BYTES);
    if let Some(arguments) = begin.arguments {
        push_arguments(out, arguments, kept);
    }
}

/// Appends the other fields of an end line.
pub(crate) fn push_end(out: &mut Vec<u8>, end: &End<'_>, latency: Duration) {
    word(out, "decision", end.outcome.decision().as_str());
    word(out, "outcome", end.outcome.as_str());
    key(out, "latency_ms");
    push_hundredths_of_ms(out, latency);
    optional(out, "code", end.code, NAME_BYTES);
    optional(out, "rule", end.rule, TARGET_BYTES);
    if let Some(bytes) = end.result_bytes {
        number(out, "result_bytes", bytes);
    }
    details(out, "metadata", end.metadata);
}

/// Appends the fields of an event line.
pub(crate) fn push_event(out: &mut Vec<u8>, event: &Event<'_>) {
    text(out, "event", event.name, NAME_BYTES);
    details(out, "details", event.details);
}

fn details(out: &mut Vec<u8>, name: &'static str, details: &[(&str, Detail<'_>)]) {
    key(out, name);
    out.push(b'{');
    for (index, (name, detail)) in details.iter().take(MAX_DETAILS).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_text(out, name, NAME_BYTES);
        out.push(b':');
        match detail {
            Detail::Text(text) => push_text(out, text, TARGET_BYTES),
            Detail::Number(number) => push_decimal(out, *number),
        }
    }
    out.push(b'}');
}

fn key(out: &mut Vec<u8>, name: &'static str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a field whose value is a word of our own.
fn word(out: &mut Vec<u8>, name: &'static str, value: &'static str) {
    key(out, name);
    out.push(b'"');
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, name: &'static str, value: &str, max_bytes: usize) {
    key(out, name);
    push_text(out, value, max_bytes);
}

fn optional(out: &mut Vec<u8>, name: &'static str, value: Option<&str>, max_bytes: usize) {
    if let Some(value) = value {
        text(out, name, value, max_bytes);
    }
}

fn number(out: &mut Vec<u8>, name: &'static str, value: u64) {
    key(out, name);
    push_decimal(out, value);
}

/// Appends `now` as RFC 3339 in UTC with microseconds, for example `2026-11-21T02:04:16.000123+00:00`.
fn push_timestamp(out: &mut Vec<u8>, now: SystemTime) {
    let now = OffsetDateTime::from(now);
    padded::<4>(out, now.year().unsigned_abs());
    out.push(b'-');
    padded::<2>(out, u8::from(now.month()).into());
    out.push(b'-');
    padded::<2>(out, now.day().into());
    out.push(b'T');
    padded::<2>(out, now.hour().into());
    out.push(b':');
    padded::<2>(out, now.minute().into());
    out.push(b':');
    padded::<2>(out, now.second().into());
    out.push(b'.');
    padded::<6>(out, now.microsecond());
    out.extend_from_slice(b"+00:00");
}

fn padded<const DIGITS: usize>(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Appends `latency` in milliseconds with two decimals, rounded half up.
fn push_hundredths_of_ms(out: &mut Vec<u8>, latency: Duration) {
    let hundredths = (latency.as_micros() + 5) / 10;
    let hundredths = u64::try_from(hundredths).unwrap_or(u64::MAX);
    push_decimal(out, hundredths / 100);
    out.push(b'.');
    padded::<2>(out, (hundredths % 100) as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_are_utc_with_microseconds() {
        let leap_day = SystemTime::UNIX_EPOCH + Duration::from_micros(1_709_164_800_000_042);
        assert_eq!(written(|out| push_timestamp(out, leap_day)), "2024-02-29T00:00:00.000042+00:00");
    }

    #[test]
    fn latency_has_two_decimals() {
        for (micros, text) in
            [(0, "0.00"), (4, "0.00"), (5, "0.01"), (12_345, "12.35"), (1_000_000, "1000.00")]
        {
            assert_eq!(written(|out| push_hundredths_of_ms(out, Duration::from_micros(micros))), text);
        }
    }

    #[test]
    fn details_are_bounded() {
        let many = [("k", Detail::Number(1)); 40];
        let line = written(|out| details(out, "details", &many));
        assert_eq!(line.matches("\"k\"").count(), MAX_DETAILS);
    }
}

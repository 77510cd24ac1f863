//! Reads each argument under its own name, so that one of the wrong kind is told by that name and in words for whoever
//! wrote it, and not in those of a parser. What an argument is for is in `definitions.rs`.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use super::Detail;

const TEXT: &str = "text";

pub(super) fn agent_id<'de, D: Deserializer<'de>>(given: D) -> Result<Option<String>, D::Error> {
    named(given, "agent_id", TEXT)
}

pub(super) fn server<'de, D: Deserializer<'de>>(given: D) -> Result<String, D::Error> {
    named(given, "server", TEXT)
}

pub(super) fn only_server<'de, D: Deserializer<'de>>(given: D) -> Result<Option<String>, D::Error> {
    named(given, "server", TEXT)
}

pub(super) fn tool<'de, D: Deserializer<'de>>(given: D) -> Result<String, D::Error> {
    named(given, "tool", TEXT)
}

pub(super) fn names<'de, D: Deserializer<'de>>(given: D) -> Result<Option<String>, D::Error> {
    named(given, "names", "text: names of tools with commas between them")
}

pub(super) fn pattern<'de, D: Deserializer<'de>>(given: D) -> Result<Option<String>, D::Error> {
    named(given, "pattern", TEXT)
}

pub(super) fn query<'de, D: Deserializer<'de>>(given: D) -> Result<String, D::Error> {
    named(given, "query", TEXT)
}

pub(super) fn include_metadata<'de, D: Deserializer<'de>>(given: D) -> Result<bool, D::Error> {
    named(given, "include_metadata", "true or false")
}

pub(super) fn max_schema_tokens<'de, D: Deserializer<'de>>(given: D) -> Result<Option<i64>, D::Error> {
    named(given, "max_schema_tokens", "a whole number of tokens")
}

pub(super) fn timeout_ms<'de, D: Deserializer<'de>>(given: D) -> Result<Option<u64>, D::Error> {
    named(given, "timeout_ms", "a whole number of milliseconds, 0 or more")
}

pub(super) fn limit<'de, D: Deserializer<'de>>(given: D) -> Result<Option<usize>, D::Error> {
    named(given, "limit", "a whole number of tools, from 1 to 50")
}

pub(super) fn detail<'de, D: Deserializer<'de>>(given: D) -> Result<Detail, D::Error> {
    named(given, "detail", "`compact` or `full`")
}

fn named<'de, D, T>(given: D, name: &str, kind: &str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let json = <&RawValue>::deserialize(given)?;
    serde_json::from_str(json.get()).map_err(|_| D::Error::custom(format_args!("`{name}` must be {kind}")))
}

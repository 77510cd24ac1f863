//! Which calls are shown. Patterns are those of the rules: `*`, `?`, `[seq]`; case counts.

use clap::{Args, builder::PossibleValuesParser};
use policy::Pattern;
use time::OffsetDateTime;

use super::{
    entry::{Entry, RUNNING, UNFINISHED},
    moment,
};

/// The options that choose calls. Each one given must fit; of an option given several times, one value must.
#[derive(Debug, Clone, Args)]
pub(super) struct Filter {
    /// Calls of this agent; `*` and `?` stand for anything. May be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    agent: Vec<Pattern>,
    /// Calls to this server
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    server: Vec<Pattern>,
    /// Calls of this tool, prompt or URI
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    tool: Vec<Pattern>,
    /// Calls of this operation, for example execute_tool or tools/list
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    operation: Vec<Pattern>,
    /// Calls that ended like this; may be repeated
    #[arg(long, value_name = "OUTCOME", value_parser = outcomes())]
    outcome: Vec<String>,
    /// Calls refused or failed with this code
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    code: Vec<Pattern>,
    /// Calls from then on: 15m, 2h, 1d ago, or an RFC 3339 time
    #[arg(long, value_name = "TIME", value_parser = moment::parse_from_now)]
    since: Option<OffsetDateTime>,
    /// Calls until then
    #[arg(long, value_name = "TIME", value_parser = moment::parse_from_now)]
    until: Option<OffsetDateTime>,
}

// === impl Filter ===

impl Filter {
    /// Tells whether a call is shown.
    pub(super) fn fits(&self, entry: &Entry) -> bool {
        let is_outcome = self.outcome.is_empty() || self.outcome.contains(&entry.outcome);
        is_outcome
            && any_fits(&self.code, entry.code.as_deref())
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time <= until)
            && any_fits(&self.agent, Some(&entry.agent))
            && any_fits(&self.server, entry.server.as_deref())
            && any_fits(&self.tool, entry.target.as_deref())
            && any_fits(&self.operation, Some(&entry.operation))
    }
}

fn any_fits(patterns: &[Pattern], text: Option<&str>) -> bool {
    let Some(text) = text else { return patterns.is_empty() };
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    if text.is_empty() { Err("an empty pattern fits nothing".to_owned()) } else { Ok(Pattern::new(text)) }
}

fn outcomes() -> PossibleValuesParser {
    let ended = audit::Outcome::ALL.into_iter().map(audit::Outcome::as_str);
    PossibleValuesParser::new(ended.chain([RUNNING, UNFINISHED]))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{super::entry::Line, *};

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        filter: Filter,
    }

    fn fits(arguments: &str) -> bool {
        let line = br#"{"phase":"end","timestamp":"2026-11-21T02:04:16+00:00","call":"c","agent_id":"ci-7",
            "operation":"execute_tool","server":"git","target":"commit_all","outcome":"denied","code":"DENIED_BY_POLICY"}"#;
        let Some(Line::End(entry)) = Line::read(line) else { panic!("a line") };
        let typed = Typed::try_parse_from(["x"].into_iter().chain(arguments.split_whitespace()));
        typed.unwrap_or_else(|error| panic!("{error}")).filter.fits(&entry)
    }

    #[test]
    fn each_option_narrows_and_repetition_widens() {
        for (arguments, expected) in [
            ("", true),
            ("--agent ci-*", true),
            ("--agent ci", false),
            ("--agent ci --agent *7", true),
            ("--server g?t --tool commit_*", true),
            ("--server git --tool push", false),
            ("--operation execute_tool --code DENIED_*", true),
            ("--code TIMEOUT", false),
            ("--outcome ok", false),
            ("--outcome ok --outcome denied", true),
            ("--since 2026-11-21T02:04:16Z --until 2026-11-21T02:04:16Z", true),
            ("--since 2026-11-21T02:04:17Z", false),
            ("--until 2026-11-21T02:04:15Z", false),
        ] {
            assert_eq!(fits(arguments), expected, "{arguments}");
        }
        assert!(Typed::try_parse_from(["x", "--outcome", "okay"]).is_err());
        assert!(Typed::try_parse_from(["x", "--agent", ""]).is_err());
    }
}

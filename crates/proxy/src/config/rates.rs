//! Rate limits as written: which calls are counted, how many may pass in which time, and which of them share a counter.
//! Checked here; counted in `rates`.

use std::{borrow::Cow, time::Duration};

use domain::ConfigFault;
use policy::Pattern;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, de::IgnoredAny};

use crate::rates::{Part, RateLimitRule, Selection};

/// Rules in one configuration: each is compared with every call.
pub const MAX_RATE_LIMITS: usize = 256;
/// Most calls per window; each is remembered for the window, in eight bytes.
pub const MAX_RATE_LIMIT_CALLS: u32 = 100_000;
/// Longest window: one day.
pub const MAX_RATE_LIMIT_WINDOW: Duration = Duration::from_secs(86_400);
/// Patterns in one list of a rule.
const MAX_PATTERNS: usize = 64;
/// Longest pattern in bytes: as long as a name can be.
const MAX_PATTERN_BYTES: usize = 256;

/// One entry of `rate_limits`: at most so many calls in any stretch of the given length.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitConfig {
    /// Agents whose calls are counted: a glob with `*`, `?` and `[...]`, or a list of them. Default: `*`, every agent.
    #[serde(default)]
    #[schemars(example = &"*")]
    pub agents: Globs,
    /// Servers to which calls are counted: a glob, or a list of them. Default: `*`, every server.
    #[serde(default)]
    #[schemars(example = &"github")]
    pub servers: Globs,
    /// Tools of which calls are counted, by the names their servers give them: a glob, or a list of them.
    /// Default: `*`, every tool.
    #[serde(default)]
    #[schemars(example = tools_example())]
    pub tools: Globs,
    /// Calls that may pass in any stretch of the length `per`, from 1 to 100000.
    #[schemars(range(min = 1, max = 100_000), example = 60)]
    pub calls: u32,
    /// Length of the stretch: `second`, `minute`, `hour`, `day`, or a number with `s`, `m`, `h` or `d`; at most one
    /// day.
    #[schemars(example = &"minute")]
    pub per: String,
    /// What gets a counter of its own: each `agent`, each `server`, each `tool` of a server. An empty list makes one
    /// counter for all calls. Default: `[agent]`.
    #[serde(default = "each_agent")]
    #[schemars(example = each_example())]
    pub each: Vec<Each>,
}

/// One glob or a list of globs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Globs {
    /// `"*"`
    One(String),
    /// `[github, "git*"]`
    Many(Vec<String>),
    /// Something else; kept so that the fault is named at its place with all others.
    Other(IgnoredAny),
}

/// What gets a counter of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    /// Each agent.
    Agent,
    /// Each server.
    Server,
    /// Each tool; tools of the same name on two servers are two tools.
    Tool,
}

// === impl RateLimitConfig ===

impl RateLimitConfig {
    /// Checks the whole list.
    ///
    /// # Errors
    /// Every fault, with paths that start at the list: `0.per`.
    pub fn build_all(entries: &[Self]) -> Result<Vec<RateLimitRule>, Vec<ConfigFault>> {
        if entries.len() > MAX_RATE_LIMITS {
            return Err(vec![ConfigFault::new(&[], format!("more than {MAX_RATE_LIMITS} rate limits"))]);
        }
        let mut faults = Vec::new();
        let mut rules = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match entry.build(&index.to_string()) {
                Ok(rule) => rules.push(rule),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(rules) } else { Err(faults) }
    }

    fn build(&self, index: &str) -> Result<RateLimitRule, Vec<ConfigFault>> {
        let mut faults = Vec::new();
        let mut globs = |key: &str, globs: &Globs| patterns(index, key, globs, &mut faults);
        let selection = Selection {
            agents: globs("agents", &self.agents),
            servers: globs("servers", &self.servers),
            tools: globs("tools", &self.tools),
            each: self.parts(),
        };
        if !(1..=MAX_RATE_LIMIT_CALLS).contains(&self.calls) {
            let problem = format!("{} is not within 1 and {MAX_RATE_LIMIT_CALLS}", self.calls);
            faults.push(ConfigFault::new(&[index, "calls"], problem).with_help("write for example `60`"));
        }
        match window(&self.per) {
            Some(window) if faults.is_empty() => Ok(RateLimitRule::new(selection, self.calls, window)),
            Some(_) => Err(faults),
            None => {
                let problem = format!("`{}` is not a time from 1 s to 1 day", self.per.escape_debug());
                let help = "write `second`, `minute`, `hour`, or for example `10s`";
                faults.push(ConfigFault::new(&[index, "per"], problem).with_help(help));
                Err(faults)
            }
        }
    }

    /// Returns what tells counters apart, in order and each once. A tool is a tool of its server.
    fn parts(&self) -> Vec<Part> {
        let rows = [
            (Part::Agent, self.each.contains(&Each::Agent)),
            (Part::Server, self.each.contains(&Each::Server) || self.each.contains(&Each::Tool)),
            (Part::Tool, self.each.contains(&Each::Tool)),
        ];
        rows.into_iter().filter_map(|(part, counts_alone)| counts_alone.then_some(part)).collect()
    }
}

/// Reads a word or a whole number with its unit.
fn window(text: &str) -> Option<Duration> {
    let seconds = match text {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        other => seconds(other)?,
    };
    let window = Duration::from_secs(seconds);
    (seconds > 0 && window <= MAX_RATE_LIMIT_WINDOW).then_some(window)
}

fn seconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn patterns(index: &str, key: &str, globs: &Globs, faults: &mut Vec<ConfigFault>) -> Vec<Pattern> {
    const HELP: &str = "write a glob of 1 to 256 bytes such as `\"git*\"`, or a list of them";
    let texts = match globs {
        Globs::One(text) => std::slice::from_ref(text),
        Globs::Many(texts) => texts,
        Globs::Other(_) => &[],
    };
    if texts.is_empty() {
        faults.push(ConfigFault::new(&[index, key], "no glob, so nothing would be counted").with_help(HELP));
    }
    if texts.len() > MAX_PATTERNS {
        faults.push(ConfigFault::new(&[index, key], format!("more than {MAX_PATTERNS} globs")));
    }
    if let Some(at) = texts.iter().position(|text| text.is_empty() || text.len() > MAX_PATTERN_BYTES) {
        let at = at.to_string();
        let path = match globs {
            Globs::One(_) | Globs::Other(_) => &[index, key][..],
            Globs::Many(_) => &[index, key, &at],
        };
        faults.push(ConfigFault::new(path, "not a glob").with_help(HELP));
    }
    texts.iter().map(|text| Pattern::new(text)).collect()
}

// === impl Globs ===

impl Default for Globs {
    fn default() -> Self {
        Self::One("*".to_owned())
    }
}

impl JsonSchema for Globs {
    fn schema_name() -> Cow<'static, str> {
        "Globs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One glob or a list of globs.",
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
            ],
        })
    }
}

fn each_agent() -> Vec<Each> {
    vec![Each::Agent]
}

const fn tools_example() -> [&'static str; 2] {
    ["delete_*", "create_*"]
}

const fn each_example() -> [&'static str; 2] {
    ["agent", "tool"]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn build(list: serde_json::Value) -> Result<Vec<RateLimitRule>, Vec<String>> {
        let entries: Vec<RateLimitConfig> = serde_json::from_value(list).expect("the right kinds of values");
        RateLimitConfig::build_all(&entries).map_err(|faults| {
            faults.iter().map(|fault| format!("{}: {}", fault.path().join("."), fault.problem())).collect()
        })
    }

    #[test]
    fn a_short_rule_counts_each_agent_over_everything() {
        let short = build(json!([{"calls": 10, "per": "minute"}])).expect("a rule");
        let long = json!([{
            "agents": "*", "servers": ["*"], "tools": "*", "calls": 10, "per": "60s", "each": ["agent"],
        }]);
        assert_eq!(short, build(long).expect("the same rule"));
        assert_eq!((short[0].calls(), short[0].window()), (10, Duration::from_secs(60)));
    }

    #[test]
    fn a_tool_is_a_tool_of_its_server() {
        let of = |each: serde_json::Value| {
            build(json!([{"calls": 1, "per": "1d", "each": each}])).expect("a rule")
        };
        assert_eq!(of(json!(["tool", "agent", "tool"])), of(json!(["agent", "server", "tool"])));
        assert_ne!(of(json!([])), of(json!(["agent"])));
    }

    #[test]
    fn windows_are_words_or_numbers_with_a_unit() {
        let rows = [
            ("second", Some(1)),
            ("hour", Some(3_600)),
            ("day", Some(86_400)),
            ("10s", Some(10)),
            ("5 m", Some(300)),
            ("24h", Some(86_400)),
            ("1d", Some(86_400)),
            ("0s", None),
            ("25h", None),
            ("10", None),
            ("10ms", None),
            ("-1s", None),
            ("s", None),
            ("", None),
            ("1.5h", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ];
        for (text, expected) in rows {
            assert_eq!(window(text), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn every_fault_is_named_at_its_place() {
        let faults = build(json!([
            {"calls": 1, "per": "minute"},
            {"agents": [], "servers": ["a", ""], "tools": "", "calls": 0, "per": "week"},
            {"agents": 3, "calls": 100_001, "per": "minute"},
        ]));
        assert_eq!(
            faults.expect_err("faults"),
            [
                "1.agents: no glob, so nothing would be counted",
                "1.servers.1: not a glob",
                "1.tools: not a glob",
                "1.calls: 0 is not within 1 and 100000",
                "1.per: `week` is not a time from 1 s to 1 day",
                "2.agents: no glob, so nothing would be counted",
                "2.calls: 100001 is not within 1 and 100000",
            ]
        );
        let many = vec![json!({"calls": 1, "per": "minute"}); MAX_RATE_LIMITS + 1];
        assert_eq!(build(many.into()).expect_err("too many"), [": more than 256 rate limits"]);
        let unknown = json!({"calls": 1, "per": "minute", "agent": "a"});
        assert!(serde_json::from_value::<RateLimitConfig>(unknown).is_err());
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Page {
        version: u32,
        rate_limits: Vec<RateLimitConfig>,
    }

    #[test]
    fn the_example_of_the_page_is_sound() {
        let page = include_str!("../../../../docs/rate-limits.md");
        let example =
            page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let Page { version, rate_limits } =
            serde_saphyr::from_str(example).expect("the right kinds of values");
        let rules = RateLimitConfig::build_all(&rate_limits).expect("rules without a fault");
        let limits: Vec<_> = rules.iter().map(|rule| (rule.calls(), rule.window().as_secs())).collect();
        assert_eq!((version, limits), (1, vec![(60, 60), (10, 10), (1_000, 86_400)]));
        assert_eq!(rate_limits[1].each, [Each::Agent, Each::Tool]);
        assert_eq!(rate_limits[2].each, []);
    }
}

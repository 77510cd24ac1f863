//! What holds for all rules: denials only take away, the strict reading allows nothing that the peer denies, what is
//! seen is what may be used, and nothing panics.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use catalog::{Seen, Sight};
use domain::{AgentId, AgentSource, Principal, ServerId, ServerScope, ToolName};
use policy::{
    Pattern, Policy, Reading, Rules, peer_validation,
    rules::{read, read_shape},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

const READINGS: [Reading; 3] = [Reading::Strict, Reading::AgentMcpGateway, Reading::Own];
const SERVERS: [&str; 8] = ["db", "db1", "web", "*", "d*", "d?", "db[12]", "web "];
const TOOLS: [&str; 10] =
    ["get", "get_a", "drop_a", "get_*", "*", "*_a", "drop_?", "get_[ab]", "drop_a ", "*e*"];
const ASKED_SERVERS: [&str; 6] = ["db", "db1", "web", "web ", "other", "d*"];
const ASKED_TOOLS: [&str; 7] = ["get", "get_a", "drop_a", "drop_a\n", "other", "get_[ab]", ""];

fn half() -> impl Strategy<Value = Value> {
    let servers = option::of(vec(select(&SERVERS[..]), 0..4));
    let lists = vec((select(&SERVERS[..]), vec(select(&TOOLS[..]), 0..4)), 0..4);
    (servers, option::of(lists)).prop_map(|(servers, lists)| {
        let mut half = Map::new();
        if let Some(servers) = servers {
            half.insert("servers".into(), json!(servers));
        }
        if let Some(lists) = lists {
            let tools: Map<_, _> = lists.into_iter().map(|(key, list)| (key.into(), json!(list))).collect();
            half.insert("tools".into(), tools.into());
        }
        half.into()
    })
}

fn rules() -> impl Strategy<Value = Value> {
    let agent = (option::of(half()), option::of(half())).prop_map(|(allow, deny)| {
        let halves = [("allow", allow), ("deny", deny)];
        let halves = halves.into_iter().filter_map(|(name, half)| Some((name.to_owned(), half?)));
        Value::Object(halves.collect())
    });
    (vec((select(&["a", "b", "default"][..]), agent), 0..3), option::of(any::<bool>())).prop_map(
        |(agents, denies)| {
            let agents: Map<_, _> = agents.into_iter().map(|(id, agent)| (id.into(), agent)).collect();
            let mut rules = json!({"agents": agents});
            if let Some(denies) = denies {
                rules["defaults"] = json!({"deny_on_missing_agent": denies});
            }
            rules
        },
    )
}

/// Any JSON, with our keys among the others.
fn anything() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        select(&["agents", "defaults", "deny_on_missing_agent", "allow", "deny", "servers", "tools"][..])
            .prop_map(str::to_owned),
        ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn build(rules: &Value, reading: Reading) -> Rules {
    Rules::build(&read_shape(rules, reading).unwrap(), reading).unwrap().rules
}

/// Calls `look` with every question worth asking.
fn ask(mut look: impl FnMut(&str, &str, Option<&str>)) {
    for agent in ["a", "b", "default", "ghost"] {
        for server in ASKED_SERVERS {
            look(agent, server, None);
            ASKED_TOOLS.iter().for_each(|tool| look(agent, server, Some(tool)));
        }
    }
}

/// Adds a denial of a server, or of a tool, to agent `a`.
fn with_denial(rules: &Value, server: &str, tool: Option<&str>) -> Value {
    let mut rules = rules.clone();
    let deny = &mut rules["agents"]["a"]["deny"];
    let list = match tool {
        None => &mut deny["servers"],
        Some(_) => &mut deny["tools"][server],
    };
    let mut entries = list.as_array().cloned().unwrap_or_default();
    entries.push(tool.unwrap_or(server).into());
    *list = entries.into();
    rules
}

fn claimed(agent: &str) -> Principal {
    Principal {
        agent: AgentId::new(agent).unwrap(),
        agent_source: AgentSource::Claimed,
        user: None,
        roles: Vec::new(),
        token: None,
        servers: ServerScope::All,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn strict_rules_allow_nothing_that_the_peer_denies(rules in rules()) {
        let (strict, peer) = (build(&rules, Reading::Strict), build(&rules, Reading::AgentMcpGateway));
        ask(|agent, server, tool| {
            let (ours, theirs) = (strict.judge(agent, server, tool), peer.judge(agent, server, tool));
            assert!(!ours.allowed || theirs.allowed, "{agent} {server} {tool:?}: {ours:?}, {theirs:?}");
        });
    }

    #[test]
    fn one_more_denial_never_allows_more(
        mut rules in rules(),
        server in select(&SERVERS[..]),
        tool in option::of(select(&TOOLS[..])),
    ) {
        if !rules["agents"]["a"].is_object() {
            rules["agents"]["a"] = json!({});
        }
        let denying = with_denial(&rules, server, tool);
        for reading in READINGS {
            let (before, after) = (build(&rules, reading), build(&denying, reading));
            ask(|agent, server, tool| {
                let (before, after) = (before.judge(agent, server, tool), after.judge(agent, server, tool));
                assert!(!after.allowed || before.allowed, "{agent} {server} {tool:?}: {before:?}, {after:?}");
            });
        }
    }

    #[test]
    fn every_verdict_names_its_rule_and_its_reason(rules in rules()) {
        for reading in READINGS {
            let rules = build(&rules, reading);
            ask(|agent, server, tool| {
                let verdict = rules.judge(agent, server, tool);
                assert_eq!(verdict.allowed, verdict.step.allows());
                assert!(!verdict.rule.is_empty() && !verdict.reason.is_empty());
                assert!(!verdict.allowed || tool.is_none() || rules.judge(agent, server, None).allowed);
            });
        }
    }

    #[test]
    fn what_is_seen_is_what_may_be_used(rules in rules()) {
        let configured: Vec<ServerId> = ["web", "db1", "db", "web "].map(|id| ServerId::new(id).unwrap()).into();
        let tools = ["get", "get_a", "drop_a", "other"].map(|name| ToolName::new(name).unwrap());
        for reading in READINGS {
            let policy = Policy::with_rules(build(&rules, reading));
            for principal in ["a", "b", "ghost"].map(claimed) {
                let sight = policy.sight(&principal);
                for server in &configured {
                    let seen = sight.of_server(server);
                    prop_assert_eq!(seen != Seen::Nothing, policy.may_see(&principal, server).is_ok());
                    for tool in &tools {
                        let allowed = policy.judge(&principal, server.as_str(), Some(tool.as_str())).allowed;
                        prop_assert_eq!(sight.sees_tool(server, tool), allowed);
                        prop_assert!(seen != Seen::Everything || allowed);
                        prop_assert!(seen != Seen::Nothing || !allowed);
                    }
                }
            }
        }
    }

    #[test]
    fn the_servers_shown_are_the_servers_granted(rules in rules()) {
        let configured: Vec<ServerId> = ["web", "db1", "db", "web "].map(|id| ServerId::new(id).unwrap()).into();
        for reading in [Reading::Strict, Reading::Own] {
            let policy = Policy::with_rules(build(&rules, reading));
            for principal in ["a", "b", "ghost"].map(claimed) {
                let mut shown = policy.servers_in_order(&principal, &configured);
                shown.sort_by_key(|server| configured.iter().position(|known| known == *server));
                let granted = configured.iter().filter(|server| policy.may_see(&principal, server).is_ok());
                prop_assert_eq!(shown, granted.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn explaining_agrees_with_judging(rules in rules()) {
        for reading in READINGS {
            let rules = build(&rules, reading);
            for agent in ["a", "ghost"] {
                let explanation = rules.explain(agent);
                assert_eq!(explanation.has_rules, rules.has_agent(agent));
                for server in &explanation.servers {
                    assert_eq!(server.verdict, rules.judge(agent, &server.server, None));
                }
            }
        }
    }

    #[test]
    fn reading_anything_gives_rules_or_faults(value in anything()) {
        let peer = peer_validation::gateway_rules(&value);
        for reading in READINGS {
            let Ok(config) = read(&value, reading) else { continue };
            let built = Rules::build(&config, reading).unwrap();
            built.rules.unknown_servers(&[]);
            ask(|agent, server, tool| _ = built.rules.judge(agent, server, tool));
            prop_assert!(reading != Reading::AgentMcpGateway || peer.is_ok());
        }
    }

    #[test]
    fn what_the_peer_accepts_is_read(rules in rules()) {
        if peer_validation::gateway_rules(&rules).is_err() {
            return Ok(());
        }
        for reading in READINGS {
            prop_assert!(read(&rules, reading).is_ok());
        }
    }

    #[test]
    fn patterns_match_as_the_naive_reference(pattern in "[ab!*?\\[\\]^-]{0,8}", text in "[ab!\\[\\]^\n-]{0,6}") {
        let (characters, letters): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        prop_assert_eq!(Pattern::new(&pattern).matches(&text), naive(&characters, &letters));
    }

    #[test]
    fn any_text_is_a_pattern(pattern in ".{0,12}", text in ".{0,12}") {
        Pattern::new(&pattern).matches(&text);
    }
}

/// Tries every way, for patterns and texts that are short.
fn naive(pattern: &[char], text: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        '*' => (0..=text.len()).any(|skipped| naive(rest, &text[skipped..])),
        '?' => !text.is_empty() && naive(rest, &text[1..]),
        '[' => {
            let first_closing = if rest.first() == Some(&'!') { 2 } else { 1 };
            let closing = (first_closing..rest.len()).find(|&at| rest[at] == ']');
            match closing {
                Some(at) => {
                    !text.is_empty() && in_set(&rest[..at], text[0]) && naive(&rest[at + 1..], &text[1..])
                }
                None => text.first() == Some(&'[') && naive(rest, &text[1..]),
            }
        }
        other => text.first() == Some(other) && naive(rest, &text[1..]),
    }
}

fn in_set(set: &[char], letter: char) -> bool {
    match set {
        ['!', members @ ..] => !in_members(members, letter),
        members => in_members(members, letter),
    }
}

fn in_members(members: &[char], letter: char) -> bool {
    match members {
        [] => false,
        [low, '-', high, rest @ ..] => (*low <= letter && letter <= *high) || in_members(rest, letter),
        [one, rest @ ..] => *one == letter || in_members(rest, letter),
    }
}

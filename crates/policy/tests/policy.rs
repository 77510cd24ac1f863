//! The policy as the gateway asks it: grants of tokens, callers without a name, permits, what is listed and where.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use bytes::Bytes;
use catalog::{Catalog, Listing, Naming, Route, Seen, Sight, View};
use domain::{AgentId, AgentSource, Principal, ServerId, ServerScope, Subject, Target, TokenId, ToolName};
use guardrails::Guardrails;
use policy::{About, NoAgent, Policy, Reading, Rules, Step, rules::read};
use protocol::{Routing, Version};
use serde_json::{Value, json};

const ADVICE: &str = "Either provide 'agent_id' in your tool calls, or ask the user to configure the gateway fallback \
    settings. See gateway documentation for configuration options.";

fn policy(rules: &Value, reading: Reading) -> Policy {
    Policy::with_rules(Rules::build(&read(rules, reading).unwrap(), reading).unwrap().rules)
}

fn principal(agent: &str, agent_source: AgentSource) -> Principal {
    Principal {
        agent: AgentId::new(agent).unwrap(),
        agent_source,
        user: None,
        roles: Vec::new(),
        token: None,
        servers: ServerScope::All,
    }
}

fn ids(names: &[&str]) -> Vec<ServerId> {
    names.iter().map(|&name| ServerId::new(name).unwrap()).collect()
}

/// The route to a tool, from a catalog that lists it.
fn route(server: &str, tool: &str) -> Route {
    let mut listing = Listing::empty(Version::V2025_11_25, Bytes::from_static(b"{\"tools\":{}}"));
    listing.tools.push(json!({"name": tool, "inputSchema": {"type": "object"}}).to_string().into());
    let id = ServerId::new(server).unwrap();
    let subject = Subject { server: id.clone(), target: Target::Server };
    let listing = Guardrails::none().screen_arguments(&subject, listing).unwrap();
    let catalog = Catalog::build(Naming::default(), [(&id, &listing)]);
    catalog.route(&View::Server(id), Routing::Tool, tool, &ServerScope::All).unwrap()
}

fn backend() -> Value {
    json!({"agents": {
        "backend": {
            "allow": {"servers": ["postgres", "web"], "tools": {"postgres": ["query", "list_*"]}},
            "deny": {"tools": {"postgres": ["list_secrets"]}},
        },
        "default": {"allow": {"servers": ["web"]}},
    }})
}

#[test]
fn permits_are_given_for_what_is_allowed_and_denials_name_rule_and_rung() {
    let policy = policy(&backend(), Reading::Strict);
    let caller = principal("backend", AgentSource::Claimed);
    let permit = policy.authorize(&caller, route("postgres", "query")).unwrap();
    assert_eq!(permit.subject().server.as_str(), "postgres");
    assert!(policy.authorize(&caller, route("web", "anything")).is_ok());

    let denied = |server, tool| policy.authorize(&caller, route(server, tool)).unwrap_err();
    let denial = denied("postgres", "drop");
    assert_eq!(denial.to_string(), "denied by agents.backend.allow.tools.postgres");
    assert_eq!((denial.step, denial.about), (Step::ToolNotInAllowList, About::Tool));
    let message = "Agent 'backend' not authorized to call tool 'drop' on server 'postgres'";
    assert_eq!(denial.message("backend", "postgres", "drop"), message);
    assert_eq!(denied("postgres", "list_secrets").rule, "agents.backend.deny.tools.postgres[0]");

    let denial = denied("mail", "send");
    assert_eq!((denial.step, denial.about), (Step::ServerNotAllowed, About::Server));
    assert_eq!(denial.message("backend", "mail", "send"), "Agent 'backend' cannot access server 'mail'");
}

#[test]
fn a_tokens_grant_comes_before_the_rules() {
    let mut caller = principal("backend", AgentSource::Token);
    caller.token = Some(TokenId::new("t1").unwrap());
    caller.servers = ServerScope::Only(BTreeSet::from_iter(ids(&["web"])));
    for policy in [Policy::grants_only(), policy(&backend(), Reading::Strict)] {
        let verdict = policy.judge(&caller, "postgres", Some("query"));
        assert_eq!((verdict.allowed, verdict.step), (false, Step::TokenGrant));
        assert_eq!(verdict.rule, "tokens.t1.servers");
        assert_eq!(policy.may_see(&caller, &ids(&["postgres"])[0]).unwrap_err().rule, "tokens.t1.servers");
        assert!(policy.judge(&caller, "web", Some("open")).allowed);
        assert_eq!(policy.servers_in_order(&caller, &ids(&["postgres", "web"])), [&ids(&["web"])[0]]);
        assert_eq!(policy.sight(&caller).of_server(&ids(&["postgres"])[0]), Seen::Nothing);
    }
}

#[test]
fn without_rules_everything_is_allowed_and_no_rule_is_named() {
    let verdict = Policy::grants_only().judge(&principal("any", AgentSource::Builtin), "db", Some("t"));
    assert!(verdict.allowed);
    assert_eq!((verdict.rule.as_str(), verdict.step.as_str()), ("", "no_rules"));
    assert_eq!(Policy::grants_only().require_agent(&principal("any", AgentSource::Builtin)), Ok(()));
}

#[test]
fn callers_without_a_name_meet_the_identity_chain() {
    use AgentSource::{Builtin, Claimed, Fallback, Launch, Token};
    let rules = |denies: bool, agents: &[&str]| {
        let agents: Value =
            agents.iter().map(|&id| (id.to_owned(), json!({"allow": {"servers": ["*"]}}))).collect();
        json!({"agents": agents, "defaults": {"deny_on_missing_agent": denies}})
    };
    let not_in_rules = |agent| NoAgent::FallbackNotInRules { agent: AgentId::new(agent).unwrap() };
    let table = [
        (true, "default", Builtin, Err(NoAgent::Missing)),
        (true, "known", Fallback, Err(NoAgent::Missing)),
        (true, "known", Launch, Ok(())),
        (true, "ghost", Launch, Err(not_in_rules("ghost"))),
        (true, "ghost", Claimed, Ok(())),
        (true, "ghost", Token, Ok(())),
        (false, "default", Builtin, Ok(())),
        (false, "other", Builtin, Err(NoAgent::NoFallback)),
        (false, "known", Fallback, Ok(())),
        (false, "ghost", Fallback, Err(not_in_rules("ghost"))),
        (false, "ghost", Launch, Err(not_in_rules("ghost"))),
        (false, "ghost", Claimed, Ok(())),
    ];
    for reading in [Reading::Strict, Reading::AgentMcpGateway, Reading::Own] {
        for (denies, agent, source, expected) in &table {
            let policy = policy(&rules(*denies, &["known", "default"]), reading);
            let caller = principal(agent, *source);
            assert_eq!(policy.require_agent(&caller), *expected, "{denies} {agent} {source:?}");
            if expected.is_err() {
                let verdict = policy.judge(&caller, "db", Some("t"));
                assert!(!verdict.allowed, "{denies} {agent} {source:?}");
                assert_eq!(verdict.rule, "defaults.deny_on_missing_agent");
                assert_eq!(policy.sight(&caller).of_server(&ids(&["db"])[0]), Seen::Nothing);
                assert!(policy.servers_in_order(&caller, &ids(&["db"])).is_empty());
                assert!(policy.authorize(&caller, route("db", "t")).is_err());
            }
        }
    }
}

#[test]
fn callers_without_a_name_hear_the_peers_words_and_our_codes() {
    let agent = AgentId::new("x").unwrap();
    let table = [
        (
            NoAgent::Missing,
            "INVALID_AGENT_ID",
            "Missing required parameter 'agent_id'. All tool calls must include agent identity.".to_owned(),
        ),
        (
            NoAgent::FallbackNotInRules { agent },
            "FALLBACK_AGENT_NOT_IN_RULES",
            format!(
                "Missing 'agent_id' parameter and fallback agent 'x' is not configured in gateway rules.\n{ADVICE}"
            ),
        ),
        (
            NoAgent::NoFallback,
            "NO_FALLBACK_CONFIGURED",
            format!("Missing 'agent_id' parameter and no fallback agent configured.\n{ADVICE}"),
        ),
    ];
    for (no_agent, code, text) in table {
        assert_eq!((no_agent.code(), no_agent.to_string()), (code, text));
    }
}

#[test]
fn sight_is_everything_only_where_nothing_restricts_the_tools() {
    let rules = json!({"agents": {"a": {
        "allow": {"servers": ["*"], "tools": {"narrow": ["get"], "all": ["get", "*"], "none": []}},
        "deny": {"servers": ["gone"], "tools": {"pruned": ["drop"], "idle": []}},
    }}});
    let table = [
        ("free", Seen::Everything, Seen::Everything),
        ("all", Seen::Everything, Seen::Everything),
        ("idle", Seen::Everything, Seen::Everything),
        ("none", Seen::SomeTools, Seen::Everything),
        ("narrow", Seen::SomeTools, Seen::SomeTools),
        ("pruned", Seen::SomeTools, Seen::SomeTools),
        ("gone", Seen::Nothing, Seen::Nothing),
    ];
    let (strict, peer) = (policy(&rules, Reading::Strict), policy(&rules, Reading::AgentMcpGateway));
    let caller = principal("a", AgentSource::Claimed);
    for (server, ours, theirs) in table {
        let id = ServerId::new(server).unwrap();
        assert_eq!(strict.sight(&caller).of_server(&id), ours, "{server}");
        assert_eq!(peer.sight(&caller).of_server(&id), theirs, "{server}");
    }
    let narrow = ServerId::new("narrow").unwrap();
    assert!(strict.sight(&caller).sees_tool(&narrow, &ToolName::new("get").unwrap()));
    assert!(!strict.sight(&caller).sees_tool(&narrow, &ToolName::new("put").unwrap()));
}

#[test]
fn servers_are_listed_in_the_order_of_the_allow_list_or_of_the_configuration() {
    let table = [
        (json!(["c", "a", "x"]), json!([]), vec!["c", "a"], vec!["c", "a"]),
        (json!(["c", "a", "c"]), json!([]), vec!["c", "a"], vec!["c", "a", "c"]),
        (json!(["*"]), json!([]), vec!["a", "b", "c"], vec!["a", "b", "c"]),
        (json!(["c", "*"]), json!(["b"]), vec!["a", "c"], vec!["a", "b", "c"]),
        (json!(["c", "?"]), json!([]), vec!["c", "a", "b"], vec!["c"]),
        (json!(["c", "a"]), json!(["a"]), vec!["c"], vec!["c"]),
        (json!(["c", "a"]), json!(["[a]"]), vec!["c"], vec!["c"]),
        (json!(["*", "a"]), json!(["*"]), vec![], vec![]),
        (json!([]), json!([]), vec![], vec![]),
    ];
    let configured = ids(&["a", "b", "c"]);
    let caller = principal("x", AgentSource::Claimed);
    for (allow, deny, ours, theirs) in table {
        let rules = json!({"agents": {"x": {"allow": {"servers": allow}, "deny": {"servers": deny}}}});
        for (reading, expected) in
            [(Reading::Strict, &ours), (Reading::Own, &ours), (Reading::AgentMcpGateway, &theirs)]
        {
            let policy = policy(&rules, reading);
            let listed = policy.servers_in_order(&caller, &configured);
            let listed: Vec<&str> = listed.into_iter().map(ServerId::as_str).collect();
            assert_eq!(listed, *expected, "{rules} {reading:?}");
        }
    }
}

#[test]
fn names_longer_than_any_name_are_denied() {
    let policy = policy(&json!({"agents": {"a": {"allow": {"servers": ["*"]}}}}), Reading::Strict);
    let verdict = policy.judge(&principal("a", AgentSource::Claimed), "db", Some(&"x".repeat(4_097)));
    assert_eq!((verdict.allowed, verdict.step), (false, Step::NameTooLong));
}

#[test]
fn servers_that_do_not_exist_are_told_with_what_was_probably_meant() {
    let rules = json!({"agents": {"a": {
        "allow": {"servers": ["postgers", "*"], "tools": {"*": ["get"], "web": []}},
        "deny": {"servers": ["we?"], "tools": {"mail": ["send"]}},
    }}});
    let texts = |reading| {
        let rules = Rules::build(&read(&rules, reading).unwrap(), reading).unwrap().rules;
        let notices = rules.unknown_servers(&ids(&["postgres", "web"]));
        notices.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let allow =
        "Agent \"a\" allow.servers references undefined server \"postgers\" (did you mean \"postgres\"?)";
    let star = "Agent \"a\" allow.tools references undefined server \"*\"";
    let pattern = "Agent \"a\" deny.servers references undefined server \"we?\" (did you mean \"web\"?)";
    let deny = "Agent \"a\" deny.tools references undefined server \"mail\"";
    assert_eq!(texts(Reading::Strict), [allow, deny]);
    assert_eq!(texts(Reading::AgentMcpGateway), [allow, star, pattern, deny]);
}

#[test]
fn an_explanation_names_every_server_and_rule_once() {
    let rules = Rules::build(&read(&backend(), Reading::Strict).unwrap(), Reading::Strict).unwrap().rules;
    let explanation = rules.explain("backend");
    assert!(explanation.has_rules && explanation.notes.is_empty());
    let servers: Vec<_> = explanation.servers.iter().map(|server| server.server.as_str()).collect();
    assert_eq!(servers, ["postgres", "web"]);
    let postgres = &explanation.servers[0];
    assert!(postgres.verdict.allowed && postgres.narrowed);
    assert_eq!(postgres.allowed[1].rule, "agents.backend.allow.tools.postgres[1]");
    assert_eq!(postgres.denied[0].rule, "agents.backend.deny.tools.postgres[0]");
    assert!(!explanation.servers[1].narrowed);

    let ghost = rules.explain("ghost");
    assert!(!ghost.has_rules && ghost.servers.is_empty());
    assert_eq!(ghost.notes, ["Agent 'ghost' not found in rules; default policy denies access"]);
}

#[test]
fn the_published_schema_takes_the_examples_it_shows() {
    let schema = schemars::schema_for!(policy::RulesSection).to_value();
    assert_eq!(schema["additionalProperties"], false);
    let example = json!({"agents": schema["properties"]["agents"]["examples"][0]});
    assert!(read(&example, Reading::Own).is_ok(), "{example}");
}

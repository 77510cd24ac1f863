//! The holes of agent-mcp-gateway, one table each: what its reading allows, and what the strict one makes of it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use policy::{Reading, Rules, Step, rules::read};
use serde_json::{Value, json};

/// What was asked, and what each reading answers.
struct Row(&'static str, Option<&'static str>, bool, bool);

fn build(rules: &Value, reading: Reading) -> policy::Built {
    Rules::build(&read(rules, reading).unwrap(), reading).unwrap()
}

/// Asks for agent `a`: the rows hold server, tool, and whether the peer and we allow it.
fn check(rules: &Value, rows: &[Row]) {
    let (peer, strict) = (build(rules, Reading::AgentMcpGateway), build(rules, Reading::Strict));
    for &Row(server, tool, peer_allows, we_allow) in rows {
        let theirs = peer.rules.judge("a", server, tool);
        let ours = strict.rules.judge("a", server, tool);
        assert_eq!(theirs.allowed, peer_allows, "{server} {tool:?}: {theirs:?}");
        assert_eq!(ours.allowed, we_allow, "{server} {tool:?}: {ours:?}");
    }
}

fn warnings(rules: &Value, reading: Reading) -> String {
    build(rules, reading).warnings.iter().map(|notice| format!("{notice}\n")).collect()
}

fn assert_says(rules: &Value, reading: Reading, words: &str) {
    let warnings = warnings(rules, reading);
    assert!(warnings.contains(words), "{words:?} is not in:\n{warnings}");
}

#[test]
fn an_agent_without_rules_gets_nothing() {
    let rules =
        json!({"agents": {"b": {"allow": {"servers": ["*"]}}}, "defaults": {"deny_on_missing_agent": false}});
    check(&rules, &[Row("db", None, true, false), Row("db", Some("get"), true, false)]);
    assert_says(&rules, Reading::Strict, "Agents without rules get nothing");
    assert_says(&rules, Reading::AgentMcpGateway, "Agents without rules may use every tool of every server");
}

#[test]
fn an_empty_list_of_tools_grants_none() {
    let rules = json!({"agents": {"a": {"allow": {"servers": ["db", "web"], "tools": {"db": []}}}}});
    check(
        &rules,
        &[
            Row("db", None, true, true),
            Row("db", Some("get"), true, false),
            Row("web", Some("get"), true, true),
        ],
    );
    assert_says(&rules, Reading::Strict, "Agent \"a\" allow.tools[\"db\"] is empty, which grants no tool");
    assert_says(&rules, Reading::AgentMcpGateway, "is empty, which grants every tool");
}

#[test]
fn a_denial_under_a_pattern_of_servers_holds_on_all_of_them() {
    let deny = |key: &str| json!({"agents": {"a": {"allow": {"servers": ["*"]}, "deny": {"tools": {key: ["drop_*"]}}}}});
    let rows = [
        Row("db1", Some("drop_x"), true, false),
        Row("db1", Some("get_x"), true, true),
        Row("db1", None, true, true),
    ];
    for key in ["*", "db?", "db[12]", "d*"] {
        check(&deny(key), &rows);
        assert_says(&deny(key), Reading::AgentMcpGateway, "denies nothing: it is taken for a server's name");
    }
    check(&deny("db?"), &[Row("web", Some("drop_x"), true, true)]);
}

#[test]
fn a_list_under_a_star_narrows_servers_without_a_list_of_their_own() {
    let rules =
        json!({"agents": {"a": {"allow": {"servers": ["*"], "tools": {"*": ["get_*"], "web": ["open"]}}}}});
    check(
        &rules,
        &[
            Row("db", Some("get_x"), true, true),
            Row("db", Some("drop_x"), true, false),
            Row("web", Some("open"), true, true),
            Row("web", Some("get_x"), false, false),
        ],
    );
    assert_says(&rules, Reading::Strict, "narrows every matching server without a list of its own");
}

#[test]
fn a_denial_with_a_question_mark_or_a_set_is_a_pattern() {
    for pattern in ["drop_?", "drop_[ab]", "drop_[!x]"] {
        let rules =
            json!({"agents": {"a": {"allow": {"servers": ["db"]}, "deny": {"tools": {"db": [pattern]}}}}});
        check(
            &rules,
            &[
                Row("db", Some("drop_a"), true, false),
                Row("db", Some(pattern), false, false),
                Row("db", Some("drop_ab"), true, true),
            ],
        );
        assert_says(&rules, Reading::AgentMcpGateway, "denies only the tool of this very name");
    }
}

#[test]
fn a_grant_with_a_question_mark_stays_a_name_unless_the_format_is_ours() {
    let rules = json!({"agents": {"a": {"allow": {"servers": ["db"], "tools": {"db": ["get_?", "[ab]"]}}}}});
    check(&rules, &[Row("db", Some("get_a"), false, false), Row("db", Some("get_?"), true, true)]);
    assert_says(&rules, Reading::Strict, "allow.tools[\"db\"][0]: \"get_?\" is a name");
    let own = build(&rules, Reading::Own).rules;
    assert!(own.judge("a", "db", Some("get_a")).allowed);
    assert!(own.judge("a", "db", Some("a")).allowed);
    assert!(!own.judge("a", "db", Some("get_ab")).allowed);
}

#[test]
fn invisible_characters_around_a_name_do_not_evade_a_denial() {
    let rules = json!({"agents": {"a": {
        "allow": {"servers": ["*"]},
        "deny": {"servers": ["secret"], "tools": {"db": ["drop_table", "*_all"]}},
    }}});
    for name in
        ["drop_table\n", "drop_table ", "\tdrop_table", "drop_table\0", "drop_table\u{200b}", "x_all\r\n"]
    {
        check(&rules, &[Row("db", Some(name), true, false)]);
    }
    for server in ["secret\n", " secret", "secret\u{feff}"] {
        check(&rules, &[Row(server, None, true, false), Row(server, Some("get"), true, false)]);
    }
    for server in ["db\n", " db"] {
        check(&rules, &[Row(server, Some("drop_table"), true, false)]);
    }
    assert_says(&rules, Reading::AgentMcpGateway, "evades a denial by name");
}

#[test]
fn a_misspelled_restriction_leaves_that_agent_nothing() {
    let misspelled = [
        ("dney", json!({"a": {"allow": {"servers": ["db"]}, "dney": {"servers": ["db"]}}})),
        ("Deny", json!({"a": {"allow": {"servers": ["db"]}, "Deny": {"servers": ["db"]}}})),
        ("denied_tools", json!({"a": {"allow": {"servers": ["db"]}, "denied_tools": ["x"]}})),
        ("tools", json!({"a": {"allow": {"servers": ["db"]}, "tools": {"db": ["x"]}}})),
        ("allow.tool", json!({"a": {"allow": {"servers": ["db"], "tool": {"db": ["x"]}}}})),
        ("allow.deny", json!({"a": {"allow": {"servers": ["db"], "deny": {}}}})),
        ("deny.tool", json!({"a": {"allow": {"servers": ["db"]}, "deny": {"tool": {"db": ["t"]}}}})),
        ("deny.server", json!({"a": {"allow": {"servers": ["db"]}, "deny": {"server": ["db"]}}})),
    ];
    for (key, mut agents) in misspelled {
        agents["b"] = json!({"allow": {"servers": ["db"]}});
        let rules = json!({"agents": agents});
        check(&rules, &[Row("db", None, true, false), Row("db", Some("t"), true, false)]);
        let strict = build(&rules, Reading::Strict).rules;
        let verdict = strict.judge("a", "db", Some("t"));
        assert_eq!((verdict.step, verdict.rule), (Step::AgentUnreadable, format!("agents.a.{key}")));
        assert!(strict.judge("b", "db", Some("t")).allowed, "the other agent keeps its rules");
        assert_says(&rules, Reading::Strict, "Agent \"a\" gets nothing: its unknown key");
        assert_says(&rules, Reading::AgentMcpGateway, "a restriction may be lost");
        assert!(read(&rules, Reading::Own).is_err(), "{key}");
    }
}

#[test]
fn other_unknown_keys_only_warn() {
    let rules = json!({
        "$schema": "x", "_note": "mine", "version": 3,
        "agents": {"a": {"description": "d", "allow": {"servers": ["db"], "owner": "me"}, "deny": {"_tools": {}}}},
    });
    check(&rules, &[Row("db", Some("t"), true, true)]);
    let warnings = build(&rules, Reading::Strict).warnings;
    let paths: Vec<String> = warnings.iter().map(|notice| notice.path.join(".")).collect();
    assert_eq!(paths, ["version", "agents.a.description", "agents.a.allow.owner"]);
}

#[test]
fn names_that_cannot_be_an_agents_are_load_errors() {
    for id in ["admin\n", "a\tb", "", "\u{1b}[0m"] {
        let rules = json!({"agents": {id: {"allow": {"servers": ["*"]}}}});
        let faults = read(&rules, Reading::Strict).unwrap_err();
        assert_eq!(faults[0].path(), ["agents", id]);
    }
    let rules = json!({"agents": {"admin\n": {}}});
    assert_says(&rules, Reading::AgentMcpGateway, "control character");
}

#[test]
fn patterns_that_only_the_peer_refuses_are_used_and_told() {
    let rules = json!({"agents": {"a": {"allow": {"servers": ["db-*"], "tools": {"db-1": ["a*b", "*a*"]}}}}});
    assert!(read(&rules, Reading::AgentMcpGateway).is_err());
    let strict = build(&rules, Reading::Strict);
    assert!(strict.rules.judge("a", "db-1", Some("axb")).allowed);
    assert!(!strict.rules.judge("a", "db-1", Some("xyz")).allowed);
    assert_eq!(strict.warnings.len(), 3, "{:?}", strict.warnings);
    assert_says(&rules, Reading::Strict, "agent-mcp-gateway refuses the pattern \"db-*\"");
}

#[test]
fn all_faults_are_told_at_once_with_their_paths() {
    let rules = json!({
        "agents": {"a": {"allow": {"servers": "db", "tools": {"db": ["x", 1], "web": null}}}, "b": [], "c\n": {}},
        "defaults": {"deny_on_missing_agent": "true"},
    });
    let faults = read(&rules, Reading::Strict).unwrap_err();
    let paths: Vec<String> = faults.iter().map(|fault| fault.path().join(".")).collect();
    let expected = [
        "agents.a.allow.servers",
        "agents.a.allow.tools.db.1",
        "agents.a.allow.tools.web",
        "agents.b",
        "agents.c\n",
        "defaults.deny_on_missing_agent",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn lists_and_entries_are_bounded() {
    let long = "x".repeat(1_025);
    let many: Vec<String> = (0..4_097).map(|number| format!("t{number}")).collect();
    let rules = json!({"agents": {"a": {"allow": {"servers": [long], "tools": {"db": many}}}}});
    for reading in [Reading::Strict, Reading::AgentMcpGateway, Reading::Own] {
        let faults = Rules::build(&read(&rules, reading).unwrap(), reading).unwrap_err();
        let paths: Vec<String> = faults.iter().map(|fault| fault.path().join(".")).collect();
        assert_eq!(paths, ["agents.a.allow.servers.0", "agents.a.allow.tools.db"]);
    }
}

//! Where rules are found, which agent callers without a name are, and what is said of rules that are odd.

use domain::{AgentId, AgentSource, Principal, ServerScope};
use toolgate::config::{Choices, Compat, Loaded};

use super::folder::Folder;

const SERVERS: &str = r#"{"mcpServers": {"db": {"command": "x", "description": "Rows"}, "web": {"url": "https://me:pw@example.com/mcp?key=hunter2#x"}, "bad": {"command": "${NONE}"}}}"#;

fn rules(agent: &str) -> String {
    format!(r#"{{"agents": {{"{agent}": {{"allow": {{"servers": ["db"]}}}}}}}}"#)
}

fn agents(loaded: &Loaded) -> Vec<String> {
    loaded
        .config
        .policy
        .rules()
        .map(|rules| rules.agent_ids().map(str::to_owned).collect())
        .unwrap_or_default()
}

fn load(folder: &Folder) -> Loaded {
    folder.load().expect("sound")
}

#[test]
fn each_place_is_looked_at_in_turn() {
    let home = Folder::new().with(".config/agent-mcp-gateway/.mcp-gateway-rules.json", &rules("home"));
    let folder = Folder::new().with(".mcp.json", SERVERS);
    assert_eq!(agents(&load(&folder)), Vec::<String>::new());
    let folder = folder.with("config/.mcp-gateway-rules.json", &rules("config"));
    assert_eq!(agents(&load(&folder)), ["config"]);
    let folder = folder.with_variable("HOME", home.path().to_str().expect("plain"));
    assert_eq!(agents(&load(&folder)), ["home"]);
    let folder = folder.with(".mcp-gateway-rules.json", &rules("here"));
    assert_eq!(agents(&load(&folder)), ["here"]);
    let folder = folder.with("named.json", &rules("named")).with_variable("GATEWAY_RULES", "named.json");
    assert_eq!(agents(&load(&folder)), ["named"]);
    let folder = folder.with("chosen.json", &rules("chosen"));
    let choices = Choices { rules: Some("chosen.json".into()), ..Choices::default() };
    assert_eq!(agents(&folder.load_with(&choices).expect("sound")), ["chosen"]);
}

#[test]
fn rules_beside_a_chosen_file_of_servers_belong_to_it() {
    let folder =
        Folder::new().with("other/.mcp.json", SERVERS).with("other/.mcp-gateway-rules.json", &rules("there"));
    let choices = Choices { file: Some("other/.mcp.json".into()), ..Choices::default() };
    assert_eq!(agents(&folder.load_with(&choices).expect("sound")), ["there"]);
}

#[test]
fn named_rules_must_be_there_and_broken_ones_refuse_to_start() {
    let folder = Folder::new().with(".mcp.json", SERVERS);
    let missing = Folder::new().with(".mcp.json", SERVERS).with_variable("GATEWAY_RULES", "none.json");
    let told = missing.told();
    assert!(told.starts_with("error: cannot read `none.json`, which GATEWAY_RULES names: "), "{told}");
    let told = Folder::new().with_variable("GATEWAY_MCP_CONFIG", "none.json").told();
    assert!(told.starts_with("error: cannot read `none.json`, which GATEWAY_MCP_CONFIG names: "), "{told}");
    let broken = folder.with(".mcp-gateway-rules.json", r#"{"agents": {"a": {"allow": {"servers": "db"}}}}"#);
    let told = broken.told();
    assert!(told.contains(".mcp-gateway-rules.json:1:") && told.ends_with("refused\n"), "{told}");
}

#[test]
fn our_own_file_has_rules_of_its_own_or_names_a_file() {
    let inline = "version: 1\nservers: { db: { command: x } }\nrules:\n  agents:\n    a: { allow: { servers: [db] } }\n";
    assert_eq!(agents(&load(&Folder::new().with("toolgate.yaml", inline))), ["a"]);
    let named = "version: 1\nrules_file: r.json\n";
    let folder = Folder::new().with("toolgate.yaml", named).with("r.json", &rules("b"));
    assert_eq!(agents(&load(&folder)), ["b"]);
    let both = format!("{inline}rules_file: r.json\n");
    let told = Folder::new().with("toolgate.yaml", &both).with("r.json", "{}").told();
    assert!(told.contains("`rules` and `rules_file` cannot both be given"), "{told}");
    let told = Folder::new().with("toolgate.yaml", &inline.replace("allow", "alow")).told();
    assert!(told.contains("toolgate.yaml:5:") && told.contains("allow"), "{told}");
}

#[test]
fn unknown_servers_are_said_with_their_place() {
    let folder = Folder::new().with(".mcp.json", SERVERS).with(
        ".mcp-gateway-rules.json",
        "{\"agents\": {\"a\": {\n \"allow\": {\"servers\": [\"db\", \"dv\"]}}}}",
    );
    let told = folder.told();
    assert!(told.contains(r#"Agent "a" allow.servers references undefined server "dv""#), "{told}");
    assert!(told.contains(".mcp-gateway-rules.json:2:"), "{told}");
}

#[test]
fn agents_hear_of_servers_without_their_secrets() {
    let folder = Folder::new().with(".mcp.json", SERVERS);
    let loaded = load(&folder);
    let shown = format!("{:?}", loaded.roster);
    assert!(!shown.contains("pw") && !shown.contains("hunter2") && !shown.contains("NONE"), "{shown}");
    let names: Vec<&str> = loaded.roster.ids().iter().map(domain::ServerId::as_str).collect();
    assert_eq!(names, ["db", "web", "bad"]);
    assert_eq!(loaded.roster.get("db").expect("there").description.as_deref(), Some("Rows"));
    assert!(loaded.roster.get("bad").expect("there").fault.is_some());
}

#[test]
fn who_callers_without_a_name_are() {
    let folder = Folder::new().with("toolgate.yaml", "version: 1\nagent: file\n");
    let agent = |name: &str| AgentId::new(name).expect("a name");
    let of = |folder: &Folder, choices: Choices| {
        let config = folder.load_with(&choices).expect("sound").config;
        (config.agent.to_string(), config.agent_source)
    };
    let launched = Choices { agent: Some(agent("launched")), ..Choices::default() };
    let fallback = Choices { fallback_agent: Some(agent("fallback")), ..Choices::default() };
    assert_eq!(of(&folder, launched), ("launched".to_owned(), AgentSource::Launch));
    assert_eq!(of(&folder, fallback.clone()), ("file".to_owned(), AgentSource::Launch));
    assert_eq!(of(&Folder::new(), fallback), ("fallback".to_owned(), AgentSource::Fallback));
    assert_eq!(of(&Folder::new(), Choices::default()), ("default".to_owned(), AgentSource::Builtin));
}

#[test]
fn compat_opens_the_holes_and_speaks_the_other_gateways_words() {
    let open = r#"{"agents": {}, "defaults": {"deny_on_missing_agent": false}}"#;
    let folder = Folder::new().with(".mcp.json", r#"{"mcpServers": {"db": {"command": "x"}}}"#);
    let folder = folder.with(".mcp-gateway-rules.json", open);
    let ghost = Principal {
        agent: AgentId::new("ghost").expect("a name"),
        agent_source: AgentSource::Claimed,
        user: None,
        roles: Vec::new(),
        token: None,
        servers: ServerScope::All,
    };
    let allowed = |choices: &Choices| {
        folder.load_with(choices).expect("sound").config.policy.judge(&ghost, "db", None).allowed
    };
    let compat = Choices { compat: Compat::AgentMcpGateway, ..Choices::default() };
    assert_eq!((allowed(&Choices::default()), allowed(&compat)), (false, true));
    let bad = Folder::new().with(".mcp.json", r#"{"mcpServers": {"db": {}}}"#);
    let told = bad.shown(bad.load_with(&compat));
    assert!(
        told.contains(r#"Server "db" must specify either "command" (stdio) or "url" (HTTP) transport"#),
        "{told}"
    );
}

#[test]
fn what_the_other_gateway_refuses_is_refused_in_its_words() {
    let compat = Choices { compat: Compat::AgentMcpGateway, ..Choices::default() };
    let told = |folder: &Folder| folder.shown(folder.load_with(&compat));
    let rules = Folder::new().with(".mcp.json", SERVERS);
    let rules = rules.with(
        ".mcp-gateway-rules.json",
        r#"{"agents": {"a": {"deny": {"tools": {"db": ["*x*"]}}, "allow": 1}}}"#,
    );
    assert_eq!(
        told(&rules),
        "error: Invalid configuration: Agent \"a\" allow section must be an object, got int\n"
    );
    let missing = Folder::new().with_variable("GATEWAY_MCP_CONFIG", "none.json");
    assert_eq!(told(&missing), "error: Configuration file not found: none.json\n");
    let missing = Folder::new().with(".mcp.json", SERVERS).with_variable("GATEWAY_RULES", "none.json");
    assert_eq!(told(&missing), "error: Configuration file not found: none.json\n");
}

#[test]
fn looser_rules_are_said_at_the_start() {
    let folder = Folder::new().with(".mcp.json", SERVERS).with(
        ".mcp-gateway-rules.json",
        r#"{"agents": {"a": {"allow": {"servers": ["db"], "tools": {"db": []}}}}}"#,
    );
    let warnings = |compat| -> Vec<String> {
        let loaded = folder.load_with(&Choices { compat, ..Choices::default() }).expect("sound");
        loaded.warnings.iter().map(|warning| warning.problem().to_owned()).collect()
    };
    let loose = warnings(Compat::AgentMcpGateway);
    assert!(loose[0].starts_with("the rules are read as agent-mcp-gateway reads them"), "{loose:?}");
    assert!(loose.iter().any(|warning| warning.contains("is empty, which grants every tool")), "{loose:?}");
    let strict = warnings(Compat::Toolgate);
    assert!(strict.iter().all(|warning| !warning.contains("more is allowed")), "{strict:?}");
}

#[test]
fn agents_without_rules_are_said_with_their_place() {
    let hash = "0".repeat(64);
    let text = format!(
        "version: 1\nagent: reviewr\nrules:\n  agents:\n    reviewer: {{}}\ntokens:\n  - {{ id: t, hash: \"sha256:{hash}\", agent: builder }}\n"
    );
    let told = Folder::new().with("toolgate.yaml", &text).told();
    assert!(told.contains("callers that name no agent are `reviewr`, which has no rules"), "{told}");
    assert!(told.contains("help: did you mean `reviewer`?"), "{told}");
    assert!(told.contains("token `t` names the agent `builder`, which has no rules"), "{told}");
    assert!(told.contains("--> toolgate.yaml:7:"), "{told}");
    let known = text.replace("reviewr", "reviewer").replace("builder", "reviewer");
    assert_eq!(Folder::new().with("toolgate.yaml", &known).told(), "");
}

#[test]
fn faults_of_rules_show_what_is_written() {
    let rules = "version: 1\nrules: { agents: { a: { allow: { servers: [db, 7] } } } }\n";
    let told = Folder::new().with("toolgate.yaml", rules).told();
    assert!(told.contains("2 | rules: { agents: { a: { allow: { servers: [db, 7] } } } }"), "{told}");
}

#[test]
fn every_file_that_decides_is_watched() {
    let folder = Folder::new()
        .with("toolgate.yaml", "version: 1\ninclude: [a.json]\nrules_file: r.json\n")
        .with("a.json", "{\"mcpServers\": {}}")
        .with("r.json", "{}");
    let watched = load(&folder).watched;
    for name in ["toolgate.yaml", "a.json", "r.json", ".mcp.json", ".mcp-gateway-rules.json"] {
        assert!(watched.contains(&folder.path().join(name)), "{name}: {watched:?}");
    }
}

//! In agent-mcp-gateway's place: its files, its tools, its answers. `amg_probe.json` holds what the real one answered;
//! every difference is listed here with its reason.

use serde_json::{Value, json};

use crate::driver::{Driver, Era, Target};
use crate::foreign;
use crate::gateway::Place;
use crate::plan::{Outcome, Plan, Seen};

/// How a recorded answer and ours may differ.
enum Expected {
    /// Not at all.
    Same,
    /// Ours is the machine-readable form, with agent-mcp-gateway's sentence as its message.
    Refusal(&'static str),
    /// The upstream's own result, which agent-mcp-gateway puts into another one: here it stays what it is, with its
    /// structured content, its `isError` and its kinds of content.
    Forwarded,
    /// The upstream's own words: agent-mcp-gateway puts its own before them, and does not say `isError` for us.
    OwnWords(&'static str),
    /// Structured content that differs in these members.
    But(Value),
}

/// In [`Expected::But`]: whatever ours is.
const OURS: &str = "(ours)";

/// What each recorded call becomes by default.
fn by_default(index: usize) -> Expected {
    use Expected::{But, Forwarded, OwnWords, Refusal, Same};
    match index {
        0..=2 | 4 | 6 => Same,
        3 => Refusal("NO_FALLBACK_CONFIGURED"),
        // Tools that are hidden are not counted either.
        5 => But(json!({"total_available": 1})),
        // A refusal has its code and its rule beside the sentence.
        7 => But(json!({"code": "DENIED_BY_POLICY", "rule": "agents.n.allow.servers"})),
        8 => But(json!({"code": "SERVER_UNAVAILABLE"})),
        // An agent without rules may use nothing, whatever `deny_on_missing_agent` says.
        9 => But(json!({
            "tools": [], "total_available": 0, "returned": 0,
            "error": "Access denied: Agent 'ghost' cannot access server 'd'",
            "code": "DENIED_BY_POLICY", "rule": "defaults.deny_on_missing_agent",
        })),
        10 => Forwarded,
        11 => OwnWords("kaput"),
        12 => Refusal("TOOL_NOT_FOUND"),
        13 => OwnWords("integer"),
        14 | 15 | 19 => Refusal("DENIED_BY_POLICY"),
        16 => Refusal("SERVER_UNAVAILABLE"),
        17 => Refusal("TIMEOUT"),
        18 => OwnWords("required"),
        // The sentence of its parser library is not repeated.
        20 => Refusal("INVALID_PARAMS"),
        21 => But(json!({"config_paths": OURS, "revision": OURS, "metrics": OURS})),
        _ => panic!("there are 22 calls"),
    }
}

/// Under `compat: agent-mcp-gateway` the rules are its own, holes included.
fn under_compat(index: usize) -> Expected {
    match index {
        5 | 9 => Expected::Same,
        other => by_default(other),
    }
}

#[test]
fn the_recorded_calls_are_answered_alike() {
    check_probe(&[], by_default);
}

#[test]
fn the_recorded_calls_are_answered_alike_under_compat() {
    check_probe(&["--compat", "agent-mcp-gateway"], under_compat);
}

#[track_caller]
fn check_probe(words: &[&str], expected: fn(usize) -> Expected) {
    let probe = probe();
    let servers = json!({
        "d": entry_described(foreign::own("servers/probe.py"), "Demo"),
        "h": probe["mcp_config"]["mcpServers"]["h"],
    });
    let place = Place::with_adopted(&servers, &probe["rules"]).saying(&["--debug"]).saying(words);
    let calls = probe["calls"].as_array().expect("a list of calls");
    let plan = calls.iter().enumerate().fold(Plan::new().list("tools"), |plan, (index, call)| {
        plan.call(&index.to_string(), call["name"].as_str().expect("a name"), call["args"].clone())
    });
    let seen = Driver::TypescriptSdk1.run(Era::Legacy, &place.stdio(), place.folder(), &plan);
    check_tools(&seen, &probe["tools"]);
    for (index, call) in calls.iter().enumerate() {
        check_call(index, call, seen.step(&index.to_string()), &expected(index));
    }
}

fn probe() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/amg_probe.json");
    let text = std::fs::read_to_string(path).expect("the vectors lie beside the project");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

fn entry_described(mut entry: Value, description: &str) -> Value {
    entry["description"] = json!(description);
    entry
}

/// The tools are the same but for fastmcp's empty tags, and for the output schema of `execute_tool`: declared, it would
/// oblige every upstream's result to carry structured content.
#[track_caller]
fn check_tools(seen: &Seen, recorded: &Value) {
    let mut recorded = recorded.clone();
    for tool in recorded.as_array_mut().expect("a list of tools") {
        let tool = tool.as_object_mut().expect("a tool");
        tool.remove("_meta");
        if tool["name"] == "execute_tool" {
            tool.remove("outputSchema");
        }
    }
    assert_eq!(seen.step("tools").result()["tools"], recorded);
}

#[track_caller]
fn check_call(index: usize, call: &Value, outcome: Outcome<'_>, expected: &Expected) {
    let (recorded, ours) = (&call["result"], outcome.result());
    let is_error = recorded["isError"].as_bool().unwrap_or(false);
    assert_eq!(ours["isError"].as_bool().unwrap_or(false), is_error, "call {index}: {ours:#}");
    match expected {
        Expected::Same => {
            assert_eq!(ours["structuredContent"], interpreted(recorded), "call {index}");
            assert_eq!(parsed(&ours["content"]), parsed(&text_of(recorded)), "call {index}");
        }
        Expected::Refusal(code) => {
            let error = &ours["structuredContent"]["error"];
            assert_eq!(error["code"], *code, "call {index}: {ours:#}");
            assert_eq!(parsed(&ours["content"])[0], ours["structuredContent"], "call {index}");
            if *code != "INVALID_PARAMS" {
                assert_eq!(error["message"], recorded["content"][0]["text"], "call {index}");
            }
            let has_rule = *code == "DENIED_BY_POLICY";
            assert_eq!(error["rule"].is_string(), has_rule, "call {index}: {ours:#}");
        }
        Expected::Forwarded => {
            let inner = &recorded["structuredContent"]["content"][0];
            assert_eq!(ours["content"][0]["type"], inner["type"], "call {index}");
            assert_eq!(ours["content"][0]["text"], inner["text"], "call {index}");
            assert_eq!(ours["structuredContent"], json!({"result": 3}), "call {index}");
        }
        Expected::OwnWords(words) => assert!(outcome.text().contains(words), "call {index}: {ours:#}"),
        Expected::But(members) => {
            let mut changed = interpreted(recorded);
            for (name, value) in members.as_object().expect("members") {
                changed[name] =
                    if value == OURS { ours["structuredContent"][name].clone() } else { value.clone() };
            }
            assert_eq!(ours["structuredContent"], changed, "call {index}");
        }
    }
}

/// The interpreter's path is the only thing about the server that differs from the recording.
fn interpreted(recorded: &Value) -> Value {
    let mut structured = recorded["structuredContent"].clone();
    if structured["result"][0]["command"] == "python3" {
        structured["result"][0]["command"] = foreign::own("servers/probe.py")["command"].clone();
    }
    structured
}

fn text_of(recorded: &Value) -> Value {
    match recorded["content"].as_array().map(Vec::len) {
        Some(0) | None => json!([]),
        Some(_) => {
            let structured = interpreted(recorded);
            let value = structured.get("result").filter(|list| list.is_array()).unwrap_or(&structured);
            json!([{ "type": "text", "text": value.to_string() }])
        }
    }
}

/// Reads the JSON in the text blocks of a result.
fn parsed(content: &Value) -> Vec<Value> {
    let blocks = content.as_array().map_or(&[][..], Vec::as_slice);
    let read = |block: &Value| serde_json::from_str(block["text"].as_str().unwrap_or_default());
    blocks.iter().map(|block| read(block).unwrap_or_else(|_| block.clone())).collect()
}

/// The page's example, word for word: discover servers, look at one's tools, call one.
#[track_caller]
fn workflow(driver: Driver, era: Era, target: &Target, place: &Place) {
    let agent = "researcher";
    let (server, query) = ("brave-search", "MCP protocol documentation");
    let plan = Plan::new()
        .list("tools")
        .call("servers", "list_servers", json!({ "agent_id": agent }))
        .call("tools of one", "get_server_tools", json!({ "agent_id": agent, "server": server }))
        .call(
            "execute",
            "execute_tool",
            json!({
                "agent_id": agent, "server": server, "tool": "brave_web_search", "args": { "query": query },
            }),
        )
        .call("refused", "list_servers", json!({ "agent_id": "backend" }));
    let seen = driver.run(era, target, place.folder(), &plan);
    assert_eq!(seen.listed("tools", "name"), ["list_servers", "get_server_tools", "execute_tool"]);
    let servers = &seen.step("servers").succeeded().result()["structuredContent"]["result"];
    assert_eq!(servers[0]["name"], server);
    assert_eq!(servers[0]["description"], "Web search via Brave Search API");
    let tools = &seen.step("tools of one").succeeded().result()["structuredContent"];
    assert_eq!(tools["tools"][0]["name"], "brave_web_search");
    assert_eq!((&tools["server"], &tools["returned"]), (&json!(server), &json!(2)));
    assert_eq!(seen.step("execute").succeeded().text(), format!("Search results: {query}"));
    assert_eq!(seen.step("refused").succeeded().result()["structuredContent"]["result"], json!([]));
}

fn example() -> Place {
    let servers = json!({
        "brave-search": entry_described(foreign::own("servers/brave.py"), "Web search via Brave Search API"),
    });
    let rules = json!({
        "agents": {
            "researcher": {"allow": {"servers": ["brave-search"], "tools": {"brave-search": ["*"]}}},
            "backend": {"allow": {"servers": ["postgres"]}},
        },
        "defaults": {"deny_on_missing_agent": true},
    });
    Place::with_adopted(&servers, &rules).saying(&["--exposure", "discovery"])
}

#[track_caller]
fn workflow_over_both(driver: Driver, era: Era) {
    let place = example();
    workflow(driver, era, &place.stdio(), &place);
    let gateway = place.serve();
    workflow(driver, era, &gateway.all(), &place);
}

#[test]
fn the_example_with_fastmcp_3() {
    workflow_over_both(Driver::Fastmcp3, Era::Legacy);
}

#[test]
fn the_example_with_fastmcp_4() {
    workflow_over_both(Driver::Fastmcp4, Era::Auto);
}

#[test]
fn the_example_with_the_python_sdk_1() {
    workflow_over_both(Driver::PythonSdk1, Era::Legacy);
}

#[test]
fn the_example_with_the_python_sdk_2() {
    workflow_over_both(Driver::PythonSdk2, Era::Modern);
}

#[test]
fn the_example_with_the_typescript_sdk_1() {
    workflow_over_both(Driver::TypescriptSdk1, Era::Legacy);
}

#[test]
fn the_example_with_the_typescript_sdk_2() {
    workflow_over_both(Driver::TypescriptSdk2, Era::Auto);
}

/// Content of every kind comes through `execute_tool` as the server sent it.
#[test]
fn images_and_structured_content_come_through() {
    let place = Place::with_adopted(
        &json!({ "all": foreign::everything() }),
        &json!({"agents": {"a": {"allow": {"servers": ["*"]}}}}),
    );
    let execute =
        |tool: &str, args: Value| json!({ "agent_id": "a", "server": "all", "tool": tool, "args": args });
    let plan = Plan::new().call("image", "execute_tool", execute("get-tiny-image", json!({}))).call(
        "structured",
        "execute_tool",
        execute("get-structured-content", json!({ "location": "Chicago" })),
    );
    let seen = Driver::TypescriptSdk2.run(Era::Auto, &place.stdio(), place.folder(), &plan);
    let image = seen.step("image").succeeded().result();
    let blocks = image["content"].as_array().expect("content");
    assert!(blocks.iter().any(|block| block["type"] == "image" && block["data"].is_string()), "{image:#}");
    assert!(seen.step("structured").succeeded().result()["structuredContent"]["temperature"].is_number());
}

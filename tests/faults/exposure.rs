//! How clients see tools: the gateway's own tools, who may call what through them, and what the trail says of it.

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{Client, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, eventually, within};

fn rules() -> Value {
    json!({
        "agents": {
            "wide": {"allow": {"servers": ["*"]}},
            "narrow": {"allow": {"servers": ["one"], "tools": {"one": ["echo"]}}},
            "default": {"allow": {"servers": ["two"]}},
        },
        "defaults": {"deny_on_missing_agent": false},
    })
}

async fn serve(exposure: &str) -> (Place, Gateway) {
    let place = Place::configured(json!({
        "servers": {"one": child(&[]), "two": child(&[])},
        "rules": rules(),
        "exposure": {"http": exposure},
    }));
    let gateway = place.serve().await;
    gateway.ready().await;
    (place, gateway)
}

async fn execute(client: &mut Client, agent: &str, server: &str, tool: &str) -> Value {
    let arguments = json!({"agent_id": agent, "server": server, "tool": tool, "args": {"text": "x"}});
    client.call("execute_tool", arguments).await["result"].clone()
}

fn code(result: &Value) -> &str {
    result["structuredContent"]["error"]["code"].as_str().unwrap_or_default()
}

#[test]
fn an_agent_reaches_what_its_rules_say_and_learns_nothing_else() {
    within(USUAL, async {
        let (_place, gateway) = serve("discovery").await;
        for era in [Era::Legacy, Era::Modern] {
            let mut client = gateway.client(era).await;
            assert_eq!(client.tools().await, ["list_servers", "get_server_tools", "execute_tool"]);
            let answered = execute(&mut client, "narrow", "one", "echo").await;
            assert_eq!(answered["content"][0]["text"], "x");
            // Hidden, absent and nonsensical look the same: the rule is told, and never what exists.
            for (server, tool) in
                [("one", "write"), ("one", "nosuch"), ("two", "echo"), ("nosuch", "echo"), ("", "")]
            {
                let refused = execute(&mut client, "narrow", server, tool).await;
                assert_eq!(
                    (&refused["isError"], code(&refused)),
                    (&json!(true), "DENIED_BY_POLICY"),
                    "{server} {tool}"
                );
            }
            let unknown = execute(&mut client, "wide", "one", "nosuch").await;
            assert_eq!(code(&unknown), "TOOL_NOT_FOUND");
            let ghost = execute(&mut client, "ghost", "one", "echo").await;
            assert_eq!(code(&ghost), "DENIED_BY_POLICY");
            // Without a name the rules' `default` stands in.
            let listed = client.call("list_servers", json!({})).await;
            assert_eq!(listed["result"]["structuredContent"]["result"][0]["name"], "two");
            // A tool of a server cannot be called past the discovery tools.
            assert_eq!(client.call("one__echo", json!({"text": "x"})).await["error"]["code"], -32602);
        }
        // The end of the last call is written a moment after its answer.
        eventually(|| async { gateway.trail.calls().values().all(|call| call.end.is_some()).then_some(()) })
            .await;
        let claimed =
            gateway.trail.lines().into_iter().filter(|line| line["agent_source"] == "claimed").count();
        assert!(claimed > 10, "{claimed}");
    });
}

#[test]
fn a_tokens_agent_cannot_be_changed_by_an_argument() {
    within(USUAL, async {
        let (place, gateway) = serve("discovery").await;
        let (token, _) = place.token(&["--agent", "narrow"]).await;
        let mut client = gateway.door().with_token(&token).open(Era::Modern).await;
        let refused = execute(&mut client, "wide", "two", "echo").await;
        assert_eq!(code(&refused), "INVALID_AGENT_ID", "{refused}");
        let own = execute(&mut client, "narrow", "one", "echo").await;
        assert_eq!(own["content"][0]["text"], "x");
        let unnamed = client
            .call("execute_tool", json!({"server": "one", "tool": "echo", "args": {"text": "y"}}))
            .await;
        assert_eq!(text(&unnamed), "y");
    });
}

#[test]
fn a_search_finds_only_what_may_be_called_and_calls_it() {
    within(USUAL, async {
        let (_place, gateway) = serve("search").await;
        let mut client = gateway.client(Era::Modern).await;
        assert_eq!(client.tools().await, ["search_tools", "execute_tool"]);
        let search = json!({"query": "echo the text", "agent_id": "narrow", "limit": 50});
        let found = client.call("search_tools", search).await["result"].clone();
        let tools = found["structuredContent"]["tools"].as_array().expect("tools").clone();
        assert_eq!(tools.len(), 1, "{found}");
        assert_eq!((&tools[0]["server"], &tools[0]["tool"]), (&json!("one"), &json!("echo")));
        assert!(
            found["content"][0]["text"].as_str().is_some_and(|text| text.starts_with("one: echo(")),
            "{found}"
        );
        let full = json!({"query": "echo", "agent_id": "wide", "server": "two", "detail": "full"});
        let found = client.call("search_tools", full).await["result"].clone();
        assert_eq!(found["structuredContent"]["tools"][0]["server"], "two");
        assert!(found["structuredContent"]["tools"][0]["inputSchema"].is_object(), "{found}");
        let answered = execute(&mut client, "narrow", "one", "echo").await;
        assert_eq!(answered["content"][0]["text"], "x");
    });
}

#[test]
fn automatic_exposure_weighs_what_the_caller_may_use() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"one": child(&[])},
            "exposure": {"http": "auto", "auto_tokens": 10},
        }));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        assert_eq!(client.tools().await, ["search_tools", "execute_tool"]);
        // What was listed before the change can still be called.
        assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x");
        let place = Place::configured(json!({"servers": {"one": child(&[])}, "exposure": {"http": "auto"}}));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        assert!(client.tools().await.contains(&"one__echo".to_owned()));
    });
}

#[test]
fn the_shortest_time_counts_and_wrong_arguments_are_named() {
    within(USUAL, async {
        let (_place, gateway) = serve("discovery").await;
        let mut client = gateway.client(Era::Modern).await;
        let slow = json!({"agent_id": "wide", "server": "one", "tool": "echo", "args": {"text": "x", "delay_ms": 5_000}, "timeout_ms": 50});
        let late = client.call("execute_tool", slow).await["result"].clone();
        let error = &late["structuredContent"]["error"];
        assert_eq!((&error["code"], &error["outcome"]), (&json!("TIMEOUT"), &json!("unknown")), "{late}");
        assert_eq!(error["message"], "Tool execution timed out after 50ms");
        for wrong in
            [json!({"args": []}), json!({"server": 1}), json!({"extra": 1}), json!({"timeout_ms": -1})]
        {
            let refused = client.call("execute_tool", wrong.clone()).await["result"].clone();
            assert_eq!(code(&refused), "INVALID_PARAMS", "{wrong} {refused}");
        }
    });
}

#[test]
fn direct_listings_show_what_may_be_called() {
    within(USUAL, async {
        let (place, gateway) = serve("direct").await;
        let (token, _) = place.token(&["--agent", "narrow"]).await;
        let mut client = gateway.door().with_token(&token).open(Era::Modern).await;
        assert_eq!(client.tools().await, ["one__echo"]);
        assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x");
        for hidden in ["one__write", "two__echo", "nosuch"] {
            assert_eq!(client.call(hidden, json!({})).await["error"]["code"], -32602, "{hidden}");
        }
        let mut only = gateway.door().only("two").with_token(&token).open(Era::Modern).await;
        assert!(only.tools().await.is_empty());
    });
}

#[test]
fn metrics_are_kept_per_agent_and_operation() {
    within(USUAL, async {
        let (_place, gateway) = serve("discovery").await;
        let mut client = gateway.client(Era::Modern).await;
        for _ in 0..3 {
            execute(&mut client, "wide", "one", "echo").await;
        }
        execute(&mut client, "narrow", "two", "echo").await;
        let of = |agent: &'static str| format!("agent=\"{agent}\",operation=\"execute_tool\"");
        assert_eq!(gateway.metric("toolgate_operation_seconds_count", &of("wide")).await, 3.0);
        assert_eq!(gateway.metric("toolgate_operation_errors_total", &of("narrow")).await, 1.0);
    });
}

/// Prints what an agent loads at its start under each exposure, with the first 500 tools of the benchmark for searching.
#[test]
#[ignore = "a measurement, not a test"]
fn tokens_at_the_start_with_500_tools() {
    within(USUAL, async {
        let mut servers = serde_json::Map::new();
        let mut fakes = Vec::new();
        let plain = FakeServer::start(Script::new(Speaks::Modern)).await;
        let place = Place::new(json!({"x": http(&plain)}));
        let gateway = place.serve().await;
        gateway.ready().await;
        let own = gateway.client(Era::Modern).await.tools().await;
        let own: Vec<String> =
            own.iter().filter_map(|name| Some(name.split_once('x')?.1.to_owned())).collect();
        for (name, tools) in benchmark() {
            let mut script = Script::new(Speaks::Modern);
            script.tools = tools;
            let fake = FakeServer::start(script).await;
            servers.insert(name, http(&fake));
            fakes.push(fake);
        }
        for exposure in ["direct", "discovery", "search", "auto"] {
            let place = Place::configured(json!({"servers": servers, "exposure": {"http": exposure}}));
            let gateway = place.serve().await;
            gateway.ready().await;
            let listing = gateway.client(Era::Modern).await.ask("tools/list", json!({})).await;
            // The fake servers' own tools are not counted.
            let own = |tool: &&Value| {
                own.iter().any(|own| tool["name"].as_str().is_some_and(|name| name.ends_with(own.as_str())))
            };
            let tools = listing["result"]["tools"].as_array().expect("a listing").iter();
            let tools: Vec<&Value> = tools.filter(|tool| !own(tool)).collect();
            let bytes: usize = tools.iter().map(|tool| tool.to_string().len()).sum();
            println!("{exposure}: {} tools, {bytes} bytes, about {} tokens", tools.len(), bytes / 4);
        }
    });
}

/// Reads the tools of the middle size of the benchmark, by server.
fn benchmark() -> std::collections::BTreeMap<String, Vec<Value>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/search/catalog.json.gz");
    let file = std::fs::File::open(path).expect("the benchmark lies beside the project");
    let rows: Vec<Value> =
        serde_json::from_reader(flate2::read::GzDecoder::new(file)).expect("the benchmark is JSON");
    let mut servers = std::collections::BTreeMap::<String, Vec<Value>>::new();
    for row in rows.iter().filter(|row| row["tiers"].as_array().is_some_and(|t| t.contains(&json!("500")))) {
        let tool = json!({
            "name": row["tool"], "description": row["description"], "inputSchema": row["inputSchema"],
        });
        servers.entry(row["server"].as_str().expect("a name").to_owned()).or_default().push(tool);
    }
    servers
}

#[test]
fn an_endpoint_for_one_server_does_not_reach_beyond_it() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"one": child(&[]), "two": child(&[])},
            "exposure": {"servers": {"one": "discovery"}},
        }));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.door().only("one").open(Era::Modern).await;
        let listed = client.call("list_servers", json!({})).await["result"].clone();
        let names = listed["structuredContent"]["result"].as_array().expect("a list").len();
        assert_eq!((names, &listed["structuredContent"]["result"][0]["name"]), (1, &json!("one")));
        let beyond = client.call("get_server_tools", json!({"server": "two"})).await["result"].clone();
        assert_eq!(beyond["structuredContent"]["code"], "DENIED_BY_POLICY", "{beyond}");
        let beyond = execute(&mut client, "default", "two", "echo").await;
        assert_eq!(code(&beyond), "DENIED_BY_POLICY");
        assert_eq!(execute(&mut client, "default", "one", "echo").await["content"][0]["text"], "x");
    });
}

#[test]
fn refusals_are_on_record_whatever_form_they_have() {
    within(USUAL, async {
        let (_place, gateway) = serve("discovery").await;
        let mut client = gateway.client(Era::Modern).await;
        client.call("get_server_tools", json!({"agent_id": "narrow", "server": "two"})).await;
        client.call("one__echo", json!({"text": "x"})).await;
        execute(&mut client, "narrow", "one", "write").await;
        let expected = [
            ("get_server_tools", "DENY", "DENIED_BY_POLICY", json!("agents.narrow.allow.servers")),
            ("tools/call", "ERROR", "TOOL_NOT_FOUND", Value::Null),
            ("execute_tool", "DENY", "DENIED_BY_POLICY", json!("agents.narrow.allow.tools.one")),
        ];
        let ends = eventually(|| async {
            let ends = gateway.trail.ends();
            (ends.len() == expected.len()).then_some(ends)
        })
        .await;
        for (end, (operation, decision, code, rule)) in ends.iter().zip(&expected) {
            let said = (&end["operation"], &end["decision"], &end["code"], &end["rule"]);
            assert_eq!(said, (&json!(operation), &json!(decision), &json!(code), rule), "{end}");
            assert!(end["revision"].is_string(), "{end}");
        }
    });
}

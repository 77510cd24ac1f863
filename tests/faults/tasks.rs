//! Tasks, in either era: whoever began one reaches it and hears of it, at the endpoint of its server and at that of
//! all; nobody else does. A result of a kind that the client did not agree to is none.

use std::time::Duration;

use protocol::{Era, TASKS_EXTENSION, meta};
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};
use tokio::time::timeout;

use crate::client::{Client, failure, modern_call, text};
use crate::gateway::{Gateway, Place, http};
use crate::limit::{USUAL, within};
use crate::wire::{Events, Request, Wire};

/// How long one that is to hear nothing is listened to.
const SILENCE: Duration = Duration::from_millis(500);
/// The silence of a server that a call survives, where that is looked at.
const SHORT_MS: u64 = 2_000;
const WORKING: &str = "working";

/// A gateway before one server with tasks, and two callers.
struct Stage {
    upstream: FakeServer,
    gateway: Gateway,
    starter: String,
    stranger: String,
    _place: Place,
}

/// How one of the two endpoints is reached.
#[derive(Debug, Clone, Copy)]
enum Endpoint {
    All,
    Server,
}

// === impl Stage ===

impl Stage {
    async fn new(script: Script, timeout_ms: u64) -> Self {
        let upstream = FakeServer::start(script).await;
        let mut server = http(&upstream);
        server["timeout_ms"] = json!(timeout_ms);
        let place = Place::new(json!({ "one": server }));
        let (starter, _) = place.token(&["--agent", "starter"]).await;
        let (stranger, _) = place.token(&["--agent", "stranger"]).await;
        let gateway = place.serve().await;
        gateway.ready().await;
        let stage = Self { upstream, gateway, starter, stranger, _place: place };
        stage.client(Endpoint::All, &stage.starter, Era::Modern).await.until_answered("one").await;
        stage
    }

    async fn of(speaks: Speaks) -> Self {
        Self::new(Script::new(speaks).with_tasks(), 30_000).await
    }

    async fn client(&self, endpoint: Endpoint, token: &str, era: Era) -> Client {
        let door = self.gateway.door().with_token(token);
        match endpoint {
            Endpoint::All => door.open(era).await,
            Endpoint::Server => door.only("one").open(era).await,
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    fn tool(self, name: &str) -> String {
        match self {
            Self::All => format!("one__{name}"),
            Self::Server => name.to_owned(),
        }
    }

    /// Begins a task; returns its id.
    async fn begin(self, client: &mut Client) -> String {
        let answer = client.ask("tools/call", self.beginning(client.era)).await;
        let task = match client.era {
            Era::Legacy => &answer["result"]["task"],
            Era::Modern => {
                assert_eq!(answer["result"]["resultType"], "task", "{answer}");
                &answer["result"]
            }
        };
        assert_eq!(task["status"], WORKING, "{answer}");
        task["taskId"].as_str().expect("a task's id").to_owned()
    }

    /// The parameters of a call that begins a task.
    fn beginning(self, era: Era) -> Value {
        let mut params = json!({"name": self.tool("work"), "arguments": {}});
        match era {
            Era::Legacy => params["task"] = json!({"ttl": 60_000}),
            Era::Modern => params["_meta"] = declaring(),
        }
        params
    }

    async fn finish(self, client: &mut Client, id: &str) {
        assert_eq!(text(&client.call(&self.tool("finish"), json!({"task": id})).await), "finished");
    }
}

/// The member by which a modern client says that it knows tasks.
fn declaring() -> Value {
    json!({meta::CLIENT_CAPABILITIES: {"extensions": {TASKS_EXTENSION: {}}}})
}

/// Begins a task of which the gateway knows nothing; returns its id.
async fn begun_elsewhere(upstream: &FakeServer) -> String {
    let url = upstream.url();
    let address = url.trim_start_matches("http://").trim_end_matches("/mcp");
    let mut wire = Wire::connect(address.parse().expect("an address")).await;
    let begun = wire.ask(&modern_call("1", "work", json!({}))).await.message();
    begun["result"]["taskId"].as_str().expect("a task's id").to_owned()
}

/// The same error about another task.
fn renamed(answer: &Value, from: &str, to: &str) -> Value {
    let error = answer["error"].to_string();
    serde_json::from_str(&error.replace(from, to)).expect("it is JSON still")
}

/// Opens the modern stream for `ids`; returns it with those that were granted.
async fn listen(client: &Client, gateway: &Gateway, ids: &[&str]) -> (Events, Value) {
    let wanted = json!({"_meta": declaring(), "notifications": {"taskIds": ids}});
    let request = client.request("\"listen\"", "subscriptions/listen", wanted);
    let mut events = Wire::connect(gateway.address).await.listen(&request).await;
    let acknowledged = events.next().await.expect("it is acknowledged");
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    (events, acknowledged["params"]["notifications"]["taskIds"].clone())
}

/// Reads the parameters of the next notification about a task.
async fn next_state(events: &mut Events, method: &str) -> Value {
    let message = events.next().await.expect("the stream goes on");
    assert_eq!(message["method"], method, "{message}");
    message["params"].clone()
}

#[test]
fn who_began_a_task_reaches_it_and_nobody_else_does() {
    within(2 * USUAL, async {
        for (speaks, era) in [(Speaks::Legacy, Era::Legacy), (Speaks::Modern, Era::Modern)] {
            let stage = Stage::of(speaks).await;
            for endpoint in [Endpoint::All, Endpoint::Server] {
                let mut starter = stage.client(endpoint, &stage.starter, era).await;
                let mut stranger = stage.client(endpoint, &stage.stranger, era).await;
                let id = endpoint.begin(&mut starter).await;
                let got = starter.ask("tasks/get", json!({"taskId": id})).await;
                assert_eq!(got["result"]["status"], WORKING, "{got}");
                let others: &[&str] = match era {
                    Era::Legacy => &["tasks/get", "tasks/result", "tasks/cancel"],
                    Era::Modern => &["tasks/get", "tasks/update", "tasks/cancel"],
                };
                for method in others {
                    let foreign = stranger.ask(method, json!({"taskId": id})).await;
                    let unknown = stranger.ask(method, json!({"taskId": "nosuch"})).await;
                    assert_eq!(foreign["error"]["code"], -32602, "{era:?} {endpoint:?} {method}: {foreign}");
                    assert_eq!(renamed(&foreign, &id, "nosuch"), unknown["error"], "{endpoint:?} {method}");
                }
                let cancelled = starter.ask("tasks/cancel", json!({"taskId": id})).await;
                assert!(cancelled.get("error").is_none(), "{cancelled}");
                let got = starter.ask("tasks/get", json!({"taskId": id})).await;
                assert_eq!(got["result"]["status"], "cancelled", "{got}");
            }
        }
    });
}

#[test]
fn nobody_learns_which_tasks_exist_from_how_they_are_refused() {
    within(2 * USUAL, async {
        for (speaks, era) in [(Speaks::Legacy, Era::Legacy), (Speaks::Modern, Era::Modern)] {
            let stage = Stage::of(speaks).await;
            for endpoint in [Endpoint::All, Endpoint::Server] {
                let id = endpoint.begin(&mut stage.client(endpoint, &stage.starter, era).await).await;
                let mut stranger = stage.client(endpoint, &stage.stranger, era).await;
                let mut named = vec![id, "nosuch".to_owned()];
                if era == Era::Modern {
                    named.push(begun_elsewhere(&stage.upstream).await);
                }
                stage.upstream.seen().forget_requests();
                for method in ["tasks/get", "tasks/result", "tasks/cancel", "tasks/update"] {
                    let mut refusals = Vec::new();
                    for id in &named {
                        let mut answer = stranger.ask(method, json!({"taskId": id})).await;
                        assert!(answer.get("result").is_none(), "{era:?} {endpoint:?} {method}: {answer}");
                        // Code, message and data; and whatever else there is beside the id of the request.
                        answer["error"] = renamed(&answer, id, "task");
                        answer["id"] = Value::Null;
                        refusals.push(answer);
                    }
                    let first = &refusals[0];
                    assert!(first["error"]["code"].is_i64(), "{first}");
                    for other in &refusals[1..] {
                        assert_eq!(first, other, "{era:?} {endpoint:?} {method}");
                    }
                }
                let asked = |request: &testkit::SeenRequest| {
                    request.json()["method"].as_str().is_some_and(|method| method.starts_with("tasks/"))
                };
                assert!(!stage.upstream.seen().requests().iter().any(asked), "its server is not asked");
            }
        }
    });
}

#[test]
fn what_a_task_brings_is_its_starters() {
    within(USUAL, async {
        let stage = Stage::of(Speaks::Modern).await;
        for endpoint in [Endpoint::All, Endpoint::Server] {
            let mut starter = stage.client(endpoint, &stage.starter, Era::Modern).await;
            let id = endpoint.begin(&mut starter).await;
            let updated = json!({"taskId": id, "inputResponses": {}});
            assert!(starter.ask("tasks/update", updated).await.get("error").is_none());
            let got = starter.ask("tasks/get", json!({"taskId": id})).await;
            assert_eq!(got["result"]["statusMessage"], "updated", "{got}");
            endpoint.finish(&mut starter, &id).await;
            let got = starter.ask("tasks/get", json!({"taskId": id})).await;
            assert_eq!(got["result"]["result"]["content"][0]["text"], "done", "{got}");
        }
        for request in stage.upstream.seen().requests() {
            let message = request.json();
            if message["method"].as_str().is_some_and(|method| method.starts_with("tasks/")) {
                let named = request.headers.get("mcp-name").map(String::as_str);
                assert_eq!(named, message["params"]["taskId"].as_str(), "{request:?}");
            }
        }
    });
}

#[test]
fn a_legacy_server_lists_its_tasks_at_its_own_endpoint() {
    within(USUAL, async {
        let stage = Stage::of(Speaks::Legacy).await;
        let mut starter = stage.client(Endpoint::Server, &stage.starter, Era::Legacy).await;
        let id = Endpoint::Server.begin(&mut starter).await;
        let listed = starter.ask("tasks/list", json!({})).await;
        assert_eq!(listed["result"]["tasks"][0]["taskId"], id, "{listed}");
    });
}

#[test]
fn a_result_that_is_waited_for_outlasts_the_limit_of_a_call() {
    within(USUAL, async {
        let stage = Stage::new(Script::new(Speaks::Legacy).with_tasks(), SHORT_MS).await;
        for endpoint in [Endpoint::All, Endpoint::Server] {
            let mut starter = stage.client(endpoint, &stage.starter, Era::Legacy).await;
            let mut other = stage.client(endpoint, &stage.starter, Era::Legacy).await;
            let id = endpoint.begin(&mut starter).await;
            stage.upstream.seen().forget_requests();
            let params = json!({"taskId": id});
            let waiting = tokio::spawn(async move { starter.ask("tasks/result", params).await });
            let is_asked = |request: &testkit::SeenRequest| request.json()["method"] == "tasks/result";
            stage.upstream.seen().until(|seen| seen.requests().iter().any(is_asked)).await;
            // A call that begins now is given up when its time is over, so the other has had more than that.
            let late = other.call(&endpoint.tool("hang"), json!({})).await;
            assert_eq!(failure(&late), "TIMEOUT", "{late}");
            assert!(!waiting.is_finished());
            endpoint.finish(&mut other, &id).await;
            assert_eq!(text(&waiting.await.expect("it is answered")), "done");
        }
    });
}

#[test]
fn results_that_nobody_agreed_to_are_refused() {
    within(USUAL, async {
        let mut script = Script::new(Speaks::Modern).with_tasks();
        script.raw = r#"{"resultType":"odd/kind","content":[]}"#.into();
        let stage = Stage::new(script, 30_000).await;
        for endpoint in [Endpoint::All, Endpoint::Server] {
            let mut client = stage.client(endpoint, &stage.starter, Era::Modern).await;
            let task = client.call(&endpoint.tool("work"), json!({})).await;
            assert_eq!(failure(&task), "SERVER_PROTOCOL_ERROR", "{task}");
            let odd = json!({"name": endpoint.tool("raw"), "arguments": {}, "_meta": declaring()});
            let odd = client.ask("tools/call", odd).await;
            assert_eq!(failure(&odd), "SERVER_PROTOCOL_ERROR", "{odd}");
        }
    });
}

#[test]
fn its_starter_hears_of_a_modern_task_and_nobody_else_does() {
    within(2 * USUAL, async {
        let stage = Stage::of(Speaks::Modern).await;
        for endpoint in [Endpoint::All, Endpoint::Server] {
            let mut starter = stage.client(endpoint, &stage.starter, Era::Modern).await;
            let mut stranger = stage.client(endpoint, &stage.stranger, Era::Modern).await;
            let id = endpoint.begin(&mut starter).await;
            let other = endpoint.begin(&mut starter).await;
            let foreign = endpoint.begin(&mut stranger).await;
            let nobodys = begun_elsewhere(&stage.upstream).await;
            let named = [&*id, "nosuch", &*foreign, &*nobodys, &*id];
            let (mut heard, granted) = listen(&starter, &stage.gateway, &named).await;
            assert_eq!(granted, json!([id]), "{endpoint:?}");
            let (mut overheard, granted) = listen(&stranger, &stage.gateway, &[&id]).await;
            assert_eq!(granted, json!([]), "{endpoint:?}");
            for task in [&id, &other, &foreign, &nobodys] {
                starter.call(&endpoint.tool("report"), json!({"task": task})).await;
            }
            let state = next_state(&mut heard, "notifications/tasks").await;
            assert_eq!((&state["taskId"], &state["status"]), (&json!(id), &json!(WORKING)), "{state}");
            assert_eq!(state["_meta"], json!({meta::SUBSCRIPTION_ID: "listen"}));
            endpoint.finish(&mut starter, &id).await;
            let state = next_state(&mut heard, "notifications/tasks").await;
            assert_eq!(state["result"]["content"][0]["text"], "done", "{state}");
            for stream in [&mut heard, &mut overheard] {
                assert!(timeout(SILENCE, stream.next()).await.is_err(), "there is no more to hear");
            }
        }
    });
}

#[test]
fn of_many_states_the_newest_is_told() {
    within(USUAL, async {
        let stage = Stage::of(Speaks::Modern).await;
        let mut starter = stage.client(Endpoint::All, &stage.starter, Era::Modern).await;
        let id = Endpoint::All.begin(&mut starter).await;
        let (mut first, _) = listen(&starter, &stage.gateway, &[&id]).await;
        let (mut second, _) = listen(&starter, &stage.gateway, &[&id]).await;
        starter.call("one__report", json!({"task": id, "count": 500})).await;
        Endpoint::All.finish(&mut starter, &id).await;
        for stream in [&mut first, &mut second] {
            let mut last = 0;
            loop {
                let state = next_state(stream, "notifications/tasks").await;
                if state["status"] == "completed" {
                    break;
                }
                let count =
                    state["statusMessage"].as_str().and_then(|text| text.parse().ok()).expect("a number");
                assert!(last < count, "{last} {count}");
                last = count;
            }
        }
    });
}

#[test]
fn its_session_hears_of_a_legacy_task_and_nobody_else_does() {
    within(USUAL, async {
        let stage = Stage::of(Speaks::Legacy).await;
        let mut starter = stage.client(Endpoint::All, &stage.starter, Era::Legacy).await;
        let stranger = stage.client(Endpoint::All, &stage.stranger, Era::Legacy).await;
        let mut streams = Vec::new();
        for (client, token) in [(&starter, &stage.starter), (&stranger, &stage.stranger)] {
            let stream = Request::plain("GET", "/mcp").with("Accept", "text/event-stream").bearer(token);
            let stream = stream.with("Mcp-Session-Id", client.session.clone().expect("a session"));
            streams.push(Wire::connect(stage.gateway.address).await.listen(&stream).await);
        }
        let id = Endpoint::All.begin(&mut starter).await;
        // The stream of the session at the server may not be open yet.
        let state = loop {
            starter.call("one__report", json!({"task": id})).await;
            let heard = next_state(&mut streams[0], "notifications/tasks/status");
            if let Ok(state) = timeout(SILENCE, heard).await {
                break state;
            }
        };
        assert_eq!((&state["taskId"], &state["status"]), (&json!(id), &json!(WORKING)), "{state}");
        assert!(timeout(SILENCE, streams[1].next()).await.is_err(), "it is not told of others' tasks");
    });
}

#[test]
fn a_task_begun_in_another_agents_name_is_reached_by_whoever_named_it() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern).with_tasks()).await;
        let config = json!({"servers": {"one": http(&upstream)}, "exposure": {"http": "discovery"}});
        let gateway = Place::configured(config).serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        let arguments = json!({"agent_id": "worker", "server": "one", "tool": "work", "args": {}});
        let call = json!({"name": "execute_tool", "arguments": arguments, "_meta": declaring()});
        let begun = client.ask("tools/call", call).await;
        let id = begun["result"]["taskId"].as_str().unwrap_or_else(|| panic!("no task: {begun}"));
        let got = client.ask("tasks/get", json!({"taskId": id})).await;
        assert_eq!(got["result"]["status"], WORKING, "{got}");
    });
}

//! The launching program under another agent's name, and beside callers with tokens: it hears and sees what is its own.

use protocol::Era;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::initialize;
use crate::gateway::{Place, child, http};
use crate::limit::{USUAL, within};
use crate::pipe::Pipe;

const ONE: &str = "note://one";
const UPDATED: &str = "notifications/resources/updated";

async fn ask(pipe: &mut Pipe, method: &str, params: Value) -> Value {
    pipe.ask(Era::Legacy, method, params).await
}

async fn offers(pipe: &mut Pipe, wanted: &str) -> bool {
    let listing = ask(pipe, "tools/list", json!({})).await;
    let tools = listing["result"]["tools"].as_array().unwrap_or_else(|| panic!("no listing: {listing}"));
    tools.iter().any(|tool| tool["name"] == wanted)
}

/// Begins a task; returns its id.
async fn begin(pipe: &mut Pipe) -> String {
    let work = json!({"name": "one__work", "arguments": {}, "task": {"ttl": 60_000}});
    let begun = ask(pipe, "tools/call", work).await;
    begun["result"]["task"]["taskId"].as_str().unwrap_or_else(|| panic!("no task: {begun}")).to_owned()
}

/// Returns the ids of the tasks that are listed.
async fn listed(pipe: &mut Pipe) -> Vec<Value> {
    let listing = ask(pipe, "tasks/list", json!({})).await;
    let tasks = listing["result"]["tasks"].as_array().unwrap_or_else(|| panic!("no list: {listing}"));
    tasks.iter().map(|task| task["taskId"].clone()).collect()
}

#[test]
fn who_becomes_another_agent_on_the_pipe_goes_on_hearing_of_what_it_may_see() {
    within(USUAL, async {
        let tasks = FakeServer::start(Script::new(Speaks::Legacy).with_tasks()).await;
        let config = |agent: &str| {
            let rules = json!({"agents": {
                "first": {"allow": {"servers": ["one"]}},
                "second": {"allow": {"servers": ["one", "two"]}},
            }});
            let noting = child(&["--speaks", "legacy", "--resources", ONE]);
            let servers = json!({"one": noting, "two": http(&tasks)});
            let exposure = json!({"stdio": "direct"});
            json!({"version": 1, "agent": agent, "servers": servers, "rules": rules, "exposure": exposure})
        };
        let place = Place::configured(config("first"));
        let mut pipe = place.launch();
        pipe.initialize().await;
        let subscribed = ask(&mut pipe, "resources/subscribe", json!({"uri": ONE})).await;
        assert_eq!(subscribed["result"], json!({}), "{subscribed}");
        std::fs::write(place.file("toolgate.yaml"), config("second").to_string()).expect("it can be written");
        pipe.signal(Signal::HUP);
        while !offers(&mut pipe, "two__work").await {}
        // It is the second agent now, and has not asked to hear of the resource again.
        let update = json!({"name": "one__update", "arguments": {"uri": ONE, "count": 1}});
        pipe.begin(Era::Legacy, "tools/call", update).await;
        let (mut is_updated, mut is_told) = (false, false);
        while !(is_updated && is_told) {
            let message = pipe.message().await;
            is_updated |= message.get("result").is_some();
            is_told |= message["method"] == UPDATED;
        }
        // What a new session is offered is what the second agent may use.
        let anew = ask(&mut pipe, "initialize", initialize()).await;
        assert!(anew["result"]["capabilities"]["tasks"].is_object(), "{anew}");
    });
}

#[test]
fn the_launching_program_sees_others_tasks_only_where_there_are_no_others() {
    within(USUAL, async {
        let server = FakeServer::start(Script::new(Speaks::Legacy).with_tasks()).await;
        let place = Place::new(json!({"one": http(&server)}));
        let mut pipe = place.launch();
        pipe.initialize().await;
        let mut elsewhere = place.launch();
        elsewhere.initialize().await;
        let (own, others) = (begin(&mut pipe).await, begin(&mut elsewhere).await);
        let all = listed(&mut pipe).await;
        assert!(all.contains(&json!(own)) && all.contains(&json!(others)), "{all:?}");
        place.token(&["--agent", "reviewer"]).await;
        assert_eq!(listed(&mut pipe).await, [json!(own)]);
        assert_eq!(listed(&mut elsewhere).await, [json!(others)]);
    });
}

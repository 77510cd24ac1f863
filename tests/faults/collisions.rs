//! Resources of the same URI on several servers: at the endpoint for all, each leads to its own server in whatever names
//! it, and every answer names it in the same way; at a server's own endpoint it is what the server calls it.

use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};
use tokio::time::timeout;

use crate::client::Client;
use crate::gateway::{Gateway, Place, http};
use crate::limit::{USUAL, within};
use crate::wire::{Request, Wire};

/// What both servers list.
const SAME: &str = "note://same";
/// What only the first lists.
const OWN: &str = "note://own";
/// A template that both list.
const TEMPLATE: &str = "text://{id}/x";
/// Between two updates of a server of which it is not known whether it is heard already.
const AGAIN: Duration = Duration::from_millis(100);

/// Two servers that list the same, and the gateway.
struct Stage {
    _servers: [FakeServer; 2],
    _place: Place,
    gateway: Gateway,
}

impl Stage {
    async fn new(speaks: Speaks) -> Self {
        let one = FakeServer::start(script(speaks, "one", &[SAME, OWN])).await;
        let two = FakeServer::start(script(speaks, "two", &[SAME])).await;
        let place = Place::new(json!({"one": http(&one), "two": http(&two)}));
        let gateway = place.serve().await;
        gateway.ready().await;
        Self { _servers: [one, two], _place: place, gateway }
    }
}

fn script(speaks: Speaks, name: &str, resources: &[&str]) -> Script {
    let resources = resources.iter().map(|uri| (*uri).to_owned());
    let mut script = Script::new(speaks).named(name).with_resources(resources);
    script = script.with_templates([TEMPLATE.to_owned()]);
    let window = json!({"name": "window", "inputSchema": {}, "_meta": {"ui": {"resourceUri": SAME}}});
    script.tools.push(window);
    let mut result = json!({"content": [
        {"type": "resource_link", "uri": SAME, "name": "x"},
        {"type": "resource", "resource": {"uri": SAME, "text": SAME}},
        {"type": "resource_link", "uri": "text://7/x", "name": "x"},
        {"type": "text", "text": SAME},
    ], "structuredContent": {"uri": SAME}});
    if speaks == Speaks::Modern {
        result["resultType"] = json!("complete");
    }
    script.raw = result.to_string().into();
    script
}

/// The URI of ours for what both list.
fn shown(server: &str) -> String {
    format!("toolgate://{server}/note%3A%2F%2Fsame")
}

async fn listed(client: &mut Client, method: &str, (list, member): (&str, &str)) -> Vec<String> {
    let answer = client.ask(method, json!({})).await;
    let items = answer["result"][list].as_array().unwrap_or_else(|| panic!("no listing: {answer}"));
    items.iter().map(|item| item[member].as_str().expect("a URI").to_owned()).collect()
}

/// Reads a resource: the URI and the text in the answer.
async fn read(client: &mut Client, uri: &str) -> (String, String) {
    let answer = client.ask("resources/read", json!({"uri": uri})).await;
    let content = &answer["result"]["contents"][0];
    let part = |name: &str| content[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (part("uri"), part("text"))
}

async fn each(check: impl AsyncFn(&Stage, Client)) {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let stage = Stage::new(speaks).await;
        for era in [Era::Legacy, Era::Modern] {
            check(&stage, stage.gateway.client(era).await).await;
        }
    }
}

#[test]
fn each_resource_is_listed_and_read_at_its_own_server() {
    within(
        2 * USUAL,
        each(async |stage, mut client| {
            let resources = listed(&mut client, "resources/list", ("resources", "uri")).await;
            assert_eq!(resources, [shown("one"), OWN.to_owned(), shown("two")]);
            let templates =
                listed(&mut client, "resources/templates/list", ("resourceTemplates", "uriTemplate")).await;
            assert_eq!(templates, ["toolgate://one/text://{id}/x", "toolgate://two/text://{id}/x"]);
            for server in ["one", "two"] {
                let (uri, text) = read(&mut client, &shown(server)).await;
                assert_eq!((uri, text), (shown(server), format!("{SAME} of {server}")));
                let expanded = format!("toolgate://{server}/text://a%20b/x");
                let (uri, text) = read(&mut client, &expanded).await;
                assert_eq!((uri, text), (expanded, format!("text://a%20b/x of {server}")));
            }
            let plain = (OWN.to_owned(), format!("{OWN} of one"));
            assert_eq!(read(&mut client, OWN).await, plain);
            assert_eq!(read(&mut client, "toolgate://one/note%3A%2F%2Fown").await, plain);
            for unknown in ["toolgate://three/note%3A%2F%2Fsame", "toolgate://one/%zz", "toolgate://one"] {
                let answer = client.ask("resources/read", json!({"uri": unknown})).await;
                let code = if client.era == Era::Legacy { -32002 } else { -32602 };
                assert_eq!(answer["error"]["code"], code, "{unknown} {answer}");
            }
            let mut only = stage.gateway.door().only("two").open(client.era).await;
            assert_eq!(listed(&mut only, "resources/list", ("resources", "uri")).await, [SAME]);
            assert_eq!(read(&mut only, SAME).await, (SAME.to_owned(), format!("{SAME} of two")));
        }),
    );
}

#[test]
fn answers_name_resources_as_listings_do() {
    within(
        2 * USUAL,
        each(async |stage, mut client| {
            for server in ["one", "two"] {
                let answer = client.call(&format!("{server}__raw"), json!({})).await;
                let content = &answer["result"]["content"];
                assert_eq!(content[0]["uri"], shown(server), "{answer}");
                assert_eq!(content[1]["resource"], json!({"uri": shown(server), "text": SAME}));
                assert_eq!(content[2]["uri"], format!("toolgate://{server}/text://7/x"));
                assert_eq!(content[3]["text"], SAME);
                assert_eq!(answer["result"]["structuredContent"], json!({"uri": SAME}));
            }
            let answer = client.ask("tools/list", json!({})).await;
            let tools = answer["result"]["tools"].as_array().expect("a listing");
            let window = |name: &str| tools.iter().find(|tool| tool["name"] == name).expect("it is listed");
            assert_eq!(window("two__window")["_meta"]["ui"]["resourceUri"], shown("two"));
            let mut only = stage.gateway.door().only("two").open(client.era).await;
            let answer = only.call("raw", json!({})).await;
            assert_eq!(answer["result"]["content"][0]["uri"], SAME, "{answer}");
        }),
    );
}

#[test]
fn completions_find_the_server_of_their_template() {
    within(
        2 * USUAL,
        each(async |_, mut client| {
            for server in ["one", "two"] {
                let reference =
                    json!({"type": "ref/resource", "uri": format!("toolgate://{server}/{TEMPLATE}")});
                let params = json!({"ref": reference, "argument": {"name": "id", "value": ""}});
                let answer = client.ask("completion/complete", params).await;
                assert_eq!(answer["result"]["completion"]["values"], json!([server, TEMPLATE]), "{answer}");
            }
        }),
    );
}

#[test]
fn an_update_names_the_resource_that_was_subscribed_to() {
    within(
        2 * USUAL,
        each(async |stage, mut client| {
            let wire = Wire::connect(stage.gateway.address).await;
            let uri = shown("two");
            let mut events = match client.era {
                Era::Legacy => {
                    let mut stream = Request::plain("GET", "/mcp").with("Accept", "text/event-stream");
                    stream = stream.with("Mcp-Session-Id", client.session.clone().expect("a session"));
                    let events = wire.listen(&stream).await;
                    let answer = client.ask("resources/subscribe", json!({"uri": uri})).await;
                    assert_eq!(answer["result"], json!({}), "{answer}");
                    events
                }
                Era::Modern => {
                    let wanted = json!({"notifications": {"resourceSubscriptions": [uri]}});
                    let mut events = wire.listen(&client.request("1", "subscriptions/listen", wanted)).await;
                    let granted = events.next().await.expect("it is acknowledged");
                    let granted = &granted["params"]["notifications"]["resourceSubscriptions"];
                    assert_eq!(*granted, json!([uri]));
                    events
                }
            };
            let mut heard = async || -> Value {
                loop {
                    let message = events.next().await.expect("the stream goes on");
                    if message["method"] == "notifications/resources/updated" {
                        return message["params"]["uri"].clone();
                    }
                }
            };
            loop {
                for server in ["one", "two"] {
                    client.call(&format!("{server}__update"), json!({"uri": SAME, "count": 1})).await;
                }
                if let Ok(heard) = timeout(AGAIN, heard()).await {
                    assert_eq!(heard, uri);
                    break;
                }
            }
            if client.era == Era::Legacy {
                let ended = client.ask("resources/unsubscribe", json!({"uri": uri})).await;
                assert_eq!(ended["result"], json!({}), "{ended}");
            }
        }),
    );
}

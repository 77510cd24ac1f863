//! Listings that change: everybody who listens ends with the final one, and a storm is a few messages.

use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Speaks};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::Client;
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, scaled, within};
use crate::wire::Events;

/// Scaled down from 500.
const CLIENTS: usize = 40;
/// Everybody has the final list this soon after the storm, on a busy machine; a list that was missed is asked for much
/// later.
const FINAL_WITHIN: Duration = Duration::from_secs(12);

/// A client that listens.
struct Listener {
    stream: Events,
    /// Asks for lists, on a connection of its own.
    listing: Client,
}

/// What a listening client saw: how many messages, and the last list that it asked for because of one.
struct Heard {
    messages: usize,
    tools: Vec<String>,
}

impl Listener {
    /// Begins to listen; whatever changes from now on is heard.
    async fn new(gateway: &Gateway, era: Era) -> Self {
        let listing = gateway.client(era).await;
        let mut client = gateway.client(era).await;
        client.tools().await;
        Self { stream: client.changes().await, listing }
    }

    /// Listens until a list holds `wanted`, asking for it after each message.
    async fn until(mut self, wanted: String) -> Heard {
        let mut messages = 0;
        loop {
            let message = self.stream.next().await.expect("the stream goes on");
            assert_eq!(message["method"], "notifications/tools/list_changed", "{message}");
            messages += 1;
            let tools = self.listing.tools().await;
            if tools.contains(&wanted) {
                return Heard { messages, tools };
            }
        }
    }
}

/// Has a server change its list `count` times while clients listen; checks what they saw.
async fn storm(place: Place, count: u64) {
    let gateway = place.serve().await;
    gateway.ready().await;
    let wanted = format!("one__version_{count}");
    let mut caller = gateway.client(Era::Modern).await;
    let mut listeners = Vec::new();
    for number in 0..scaled(CLIENTS) {
        let era = if number % 2 == 0 { Era::Legacy } else { Era::Modern };
        listeners.push(Listener::new(&gateway, era).await);
    }
    let started = Instant::now();
    let mut listening = JoinSet::new();
    for listener in listeners {
        listening.spawn(listener.until(wanted.clone()));
    }
    caller.call("one__relist", json!({"count": count, "pause_ms": 2})).await;
    let over = Instant::now();
    let seen = listening.join_all().await;
    assert!(over.elapsed() < FINAL_WITHIN, "{:?}", over.elapsed());
    let longest = started.elapsed().as_secs() as usize + 2;
    for heard in seen {
        assert!(heard.messages <= longest, "{} messages in {longest} s", heard.messages);
        assert!(heard.tools.contains(&wanted));
    }
    // Then silence.
    let mut stream = gateway.client(Era::Legacy).await.changes().await;
    assert!(timeout(Duration::from_millis(1500), stream.next()).await.is_err(), "nothing changes any more");
}

#[test]
fn r15_a_storm_of_changes_at_a_child_is_a_few_messages_and_the_final_list() {
    within(USUAL, storm(Place::new(json!({"one": child(&["--speaks", "legacy"])})), 300));
}

#[test]
fn r15_a_storm_of_changes_at_an_http_server_is_a_few_messages_and_the_final_list() {
    within(Duration::from_secs(100), async {
        for speaks in [Speaks::Legacy, Speaks::Modern] {
            let upstream = FakeServer::start(Script::new(speaks)).await;
            storm(Place::new(json!({"one": http(&upstream)})), 100).await;
        }
    });
}

#[test]
fn r15_a_server_that_comes_back_with_another_list_is_noticed() {
    within(USUAL, async {
        let place = Place::new(json!({"one": child(&["--tools", "tools"])}));
        std::fs::write(place.file("tools"), "before").expect("a file");
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        assert!(client.tools().await.contains(&"one__before".to_owned()));
        let listener = Listener::new(&gateway, Era::Modern).await;
        std::fs::write(place.file("tools"), "after").expect("a file");
        client.call("one__exit", json!({"code": 1})).await;
        let heard = listener.until("one__after".to_owned()).await;
        assert!(!heard.tools.contains(&"one__before".to_owned()), "{:?}", heard.tools);
        assert_eq!(heard.messages, 1, "the listing changed once; that the server was away is no change");
    });
}

#[test]
fn r15_a_launched_gateway_tells_its_client_too() {
    within(USUAL, async {
        let place = Place::new(json!({"one": child(&["--speaks", "legacy"])}));
        let mut pipe = place.launch();
        pipe.initialize().await;
        pipe.ask(Era::Legacy, "tools/list", json!({})).await;
        pipe.begin(Era::Legacy, "tools/call", json!({"name": "one__relist", "arguments": {"count": 50}}))
            .await;
        let mut told = 0;
        let mut listed = false;
        while !listed {
            let message = pipe.message().await;
            if message["method"] == "notifications/tools/list_changed" {
                told += 1;
                pipe.begin(Era::Legacy, "tools/list", json!({})).await;
            }
            listed = message["result"]["tools"].to_string().contains("one__version_50");
        }
        assert!((1..=4).contains(&told), "{told} messages for 50 changes");
        assert!(pipe.end().await.0.success());
    });
}

//! Listings that change: everybody who listens ends with the final one, and a storm is a few messages.

use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Speaks};
use tokio::time::timeout;

use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, eventually, scaled, within};

/// Scaled down from 500.
const CLIENTS: usize = 40;
/// Everybody has the final list this soon after the storm.
const FINAL_WITHIN: Duration = Duration::from_secs(4);

/// What a listening client saw: how many messages, and the last list that it asked for because of one.
struct Listener {
    messages: usize,
    tools: Vec<String>,
}

/// Listens until a list holds `wanted`, asking for it after each message.
async fn listen(gateway: &Gateway, era: Era, wanted: String) -> Listener {
    let mut listing = gateway.client(era).await;
    let mut stream = {
        let mut client = gateway.client(era).await;
        client.tools().await;
        client.changes().await
    };
    let mut messages = 0;
    loop {
        let message = stream.next().await.expect("the stream goes on");
        if message["method"] == "notifications/subscriptions/acknowledged" {
            continue;
        }
        assert_eq!(message["method"], "notifications/tools/list_changed", "{message}");
        messages += 1;
        let tools = listing.tools().await;
        if tools.contains(&wanted) {
            return Listener { messages, tools };
        }
    }
}

/// Has a server change its list `count` times while clients listen; checks what they saw.
async fn storm(place: Place, count: u64) {
    let gateway = place.serve().await;
    gateway.ready().await;
    let wanted = format!("one__version_{count}");
    let mut caller = gateway.client(Era::Modern).await;
    let started = Instant::now();
    let listeners = async {
        let gateway = &gateway;
        let mut all = Vec::new();
        for number in 0..scaled(CLIENTS) {
            let era = if number % 2 == 0 { Era::Legacy } else { Era::Modern };
            all.push(listen(gateway, era, wanted.clone()));
        }
        let mut seen = Vec::new();
        for listener in futures(all).await {
            seen.push(listener);
        }
        seen
    };
    let storming = async {
        // Everybody listens before it begins: a connection each, as the gateway counts them.
        let enough = (2 * scaled(CLIENTS) + 1) as f64;
        eventually(|| async { (gateway.metric("toolgate_connections", "").await >= enough).then_some(()) })
            .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        caller.call("one__relist", json!({"count": count, "pause_ms": 2})).await;
        Instant::now()
    };
    let (seen, over) = tokio::join!(listeners, storming);
    assert!(over.elapsed() < FINAL_WITHIN, "{:?}", over.elapsed());
    let longest = started.elapsed().as_secs() as usize + 2;
    for listener in seen {
        assert!(listener.messages <= longest, "{} messages in {longest} s", listener.messages);
        assert!(listener.tools.contains(&wanted));
    }
    // Then silence.
    let mut stream = gateway.client(Era::Legacy).await.changes().await;
    assert!(timeout(Duration::from_millis(1500), stream.next()).await.is_err(), "nothing changes any more");
}

/// Runs futures side by side.
async fn futures<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in &mut pinned {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if pinned.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pinned.into_iter().filter_map(|(_, done)| done).collect()
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
        let listener = {
            let (gateway, wanted) = (&gateway, "one__after".to_owned());
            async move { listen(gateway, Era::Modern, wanted).await }
        };
        let restarting = async {
            eventually(|| async { (gateway.metric("toolgate_connections", "").await >= 3.0).then_some(()) })
                .await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            std::fs::write(place.file("tools"), "after").expect("a file");
            client.call("one__exit", json!({"code": 1})).await;
        };
        let (listener, ()) = tokio::join!(listener, restarting);
        assert!(!listener.tools.contains(&"one__before".to_owned()), "{:?}", listener.tools);
        assert_eq!(listener.messages, 1, "the listing changed once; that the server was away is no change");
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

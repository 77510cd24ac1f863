//! Resources that clients subscribe to, in either era on either side: they hear of what they subscribed to, for as long
//! as they may read it, and of nothing else; a storm of updates, a slow reader and a lost server change nothing.

use std::time::Duration;

use protocol::Era;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};
use tokio::time::timeout;

use crate::client::{Client, failure, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, eventually, within};
use crate::process;
use crate::wire::{Events, Request, Wire};

const ONE: &str = "note://one";
const TWO: &str = "note://two";
const UPDATED: &str = "notifications/resources/updated";
/// Resources that one client may subscribe to.
const MAX_WATCHED: usize = 1_000;
/// How long one that is to hear nothing is listened to.
const SILENCE: Duration = Duration::from_millis(500);
/// Between two updates of a server of which it is not known whether it is heard already.
const AGAIN: Duration = Duration::from_millis(100);
/// The most that a storm may add to the gateway's memory, whoever does not read.
const STORM_KIB: u64 = 16 * 1024;

/// A client that has subscribed, and its stream.
struct Subscriber {
    client: Client,
    events: Events,
}

impl Subscriber {
    /// Subscribes to `uris`, all of which must be granted.
    async fn new(gateway: &Gateway, token: Option<&str>, era: Era, uris: &[&str]) -> Self {
        let mut door = gateway.door();
        if let Some(token) = token {
            door = door.with_token(token);
        }
        let mut client = door.open(era).await;
        let wire = Wire::connect(gateway.address).await;
        match era {
            Era::Legacy => {
                let mut stream = Request::plain("GET", "/mcp").with("Accept", "text/event-stream");
                stream = stream.with("Mcp-Session-Id", client.session.clone().expect("a session"));
                if let Some(token) = token {
                    stream = stream.bearer(token);
                }
                let events = wire.listen(&stream).await;
                for uri in uris {
                    let answer = client.ask("resources/subscribe", json!({"uri": uri})).await;
                    assert_eq!(answer["result"], json!({}), "{answer}");
                }
                Self { client, events }
            }
            Era::Modern => {
                let wanted = json!({"notifications": {"resourceSubscriptions": uris}});
                let request = client.request("\"listen\"", "subscriptions/listen", wanted);
                let mut events = wire.listen(&request).await;
                let acknowledged = events.next().await.expect("it is acknowledged");
                assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
                let granted = &acknowledged["params"]["notifications"]["resourceSubscriptions"];
                assert_eq!(*granted, json!(uris));
                Self { client, events }
            }
        }
    }

    /// Waits for the next update; returns its URI.
    async fn next(&mut self) -> String {
        loop {
            let message = self.events.next().await.expect("the stream goes on");
            if message["method"] == UPDATED {
                if self.client.era == Era::Modern {
                    let meta = &message["params"]["_meta"];
                    assert_eq!(meta["io.modelcontextprotocol/subscriptionId"], "listen");
                }
                return message["params"]["uri"].as_str().expect("a URI").to_owned();
            }
        }
    }

    /// Has the server change a resource until that is heard: an HTTP server may not be listened to yet.
    async fn hears(&mut self, server: &str, uri: &str) {
        loop {
            update(&mut self.client, server, uri, 1).await;
            if let Ok(heard) = timeout(AGAIN, self.next()).await {
                assert_eq!(heard, uri);
                return;
            }
        }
    }

    /// Reads what lies ready; returns what was updated.
    async fn ready(&mut self) -> Vec<String> {
        let mut updated = Vec::new();
        while let Ok(uri) = timeout(SILENCE, self.next()).await {
            updated.push(uri);
        }
        updated
    }
}

async fn update(client: &mut Client, server: &str, uri: &str, count: u64) {
    let answer = client.call(&format!("{server}__update"), json!({"uri": uri, "count": count})).await;
    assert_eq!(text(&answer), "updated", "{answer}");
}

fn script(speaks: Speaks) -> Script {
    Script::new(speaks).with_resources([ONE, TWO].map(str::to_owned))
}

fn noting(speaks: &str) -> Value {
    child(&["--speaks", speaks, "--resources", &[ONE, TWO].join(",")])
}

async fn serve(servers: Value) -> (Place, Gateway) {
    let place = Place::new(servers);
    let gateway = place.serve().await;
    gateway.ready().await;
    (place, gateway)
}

#[test]
fn clients_hear_of_what_they_subscribed_to() {
    within(2 * USUAL, async {
        for speaks in [Speaks::Legacy, Speaks::Modern] {
            let upstream = FakeServer::start(script(speaks)).await;
            let word = if speaks == Speaks::Legacy { "legacy" } else { "modern" };
            for server in [http(&upstream), noting(word)] {
                let (_place, gateway) = serve(json!({ "one": server })).await;
                for era in [Era::Legacy, Era::Modern] {
                    let mut subscriber = Subscriber::new(&gateway, None, era, &[ONE]).await;
                    subscriber.hears("one", ONE).await;
                    update(&mut subscriber.client, "one", TWO, 1).await;
                    // Of what it asked for it may have been told more than once.
                    let heard = subscriber.ready().await;
                    assert!(heard.iter().all(|uri| uri == ONE), "{word} {era:?}: {heard:?}");
                }
            }
        }
    });
}

#[test]
fn who_unsubscribes_hears_nothing_more() {
    within(USUAL, async {
        let (_place, gateway) = serve(json!({"one": noting("legacy")})).await;
        let mut subscriber = Subscriber::new(&gateway, None, Era::Legacy, &[ONE, TWO]).await;
        let ended = subscriber.client.ask("resources/unsubscribe", json!({"uri": ONE})).await;
        assert_eq!(ended["result"], json!({}), "{ended}");
        update(&mut subscriber.client, "one", ONE, 1).await;
        update(&mut subscriber.client, "one", TWO, 1).await;
        assert_eq!(subscriber.next().await, TWO);
        assert_eq!(subscriber.ready().await, [""; 0]);
        // Every one of these stands in the trail, as a read would.
        let begun =
            gateway.trail.lines().into_iter().filter(|line| {
                line["method"].as_str().is_some_and(|method| method.starts_with("resources/"))
            });
        assert!(begun.count() >= 3);
    });
}

#[test]
fn what_cannot_be_read_cannot_be_subscribed_to() {
    within(USUAL, async {
        let (_place, gateway) = serve(json!({"one": noting("legacy"), "deaf": child(&[])})).await;
        let mut client = gateway.client(Era::Legacy).await;
        let unknown = client.ask("resources/subscribe", json!({"uri": "note://nowhere"})).await;
        assert_eq!(unknown["error"]["code"], -32002, "{unknown}");
        let read = client.ask("resources/read", json!({"uri": "other://nowhere"})).await;
        let subscribed = client.ask("resources/subscribe", json!({"uri": "other://nowhere"})).await;
        assert_eq!(subscribed["error"]["code"], -32002, "{subscribed} {read}");
        let nameless = client.ask("resources/subscribe", json!({})).await;
        assert_eq!(nameless["error"]["code"], -32602, "{nameless}");
        let mut modern = gateway.client(Era::Modern).await;
        let absent = modern.ask("resources/subscribe", json!({"uri": ONE})).await;
        assert_eq!(absent["error"]["code"], -32601, "{absent}");
    });
}

#[test]
fn the_bound_of_subscriptions_is_told_as_such() {
    within(USUAL, async {
        let uris: Vec<String> = (0..=MAX_WATCHED).map(|number| format!("note://{number}")).collect();
        let upstream = FakeServer::start(Script::new(Speaks::Legacy).with_resources(uris.clone())).await;
        let (_place, gateway) = serve(json!({"one": http(&upstream)})).await;
        let mut client = gateway.client(Era::Legacy).await;
        let (last, uris) = uris.split_last().expect("there are some");
        for uri in uris {
            let answer = client.ask("resources/subscribe", json!({ "uri": uri })).await;
            assert_eq!(answer["result"], json!({}), "{answer}");
        }
        let refused = client.ask("resources/subscribe", json!({ "uri": last })).await;
        assert_eq!(failure(&refused), "TOO_MANY_SUBSCRIPTIONS", "{refused}");
        client.ask("resources/unsubscribe", json!({"uri": uris[0]})).await;
        let answer = client.ask("resources/subscribe", json!({ "uri": last })).await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    });
}

#[test]
fn a_storm_of_updates_is_bounded_whoever_does_not_read() {
    within(2 * USUAL, async {
        for speaks in ["legacy", "modern"] {
            let (_place, gateway) = serve(json!({"one": noting(speaks)})).await;
            let mut caller = gateway.client(Era::Modern).await;
            let mut reader = Subscriber::new(&gateway, None, Era::Legacy, &[ONE, TWO]).await;
            let mut slow = Vec::new();
            for number in 0..20 {
                let era = if number % 2 == 0 { Era::Legacy } else { Era::Modern };
                slow.push(Subscriber::new(&gateway, None, era, &[ONE, TWO]).await);
            }
            // What the first update brings in is not what is measured.
            update(&mut caller, "one", ONE, 1).await;
            assert_eq!(reader.next().await, ONE);
            let before = process::memory_kib(gateway.pid(), "VmRSS");
            update(&mut caller, "one", ONE, 10_000).await;
            update(&mut caller, "one", TWO, 1).await;
            // The last state of each is told.
            let mut last = String::new();
            while last != TWO {
                last = reader.next().await;
            }
            for subscriber in &mut slow {
                while subscriber.next().await != TWO {}
            }
            let grown = process::memory_kib(gateway.pid(), "VmRSS").saturating_sub(before);
            println!("{grown} KiB more after the storm");
            assert!(grown < STORM_KIB, "{grown} KiB");
            assert_eq!(text(&caller.call("one__echo", json!({"text": "x"})).await), "x");
        }
    });
}

#[test]
fn a_server_that_was_lost_is_asked_again() {
    within(2 * USUAL, async {
        for speaks in ["legacy", "modern"] {
            let (_place, gateway) = serve(json!({"one": noting(speaks)})).await;
            for era in [Era::Legacy, Era::Modern] {
                let mut subscriber = Subscriber::new(&gateway, None, era, &[ONE]).await;
                subscriber.client.call("one__exit", json!({"code": 1})).await;
                assert_eq!(subscriber.next().await, ONE, "it may have changed meanwhile");
                subscriber.hears("one", ONE).await;
            }
        }
        for speaks in [Speaks::Legacy, Speaks::Modern] {
            let upstream = FakeServer::start(script(speaks)).await;
            let (_place, gateway) = serve(json!({"one": http(&upstream)})).await;
            let mut subscriber = Subscriber::new(&gateway, None, Era::Modern, &[ONE]).await;
            subscriber.hears("one", ONE).await;
            upstream.kill().await;
            upstream.revive().await;
            let told = async { while subscriber.next().await != ONE {} };
            timeout(USUAL / 2, told).await.expect("it is told that it may have changed");
            subscriber.client.until_answered("one").await;
            subscriber.hears("one", ONE).await;
        }
    });
}

#[test]
fn who_loses_the_access_hears_nothing_more() {
    within(USUAL, async {
        let config = |loser: &str| {
            let rules = json!({"agents": {
                "keeper": {"allow": {"servers": ["one"]}},
                "loser": {"allow": {"servers": [loser]}},
            }});
            json!({"version": 1, "servers": {"one": noting("legacy"), "two": child(&[])}, "rules": rules})
        };
        let place = Place::configured(config("one"));
        let (keeper, _) = place.token(&["--agent", "keeper"]).await;
        let (loser, _) = place.token(&["--agent", "loser"]).await;
        let gateway = place.serve().await;
        let mut client = gateway.door().with_token(&keeper).open(Era::Modern).await;
        client.until_answered("one").await;
        let mut keeper = Subscriber::new(&gateway, Some(&keeper), Era::Modern, &[ONE]).await;
        let mut losers = Vec::new();
        for era in [Era::Legacy, Era::Modern] {
            losers.push(Subscriber::new(&gateway, Some(&loser), era, &[ONE]).await);
        }
        update(&mut keeper.client, "one", ONE, 1).await;
        assert_eq!(keeper.next().await, ONE);
        for subscriber in &mut losers {
            assert_eq!(subscriber.next().await, ONE);
        }
        std::fs::write(place.file("toolgate.yaml"), config("two").to_string()).expect("it can be written");
        gateway.signal(Signal::HUP);
        let mut asking = gateway.door().with_token(&loser).open(Era::Modern).await;
        eventually(|| std::future::ready((!gateway.trail.events("reloaded").is_empty()).then_some(()))).await;
        while asking.tools().await.iter().any(|tool| tool.starts_with("one__")) {
            tokio::task::yield_now().await;
        }
        update(&mut keeper.client, "one", ONE, 1).await;
        assert_eq!(keeper.next().await, ONE);
        for subscriber in &mut losers {
            assert_eq!(subscriber.ready().await, [""; 0], "{:?}", subscriber.client.era);
        }
    });
}

/// The streams are not asked for a sign of life in the time of the test: that is not what ends them.
#[test]
fn whose_token_is_revoked_hears_nothing_more() {
    within(USUAL, async {
        let servers = json!({"one": noting("legacy")});
        let place = Place::configured(json!({"servers": servers, "limits": {"sse_keep_alive_ms": 600_000}}));
        let (kept, _) = place.token(&["--agent", "kept"]).await;
        let (leaving, id) = place.token(&["--agent", "leaving"]).await;
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut keeper = Subscriber::new(&gateway, Some(&kept), Era::Legacy, &[ONE]).await;
        let mut leavers = Vec::new();
        for era in [Era::Legacy, Era::Modern] {
            leavers.push(Subscriber::new(&gateway, Some(&leaving), era, &[ONE]).await);
        }
        update(&mut keeper.client, "one", ONE, 1).await;
        assert_eq!(keeper.next().await, ONE);
        for subscriber in &mut leavers {
            assert_eq!(subscriber.next().await, ONE);
        }
        let revoked = place.command(&["token", "revoke", &id]).output().await.expect("the program");
        assert!(revoked.status.success(), "{revoked:?}");
        // Neither of the resource nor of the list.
        update(&mut keeper.client, "one", ONE, 1).await;
        assert_eq!(keeper.next().await, ONE);
        keeper.client.call("one__relist", json!({"count": 1})).await;
        let changed = async { keeper.events.next().await.expect("the stream goes on")["method"].clone() };
        assert_eq!(changed.await, "notifications/tools/list_changed");
        for subscriber in &mut leavers {
            let heard = timeout(SILENCE, subscriber.events.next()).await;
            // Silence, or the end of the stream.
            assert!(!matches!(heard, Ok(Some(_))), "{:?}: {heard:?}", subscriber.client.era);
        }
    });
}

#[test]
fn who_becomes_another_agent_on_the_pipe_hears_nothing_more_of_the_first_ones_servers() {
    const LISTS: [&str; 2] = ["notifications/tools/list_changed", "notifications/resources/list_changed"];
    within(USUAL, async {
        let config = |agent: &str| {
            let rules = json!({"agents": {
                "first": {"allow": {"servers": ["one"]}},
                "second": {"allow": {"servers": ["two"]}},
            }});
            let servers = json!({"one": noting("legacy"), "two": child(&[])});
            let exposure = json!({"stdio": "direct"});
            json!({"version": 1, "agent": agent, "servers": servers, "rules": rules, "exposure": exposure})
        };
        let place = Place::configured(config("first"));
        let mut pipe = place.launch();
        pipe.initialize().await;
        let subscribed = pipe.ask(Era::Legacy, "resources/subscribe", json!({"uri": ONE})).await;
        assert_eq!(subscribed["result"], json!({}), "{subscribed}");
        // The resource changes throughout, by a call that was begun as the first agent.
        let arguments = json!({"uri": ONE, "count": 1_000_000, "pause_ms": 5});
        let changing = json!({"name": "one__update", "arguments": arguments});
        pipe.begin(Era::Legacy, "tools/call", changing).await;
        while pipe.message().await["method"] != UPDATED {}
        std::fs::write(place.file("toolgate.yaml"), config("second").to_string()).expect("it can be written");
        pipe.signal(Signal::HUP);
        // Until it is the second agent it may hear of the resource.
        let mut heard = Vec::new();
        let mut is_refused = false;
        while !is_refused {
            pipe.begin(Era::Legacy, "resources/read", json!({"uri": ONE})).await;
            let mut message = pipe.message().await;
            while message.get("method").is_some() {
                heard.push(message["method"].clone());
                message = pipe.message().await;
            }
            is_refused = message.get("error").is_some();
        }
        heard.retain(|method| *method != UPDATED);
        // It hears that its lists are others, once; no more of the resource, nor that the call, and with it the changes, had
        // an end.
        while heard.len() < LISTS.len() {
            heard.push(pipe.message().await["method"].clone());
        }
        assert_eq!(heard, LISTS);
        let more = timeout(SILENCE, pipe.message()).await;
        assert!(more.is_err(), "the second agent hears of the first one's server: {more:?}");
    });
}

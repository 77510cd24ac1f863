//! Resources that are watched: servers are asked once for each, whoever watches; what they say reaches those who do,
//! and nobody else; and a server that was lost is asked again.

use std::sync::Arc;

use bytes::Bytes;
use catalog::{Catalog, Listing, Naming, View};
use domain::{AgentId, AgentSource, Principal, ServerId, ServerScope};
use policy::{Permit, Policy};
use protocol::{Routing, Version};
use serde_json::{Value, json};
use tokio::time::timeout;
use upstream::{MAX_WATCHED, Update, WatchError, Watcher};

use crate::stage::{PATIENCE, Stage, Test, cleared, open, stub_config, with_stub};

pub(crate) const TESTS: &[Test] = &[
    ("a_watched_resource_is_heard_of_legacy", || is_heard_of(&["resources"])),
    ("a_watched_resource_is_heard_of_modern", || is_heard_of(&["resources", "modern"])),
    ("a_resource_is_subscribed_to_once_legacy", || is_shared(&["resources"])),
    ("a_resource_is_subscribed_to_once_modern", || is_shared(&["resources", "modern"])),
    ("what_a_server_refuses_is_not_watched_legacy", || is_refused(&["resources"])),
    ("what_a_server_refuses_is_not_watched_modern", || is_refused(&["resources", "modern"])),
    ("a_server_without_subscriptions_is_not_asked_legacy", || is_unsupported(&[])),
    ("a_server_without_subscriptions_is_not_asked_modern", || is_unsupported(&["modern"])),
    ("a_storm_of_updates_is_told_once_legacy", || is_coalesced(&["resources"])),
    ("a_storm_of_updates_is_told_once_modern", || is_coalesced(&["resources", "modern"])),
    ("a_server_that_died_is_asked_again_legacy", || is_asked_again(&["resources"])),
    ("a_server_that_died_is_asked_again_modern", || is_asked_again(&["resources", "modern"])),
    ("a_server_that_was_changed_is_asked_again", survives_a_change),
    ("a_subscription_that_ends_is_made_anew", is_made_anew),
    ("one_watcher_has_a_bound", is_bounded),
];

fn permit(server: &str, uri: &str) -> Permit {
    let capabilities = Bytes::from_static(b"{\"resources\":{\"subscribe\":true}}");
    let mut listing = Listing::empty(Version::V2025_11_25, capabilities);
    listing.resources.push(json!({"uri": uri, "name": "a"}).to_string().into());
    let (id, listing) = (ServerId::new(server).unwrap(), cleared(listing));
    let catalog = Catalog::build(Naming::default(), [(&id, &listing)]);
    let route = catalog.route(&View::Server(id), Routing::Resource, uri, &ServerScope::All).unwrap();
    let principal = Principal {
        agent: AgentId::new("someone").unwrap(),
        agent_source: AgentSource::Launch,
        user: None,
        roles: Vec::<Arc<str>>::new(),
        token: None,
        servers: ServerScope::All,
    };
    Policy::grants_only().authorize(&principal, route).unwrap()
}

async fn watch(watcher: &Watcher, uri: &str) -> Result<(), WatchError> {
    timeout(PATIENCE, watcher.watch(&permit("stub", uri))).await.expect("the server answers in time")
}

/// Waits for the next update.
async fn next(watcher: &Watcher) -> String {
    let updated = timeout(PATIENCE, watcher.next()).await.expect("it is told in time");
    assert_eq!(updated.server().as_str(), "stub");
    match open(updated.into_what()) {
        Update::Resource(uri) => uri.to_string(),
        Update::Task(state) => panic!("nobody watches a task: {state:?}"),
    }
}

/// Makes sure that nothing waits to be told.
async fn nothing(watcher: &Watcher) {
    // What waits is there at once.
    let waiting = timeout(std::time::Duration::ZERO, watcher.next()).await;
    assert!(waiting.is_err(), "{waiting:?}");
}

async fn update(stage: &Stage, uri: &str) {
    stage.call("update", json!({"uri": uri})).await.unwrap();
}

async fn subscribed(stage: &Stage) -> Vec<Value> {
    stage.call("subscribed", json!({})).await.unwrap()["uris"].as_array().unwrap().clone()
}

/// Asks until this is what the server has been asked for.
async fn until_subscribed(stage: &Stage, uris: &[&str]) {
    let asking = async {
        while subscribed(stage).await != uris {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking).await.expect("the server is told in time");
}

fn is_heard_of(manners: &[&str]) {
    with_stub(manners, async |stage| {
        let (watcher, other) = (stage.upstreams.watcher(), stage.upstreams.watcher());
        watch(&watcher, "note://a").await.unwrap();
        watch(&other, "note://b").await.unwrap();
        nothing(&watcher).await;
        update(stage, "note://a").await;
        assert_eq!(next(&watcher).await, "note://a");
        // A part of it is told by its own name; what only begins with the same letters is something else.
        update(stage, "note://abc").await;
        update(stage, "note://a/part").await;
        assert_eq!(next(&watcher).await, "note://a/part");
        update(stage, "note://a/part").await;
        update(stage, "note://a/other").await;
        assert_eq!(next(&watcher).await, "note://a", "several parts are the whole");
        nothing(&watcher).await;
        nothing(&other).await;
    });
}

fn is_shared(manners: &[&str]) {
    with_stub(manners, async |stage| {
        let (one, two) = (stage.upstreams.watcher(), stage.upstreams.watcher());
        watch(&one, "note://a").await.unwrap();
        watch(&one, "note://a").await.unwrap();
        watch(&two, "note://a").await.unwrap();
        until_subscribed(stage, &["note://a"]).await;
        update(stage, "note://a").await;
        assert_eq!((next(&one).await, next(&two).await), ("note://a".to_owned(), "note://a".to_owned()));
        assert_eq!(one.unwatch(None, "note://a").len(), 1);
        assert!(one.unwatch(None, "note://a").is_empty());
        until_subscribed(stage, &["note://a"]).await;
        update(stage, "note://a").await;
        assert_eq!(next(&two).await, "note://a");
        nothing(&one).await;
        drop(two);
        until_subscribed(stage, &[]).await;
    });
}

fn is_refused(manners: &[&str]) {
    with_stub(manners, async |stage| {
        let watcher = stage.upstreams.watcher();
        let refused = watch(&watcher, "note://refused").await.unwrap_err();
        assert!(
            matches!(refused, WatchError::Refused { code: -32002, .. } | WatchError::LeftOut(_)),
            "{refused:?}"
        );
        watch(&watcher, "note://a").await.unwrap();
        until_subscribed(stage, &["note://a"]).await;
        update(stage, "note://refused").await;
        update(stage, "note://a").await;
        assert_eq!(next(&watcher).await, "note://a");
        nothing(&watcher).await;
    });
}

fn is_unsupported(manners: &[&str]) {
    with_stub(manners, async |stage| {
        let watcher = stage.upstreams.watcher();
        let refused = watch(&watcher, "note://a").await.unwrap_err();
        assert!(matches!(refused, WatchError::Unsupported(_)), "{refused:?}");
        let asked =
            stage.seen().await.into_iter().filter(|message| message["method"] == "resources/subscribe");
        assert_eq!(asked.count(), 0);
    });
}

fn is_coalesced(manners: &[&str]) {
    with_stub(manners, async |stage| {
        let watcher = stage.upstreams.watcher();
        watch(&watcher, "note://a").await.unwrap();
        watch(&watcher, "note://b").await.unwrap();
        stage.call("update", json!({"uri": "note://a", "count": 10_000})).await.unwrap();
        update(stage, "note://b").await;
        assert_eq!(next(&watcher).await, "note://a");
        assert_eq!(next(&watcher).await, "note://b");
        nothing(&watcher).await;
        assert_eq!(stage.state("stub").counters.dropped_notifications, 0);
    });
}

fn is_asked_again(manners: &[&str]) {
    with_stub(manners, async |stage| {
        let watcher = stage.upstreams.watcher();
        watch(&watcher, "note://a").await.unwrap();
        watch(&watcher, "note://b").await.unwrap();
        watcher.unwatch(None, "note://b");
        stage.call("die", json!({})).await.unwrap_err();
        // It may have changed meanwhile.
        assert_eq!(next(&watcher).await, "note://a");
        until_subscribed(stage, &["note://a"]).await;
        update(stage, "note://a").await;
        assert_eq!(next(&watcher).await, "note://a");
        nothing(&watcher).await;
    });
}

fn survives_a_change() {
    with_stub(&["resources"], async |stage| {
        let watcher = stage.upstreams.watcher();
        watch(&watcher, "note://a").await.unwrap();
        stage.apply(&[("stub", stub_config(&["resources", "modern"]))]);
        assert_eq!(next(&watcher).await, "note://a");
        until_subscribed(stage, &["note://a"]).await;
        update(stage, "note://a").await;
        assert_eq!(next(&watcher).await, "note://a");
    });
}

fn is_made_anew() {
    with_stub(&["resources", "modern"], async |stage| {
        let watcher = stage.upstreams.watcher();
        watch(&watcher, "note://a").await.unwrap();
        stage.call("end-listening", json!({})).await.unwrap();
        assert_eq!(next(&watcher).await, "note://a");
        until_subscribed(stage, &["note://a"]).await;
    });
}

fn is_bounded() {
    with_stub(&["resources", "modern"], async |stage| {
        let watcher = stage.upstreams.watcher();
        let watching: Vec<_> = (0..MAX_WATCHED).map(|number| format!("note://{number}")).collect();
        let all = watching.iter().map(|uri| watch(&watcher, uri));
        for watched in futures_util::future::join_all(all).await {
            watched.unwrap();
        }
        assert_eq!(watch(&watcher, "note://more").await, Err(WatchError::Full { limit: MAX_WATCHED }));
        assert_eq!(watch(&watcher, &format!("note://{}", "x".repeat(4096))).await, Err(WatchError::TooLong));
        let other = stage.upstreams.watcher();
        watch(&other, "note://more").await.unwrap();
    });
}

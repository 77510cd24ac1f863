//! What clients are told of the resources and tasks that they named: judged anew each time, because access may have
//! been lost since. A client hears of each as often as it reads; each waits at most once, in its watcher.

use bytes::Bytes;
use domain::{ServerId, Subject, Target};
use protocol::{Edit, Object, RequestId, Routing, encode, meta, splice};
use upstream::{Update, Watcher};

use crate::{Proxy, Snapshot, admission::Viewpoint, uris::Renaming};

/// The method that says that a resource has changed.
pub(crate) const RESOURCE: &str = "notifications/resources/updated";
/// The method that says what has become of a task (extension `io.modelcontextprotocol/tasks`).
const TASK: &str = "notifications/tasks";

/// Waits for news of something watched that the caller may know now, as its endpoint shows it. Who has lost the access
/// since it subscribed, or its token, hears nothing. Blocks for one file access when there is news. Cancel safe.
pub(crate) async fn next_update(proxy: &Proxy, viewpoint: &Viewpoint, watcher: &Watcher) -> Update {
    loop {
        let updated = watcher.next().await;
        let viewpoint = &viewpoint.followed(&proxy.identity);
        let snapshot = proxy.snapshots.current();
        let world = &snapshot.configured;
        let subject = Subject { server: updated.server().clone(), target: Target::Server };
        if !viewpoint.may_hear(&proxy.identity, world, &subject.server) {
            continue;
        }
        let Ok(update) = world.guardrails.screen_result(&subject, updated.into_what()) else { continue };
        if let Some(update) = shown(proxy, &snapshot, viewpoint, &subject.server, update.into_inner()) {
            return update;
        }
    }
}

/// Returns the update as the caller's endpoint shows it; `None` for a task that is not known to be the caller's.
fn shown(
    proxy: &Proxy,
    snapshot: &Snapshot,
    viewpoint: &Viewpoint,
    server: &ServerId,
    update: Update,
) -> Option<Update> {
    let (catalog, view) = (&snapshot.catalog, &viewpoint.view);
    match update {
        Update::Resource(uri) => Some(Update::Resource(catalog.shown_uri(view, server, &uri).into())),
        Update::Task(params) => {
            let is_own = Object::parse(&params, &["taskId"]).is_ok_and(|object| {
                let id = object.string("taskId");
                id.is_some_and(|id| proxy.tasks.is_own(&viewpoint.caller.principal().key(), server, &id))
            });
            let renaming = Renaming::of(catalog, view, server, Routing::Task);
            is_own.then(|| {
                Update::Task(renaming.map_or(params.clone(), |renaming| renaming.applied_to(params)))
            })
        }
    }
}

/// Writes the notification of an update: on the modern stream that `subscription` opened, or to a legacy client.
pub(crate) fn notification(update: &Update, subscription: Option<&RequestId>) -> Bytes {
    let (method, params) = match update {
        Update::Resource(uri) => (RESOURCE, serde_json::json!({ "uri": &**uri }).to_string().into()),
        Update::Task(params) => (TASK, params.to_vec()),
    };
    encode::notification(method, Some(&with_subscription(params, subscription))).into()
}

/// Puts our subscription's id in the place of the server's. Every other member keeps its bytes.
fn with_subscription(params: Vec<u8>, subscription: Option<&RequestId>) -> Vec<u8> {
    let Ok(object) = Object::parse(&params, &[]) else { return params };
    let own = object.get("_meta").and_then(|text| meta::parse(text).ok());
    let id =
        subscription.map(|id| (meta::SUBSCRIPTION_ID, String::from_utf8_lossy(id.as_json()).into_owned()));
    let kept = own.iter().flat_map(Object::iter).filter(|(name, _)| *name != meta::SUBSCRIPTION_ID);
    let members: Vec<String> = kept
        .map(|(name, value)| (name, value.to_owned()))
        .chain(id)
        .map(|(name, value)| format!("{}:{value}", serde_json::json!(name)))
        .collect();
    let members = format!("{{{}}}", members.join(","));
    let mut written = Vec::with_capacity(params.len() + members.len() + 16);
    match object.span("_meta") {
        Some(at) => splice(&mut written, &params, &[Edit { at, with: members.as_bytes() }]),
        None => {
            let brace = memchr::memchr(b'{', &params).expect("the parameters were read as an object") + 1;
            let comma = if object.is_empty() { "" } else { "," };
            let with = format!(r#""_meta":{members}{comma}"#);
            splice(&mut written, &params, &[Edit { at: brace..brace, with: with.as_bytes() }]);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_subscription_is_another() {
        let check = |update: &Update, expected: &str| {
            let written = notification(update, Some(&RequestId::from_json("\"mine\"").unwrap()));
            let params = expected.replace("ID", r#""io.modelcontextprotocol/subscriptionId":"mine""#);
            assert!(
                String::from_utf8_lossy(&written).contains(&format!(r#""params":{params}"#)),
                "{written:?}"
            );
        };
        let task = |text: &'static str| Update::Task(Bytes::from_static(text.as_bytes()));
        let theirs =
            r#"{ "taskId":"7" , "_meta":{"a/b":1.50,"io.modelcontextprotocol/subscriptionId":7},"x":1e2}"#;
        check(&task(theirs), r#"{ "taskId":"7" , "_meta":{"a/b":1.50,ID},"x":1e2}"#);
        check(&task(r#"{"taskId":"7"}"#), r#"{"_meta":{ID},"taskId":"7"}"#);
        check(&Update::Resource("a:b".into()), r#"{"_meta":{ID},"uri":"a:b"}"#);
    }
}

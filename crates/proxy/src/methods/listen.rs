//! `subscriptions/listen` (specification 2026-07-28, subscriptions): the modern client's way to hear of changes, of
//! lists and of resources and tasks that it names.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use protocol::{BadParams, MethodRow, Object, Params, Request, RequestId, encode, meta};
use serde_json::{Value, json};
use upstream::{MAX_WATCHED, Watcher};

use super::subscribe::{self, Kind};
use crate::{
    Proxy,
    admission::{Admission, Viewpoint},
    changes::Changes,
    error::Failure,
    updates::{self, next_update},
};

/// The filters for lists that are honoured, with the notification each lets through.
const LISTS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];
/// The filters that name single things.
const NAMED: [(&str, Kind); 2] = [("resourceSubscriptions", Kind::Resource), ("taskIds", Kind::Task)];

/// What is named, and may be heard of.
type Named = Vec<(Kind, String)>;

/// The subscriptions to single things that are being made; brings those that were.
type Subscribing = Pin<Box<dyn Future<Output = Named> + Send>>;

/// One open subscription.
pub(crate) struct Listening {
    id: RequestId,
    viewpoint: Viewpoint,
    lists: Vec<(&'static str, &'static str)>,
    changes: Changes,
    watcher: Arc<Watcher>,
    /// The filters for single things that the client has.
    named: Vec<(&'static str, Kind)>,
    /// There until the subscription is acknowledged.
    opening: Option<Subscribing>,
}

impl Listening {
    /// Opens a subscription for the filters that the client asked for and the gateway honours.
    ///
    /// # Errors
    /// [`Failure::Params`] when `notifications` is missing or no object.
    pub(super) fn new(
        proxy: &Arc<Proxy>,
        admission: Admission,
        row: &'static MethodRow,
        (request, params): (&Request, &Params),
    ) -> Result<Self, Failure> {
        let object = Object::parse(params.raw(), &["notifications"]).map_err(BadParams::from)?;
        let filter = object.get("notifications").ok_or(BadParams::Missing("notifications"))?;
        let known = [
            "toolsListChanged",
            "promptsListChanged",
            "resourcesListChanged",
            "resourceSubscriptions",
            "taskIds",
        ];
        let filter = Object::parse(filter.as_bytes(), &known).map_err(BadParams::from)?;
        let lists = LISTS.into_iter().filter(|(name, _)| filter.get(name) == Some("true")).collect();
        let (mut named, mut wanted) = (Vec::new(), Named::new());
        for (member, kind) in NAMED {
            let Some(text) = filter.get(member) else { continue };
            named.push((member, kind));
            wanted.extend(names(member, text)?.into_iter().map(|name| (kind, name)));
        }
        let viewpoint = admission.viewpoint().clone();
        let changes = Changes::new(proxy, viewpoint.clone());
        let watcher = Arc::new(proxy.upstreams.watcher());
        let opening: Subscribing = {
            let (proxy, watcher) = (Arc::clone(proxy), Arc::clone(&watcher));
            Box::pin(async move {
                subscribe::subscribe_together(&proxy, &admission, &watcher, row, &wanted).await
            })
        };
        let (id, opening) = (request.id.clone(), Some(opening));
        Ok(Self { id, viewpoint, lists, changes, watcher, named, opening })
    }

    /// Waits for the next messages to send: first the acknowledgement, then changes. Cancel safe.
    pub(crate) async fn next(&mut self, proxy: &Proxy) -> Vec<Bytes> {
        if let Some(opening) = &mut self.opening {
            let agreed = opening.await;
            self.opening = None;
            return vec![self.acknowledgement(&agreed)];
        }
        loop {
            let messages: Vec<Bytes> = tokio::select! {
                changed = self.changes.next(proxy) => {
                    let is_wanted = |method: &&str| self.lists.iter().any(|(_, wanted)| wanted == method);
                    let wanted = changed.into_iter().filter(is_wanted);
                    wanted.map(|method| self.message(method, json!({}))).collect()
                }
                update = next_update(proxy, &self.viewpoint, &self.watcher) => {
                    vec![updates::notification(&update, Some(&self.id))]
                }
            };
            if !messages.is_empty() {
                return messages;
            }
        }
    }

    /// Builds the final answer that ends the subscription.
    pub(crate) fn end(&self) -> Bytes {
        let result = json!({"resultType": "complete", "_meta": {meta::SUBSCRIPTION_ID: self.id_value()}});
        encode::result(&self.id, result.to_string().as_bytes()).into()
    }

    /// Says which of the filters are honoured, and which of what they name.
    fn acknowledgement(&self, agreed: &Named) -> Bytes {
        let lists = self.lists.iter().map(|(name, _)| ((*name).to_owned(), Value::Bool(true)));
        let named = self.named.iter().map(|(member, kind)| {
            let names = agreed.iter().filter(|(agreed, _)| agreed == kind).map(|(_, name)| name);
            ((*member).to_owned(), names.cloned().collect())
        });
        let honoured: serde_json::Map<String, Value> = lists.chain(named).collect();
        self.message("notifications/subscriptions/acknowledged", json!({"notifications": honoured}))
    }

    fn message(&self, method: &str, mut params: Value) -> Bytes {
        params["_meta"] = json!({meta::SUBSCRIPTION_ID: self.id_value()});
        encode::notification(method, Some(params.to_string().as_bytes())).into()
    }

    /// The id keeps its JSON type; a number that JSON readers would change is kept as text.
    fn id_value(&self) -> Value {
        serde_json::from_slice(self.id.as_json()).unwrap_or(Value::Null)
    }
}

/// Reads what a client names in a filter, each once. Beyond what one client may watch, the rest is left out.
fn names(member: &'static str, text: &str) -> Result<Vec<String>, BadParams> {
    let named: Vec<String> = serde_json::from_str(text).map_err(|_| BadParams::Missing(member))?;
    let mut seen = std::collections::HashSet::new();
    let once = named.into_iter().filter(|uri| seen.insert(uri.clone()));
    Ok(once.take(MAX_WATCHED).collect())
}

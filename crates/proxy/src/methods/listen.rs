//! `subscriptions/listen` (specification 2026-07-28, subscriptions): the modern client's way to hear of changes.

use bytes::Bytes;
use protocol::{BadParams, Object, Params, Request, RequestId, encode, meta};
use serde_json::{Value, json};

use crate::{Proxy, admission::Admission, changes::Changes, error::Failure};

/// The filters that are honoured, with the notification each lets through.
const FILTERS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];

/// One open subscription.
pub(crate) struct Listening {
    id: RequestId,
    wanted: Vec<(&'static str, &'static str)>,
    changes: Changes,
    acknowledged: bool,
}

impl Listening {
    /// Opens a subscription for the filters that the client asked for and the gateway honours.
    ///
    /// # Errors
    /// [`Failure::Params`] when `notifications` is missing or no object.
    pub(super) fn new(
        proxy: &Proxy,
        admission: &Admission,
        request: &Request,
        params: &Params,
    ) -> Result<Self, Failure> {
        let object = Object::parse(params.raw(), &["notifications"]).map_err(BadParams::from)?;
        let filter = object.get("notifications").ok_or(BadParams::Missing("notifications"))?;
        let filter =
            Object::parse(filter.as_bytes(), &FILTERS.map(|(name, _)| name)).map_err(BadParams::from)?;
        let wanted = FILTERS.into_iter().filter(|(name, _)| filter.get(name) == Some("true")).collect();
        let changes = Changes::new(proxy, admission.viewpoint().clone());
        Ok(Self { id: request.id.clone(), wanted, changes, acknowledged: false })
    }

    /// Waits for the next messages to send: first the acknowledgement, then changes. Cancel safe.
    pub(crate) async fn next(&mut self, proxy: &Proxy) -> Vec<Bytes> {
        if !std::mem::replace(&mut self.acknowledged, true) {
            return vec![self.acknowledgement()];
        }
        loop {
            let changed = self.changes.next(proxy).await;
            let wanted =
                changed.into_iter().filter(|method| self.wanted.iter().any(|(_, wanted)| wanted == method));
            let messages: Vec<Bytes> = wanted.map(|method| self.message(method, json!({}))).collect();
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

    fn acknowledgement(&self) -> Bytes {
        let honoured: serde_json::Map<String, Value> =
            self.wanted.iter().map(|(name, _)| ((*name).to_owned(), Value::Bool(true))).collect();
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

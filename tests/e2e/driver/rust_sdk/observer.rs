//! What rmcp's client is told and asked while it runs: it keeps what comes, and answers as all drivers do
//! (`ANSWERS` in `clients/plan.py`).
#![expect(deprecated, reason = "what is deprecated is still spoken")]

use std::sync::{Arc, Mutex, MutexGuard};

use rmcp::model::{
    ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult,
    ErrorData, Implementation, ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam,
    ResourceUpdatedNotificationParam,
};
use rmcp::service::{NotificationContext, RequestContext, Subscription};
use rmcp::{ClientHandler, RoleClient};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Keeps the progress of the call under way (the client makes one at a time) and all other notifications.
#[derive(Clone, Default)]
pub(super) struct Observer {
    progress: Arc<Mutex<Vec<Value>>>,
    heard: Arc<Mutex<Vec<Value>>>,
    news: Arc<Notify>,
}

impl ClientHandler for Observer {
    fn get_info(&self) -> ClientConfig {
        let capabilities = json!({ "sampling": {}, "elicitation": {}, "roots": {} });
        ClientConfig::new(model(capabilities), Implementation::new("rmcp", "3"))
    }

    async fn create_message(
        &self,
        _params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let content = json!({ "type": "text", "text": "sampled" });
        Ok(model(json!({ "role": "assistant", "content": content, "model": "none" })))
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(model(json!({ "roots": [{ "uri": "file:///rooted", "name": "rooted" }] })))
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(model(json!({ "action": "accept", "content": { "answer": "elicited" } })))
    }

    async fn on_progress(&self, event: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        lock(&self.progress).push(json!(event));
        self.news.notify_one();
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.keep(json!({ "method": "notifications/message", "params": params }));
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.keep(json!({ "method": "notifications/resources/updated", "params": params }));
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.keep(json!({ "method": "notifications/tools/list_changed", "params": {} }));
    }
}

impl Observer {
    fn keep(&self, notification: Value) {
        lock(&self.heard).push(notification);
        self.news.notify_one();
    }

    /// Keeps what a modern stream says, until it ends.
    pub(super) async fn follow(self, mut stream: Subscription) {
        while let Ok(Some(notification)) = stream.next().await {
            self.keep(json!(notification));
        }
    }

    /// Waits for a number of notifications of one method, and takes them.
    pub(super) async fn hear(&self, method: &str, count: &Value) -> Value {
        loop {
            let news = self.news.notified();
            if let Some(taken) = self.told(method, count) {
                return json!({ "news": taken });
            }
            news.await;
        }
    }

    fn told(&self, method: &str, count: &Value) -> Option<Vec<Value>> {
        let mut heard = lock(&self.heard);
        let is_enough =
            heard.iter().filter(|news| news["method"] == method).count() as u64 >= count.as_u64()?;
        is_enough.then(|| {
            let taken = heard.extract_if(.., |news| news["method"] == method);
            taken.map(|mut news| news["params"].take()).collect()
        })
    }

    /// Returns how many events of progress are kept.
    pub(super) fn count(&self) -> usize {
        lock(&self.progress).len()
    }

    /// Waits for progress of one call. An event of an earlier call may still come in late.
    pub(super) async fn heard_of(&self, token: &Value) {
        loop {
            let news = self.news.notified();
            if lock(&self.progress).iter().any(|event| event["progressToken"] == *token) {
                return;
            }
            news.await;
        }
    }

    /// Takes the progress that is kept.
    pub(super) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.progress))
    }
}

/// Makes a value of the SDK's from its form on the wire.
pub(super) fn model<T: DeserializeOwned>(wire: Value) -> T {
    serde_json::from_value(wire).expect("this is the form on the wire")
}

fn lock(kept: &Mutex<Vec<Value>>) -> MutexGuard<'_, Vec<Value>> {
    kept.lock().expect("no test panics while it holds this")
}

//! The Rust SDK, rmcp, as a client in this process.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, GetPromptRequestParams, JsonObject,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::{
    ClientLifecycleMode, NotificationContext, PeerRequestOptions, RequestHandle, RunningService,
    ServiceError, serve_client_with_lifecycle,
};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, RoleClient};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Era, LIMIT, Target};
use crate::plan::Plan;

/// How often a step looks for the file it waits for.
const LOOK: Duration = Duration::from_millis(10);

/// Walks the plan on a runtime of its own.
#[track_caller]
pub(super) fn run(era: Era, target: &Target, folder: &Path, plan: &Plan) -> Value {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let report =
        runtime.block_on(async { tokio::time::timeout(LIMIT, walk(era, target, folder, plan)).await });
    report.expect("rmcp took too long")
}

async fn walk(era: Era, target: &Target, folder: &Path, plan: &Plan) -> Value {
    let observer = Observer::default();
    let client = Client { service: connect(observer.clone(), era, target, folder).await, observer };
    let info = json!(client.service.peer().peer_info().as_deref());
    let mut steps = Vec::new();
    for step in plan.steps() {
        steps.push(client.step(step).await);
    }
    client.service.cancel().await.expect("the client ends");
    json!({ "client": "rmcp", "protocol_version": info["protocolVersion"], "server": info["serverInfo"], "steps": steps })
}

async fn connect(
    observer: Observer,
    era: Era,
    target: &Target,
    folder: &Path,
) -> RunningService<RoleClient, Observer> {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Auto => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        Era::Modern => ClientLifecycleMode::Discover { preferred_versions },
    };
    let service = match target {
        Target::Url(url) => {
            let transport = StreamableHttpClientTransport::from_uri(url.as_str());
            serve_client_with_lifecycle(observer, transport, lifecycle).await
        }
        Target::Stdio(words) => {
            let mut command = tokio::process::Command::new(&words[0]);
            command.args(&words[1..]).current_dir(folder);
            let transport = TokioChildProcess::new(command).expect("the gateway can be started");
            serve_client_with_lifecycle(observer, transport, lifecycle).await
        }
    };
    service.unwrap_or_else(|error| panic!("rmcp cannot connect: {error:?}"))
}

/// Keeps the progress of the call under way; the client makes one at a time.
#[derive(Clone, Default)]
struct Observer {
    events: Arc<Mutex<Vec<Value>>>,
    news: Arc<Notify>,
}

struct Client {
    service: RunningService<RoleClient, Observer>,
    observer: Observer,
}

// === impl Observer ===

impl ClientHandler for Observer {
    async fn on_progress(&self, event: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.events.lock().expect("no test panics while it holds this").push(json!(event));
        self.news.notify_one();
    }
}

impl Observer {
    fn count(&self) -> usize {
        self.events.lock().expect("no test panics while it holds this").len()
    }

    /// Waits for progress of one call. An event of an earlier call may still come in late.
    async fn heard_of(&self, token: &Value) {
        loop {
            let news = self.news.notified();
            if self
                .events
                .lock()
                .expect("no test panics while it holds this")
                .iter()
                .any(|event| event["progressToken"] == *token)
            {
                return;
            }
            news.await;
        }
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.events.lock().expect("no test panics while it holds this"))
    }
}

// === impl Client ===

impl Client {
    async fn step(&self, step: &Value) -> Value {
        let result = match step["do"].as_str() {
            Some("list") => self.list(step["what"].as_str().unwrap_or_default()).await,
            Some("call") => self.call(step).await,
            Some("cancel") => self.cancel(step).await,
            Some("await_file") => Ok(self.await_file(step["path"].as_str()).await),
            Some("read") => {
                wire(self.service.read_resource(ReadResourceRequestParams::new(text(step, "uri"))).await)
            }
            Some("prompt") => {
                let params = GetPromptRequestParams::new(text(step, "name")).with_arguments(arguments(step));
                wire(self.service.get_prompt(params).await)
            }
            _ => panic!("rmcp cannot do {step}"),
        };
        let finished_after = self.observer.count();
        let mut seen =
            json!({ "do": step["do"], "progress": self.observer.take(), "finished_after": finished_after });
        match result {
            Ok(result) => seen["result"] = result,
            Err(error) => seen["error"] = json!({ "message": error.to_string() }),
        }
        seen
    }

    async fn list(&self, what: &str) -> Result<Value, ServiceError> {
        Ok(match what {
            "tools" => json!({ "tools": self.service.list_all_tools().await? }),
            "resources" => json!({ "resources": self.service.list_all_resources().await? }),
            "templates" => json!({ "resourceTemplates": self.service.list_all_resource_templates().await? }),
            "prompts" => json!({ "prompts": self.service.list_all_prompts().await? }),
            other => panic!("rmcp cannot list {other}"),
        })
    }

    async fn call(&self, step: &Value) -> Result<Value, ServiceError> {
        wire(self.start(step).await?.await_response().await)
    }

    /// Starts a call, waits until it is certainly running, and gives it up.
    async fn cancel(&self, step: &Value) -> Result<Value, ServiceError> {
        let running = self.start(step).await?;
        let token = json!(running.progress_token);
        tokio::select! {
            () = self.observer.heard_of(&token) => {}
            _ = self.await_file(step["once_file"].as_str()) => {}
        }
        running.cancel(Some("no longer wanted".to_owned())).await?;
        Ok(json!({ "cancelled": true }))
    }

    /// Every request of this SDK asks for progress.
    async fn start(&self, step: &Value) -> Result<RequestHandle<RoleClient>, ServiceError> {
        let params = CallToolRequestParams::new(text(step, "name")).with_arguments(arguments(step));
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        self.service.send_cancellable_request(request, PeerRequestOptions::no_options()).await
    }

    async fn await_file(&self, path: Option<&str>) -> Value {
        while !path.is_some_and(|path| Path::new(path).exists()) {
            tokio::time::sleep(LOOK).await;
        }
        json!({ "there": true })
    }
}

fn wire<T: Serialize>(result: Result<T, ServiceError>) -> Result<Value, ServiceError> {
    Ok(json!(result?))
}

fn text(step: &Value, member: &str) -> String {
    step[member].as_str().unwrap_or_else(|| panic!("no {member} in {step}")).to_owned()
}

fn arguments(step: &Value) -> JsonObject {
    step["arguments"].as_object().cloned().unwrap_or_default()
}

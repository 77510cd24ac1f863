//! The Rust SDK, rmcp, as a client in this process. What it is told while it runs: `observer`.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use observer::{Observer, model};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, GetPromptRequestParams, JsonObject,
    ProtocolVersion, ReadResourceRequestParams, RequestMetaObject,
};
use rmcp::service::{
    ClientLifecycleMode, PeerRequestOptions, RequestHandle, RunningService, ServiceError,
    serve_client_with_lifecycle,
};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Era, LIMIT, Target};
use crate::plan::Plan;

mod observer;

/// The longest that a step may take, so that one that hangs does not hide the others.
const STEP: Duration = Duration::from_secs(25);
/// The file in which a gateway that the client launches says what it has to say.
const STDERR: &str = "rmcp.stderr";
/// How often a step looks for the file it waits for.
const LOOK: Duration = Duration::from_millis(10);

/// Walks the plan on a runtime of its own.
#[track_caller]
pub(super) fn run(era: Era, target: &Target, folder: &Path, plan: &Plan) -> Value {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let report =
        runtime.block_on(async { tokio::time::timeout(LIMIT, walk(era, target, folder, plan)).await });
    report.unwrap_or_else(|_| panic!("rmcp took too long\n--- stderr:\n{}", said(folder)))
}

/// Returns what the gateway wrote to standard error, if the client launched it.
fn said(folder: &Path) -> String {
    std::fs::read_to_string(folder.join(STDERR)).unwrap_or_default()
}

async fn walk(era: Era, target: &Target, folder: &Path, plan: &Plan) -> Value {
    let observer = Observer::default();
    let service = connect(observer.clone(), era, target, folder).await;
    let info = json!(service.peer().peer_info().as_deref());
    let is_modern = info["protocolVersion"].as_str() >= Some("2026-07-28");
    let mut client = Client { service, observer, is_modern, meta: None };
    let mut steps = Vec::new();
    for step in plan.steps() {
        steps.push(client.step(step).await);
    }
    client.service.cancel().await.expect("the client ends");
    json!({
        "client": "rmcp",
        "protocol_version": info["protocolVersion"],
        "server": info["serverInfo"],
        "steps": steps,
        "stderr": said(folder),
    })
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
            let stderr = File::create(folder.join(STDERR)).expect("the file can be made");
            let started = TokioChildProcess::builder(command).stderr(stderr).spawn();
            let (transport, _) = started.expect("the gateway can be started");
            serve_client_with_lifecycle(observer, transport, lifecycle).await
        }
    };
    service.unwrap_or_else(|error| panic!("rmcp cannot connect: {error:?}\n--- stderr:\n{}", said(folder)))
}

struct Client {
    service: RunningService<RoleClient, Observer>,
    observer: Observer,
    is_modern: bool,
    /// What every call of a modern client says beside its arguments.
    meta: Option<RequestMetaObject>,
}

// === impl Client ===

impl Client {
    async fn step(&mut self, step: &Value) -> Value {
        let result = match tokio::time::timeout(STEP, self.act(step)).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!("not done in {STEP:?}")),
        };
        let finished_after = self.observer.count();
        let mut seen =
            json!({ "do": step["do"], "progress": self.observer.take(), "finished_after": finished_after });
        match result {
            Ok(result) => seen["result"] = result,
            Err(error) => seen["error"] = json!({ "message": error }),
        }
        seen
    }

    async fn act(&mut self, step: &Value) -> Result<Value, ServiceError> {
        match step["do"].as_str() {
            Some("list") => self.list(step["what"].as_str().unwrap_or_default()).await,
            Some("call") => self.call(step).await,
            Some("cancel") => self.cancel(step).await,
            Some("await_file") => Ok(self.await_file(step["path"].as_str()).await),
            Some("log_level") => self.log_level(step).await,
            Some("listen") => self.listen(&text(step, "uri")).await,
            Some("hear") => Ok(self.observer.hear(&text(step, "method"), &step["count"]).await),
            Some("find") => self.find(step).await,
            Some("repeat") => self.repeat(step).await,
            Some("read") => {
                wire(self.service.read_resource(ReadResourceRequestParams::new(text(step, "uri"))).await)
            }
            Some("prompt") => {
                let params = GetPromptRequestParams::new(text(step, "name")).with_arguments(arguments(step));
                wire(self.service.get_prompt(params).await)
            }
            _ => panic!("rmcp cannot do {step}"),
        }
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

    /// Calls a tool; the SDK answers by itself what the tool asks back.
    async fn call(&self, step: &Value) -> Result<Value, ServiceError> {
        wire(self.service.call_tool(self.params(step)).await)
    }

    fn params(&self, step: &Value) -> CallToolRequestParams {
        let mut params = CallToolRequestParams::new(text(step, "name")).with_arguments(arguments(step));
        params.meta.clone_from(&self.meta);
        params
    }

    /// Lists whenever a notification of one method has come, until an item with a name is there.
    async fn find(&self, step: &Value) -> Result<Value, ServiceError> {
        loop {
            self.observer.hear(&text(step, "method"), &step["count"]).await;
            let listed = self.list(&text(step, "what")).await?;
            let mut items = listed.as_object().into_iter().flat_map(|lists| lists.values());
            if items.any(|items| items.as_array().is_some_and(|items| has(items, &step["name"]))) {
                return Ok(listed);
            }
        }
    }

    /// Calls a tool until it answers with a text.
    async fn repeat(&self, step: &Value) -> Result<Value, ServiceError> {
        loop {
            let result = self.call(step).await?;
            if result["content"][0]["text"] == step["text"] {
                return Ok(result);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Modern clients ask for log messages with each request.
    async fn log_level(&mut self, step: &Value) -> Result<Value, ServiceError> {
        if self.is_modern {
            self.meta = Some(model(json!({ "io.modelcontextprotocol/logLevel": step["level"] })));
        } else {
            #[expect(deprecated, reason = "legacy clients set it so")]
            self.service.set_level(model(json!({ "level": step["level"] }))).await?;
        }
        Ok(json!({}))
    }

    /// Wants to hear of a resource and of the list of tools; legacy clients hear of lists unasked.
    async fn listen(&self, uri: &str) -> Result<Value, ServiceError> {
        if self.is_modern {
            let filter = json!({ "toolsListChanged": true, "resourceSubscriptions": [uri] });
            let subscription = self.service.listen(model(filter)).await?;
            tokio::spawn(self.observer.clone().follow(subscription));
        } else {
            #[expect(deprecated, reason = "legacy clients subscribe so")]
            self.service.subscribe(model(json!({ "uri": uri }))).await?;
        }
        Ok(json!({}))
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
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(self.params(step)));
        self.service.send_cancellable_request(request, PeerRequestOptions::no_options()).await
    }

    async fn await_file(&self, path: Option<&str>) -> Value {
        while !path.is_some_and(|path| Path::new(path).exists()) {
            tokio::time::sleep(LOOK).await;
        }
        json!({ "there": true })
    }
}

fn has(items: &[Value], name: &Value) -> bool {
    items.iter().any(|item| item["name"] == *name)
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

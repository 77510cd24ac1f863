//! What the tests share: a table of upstreams, permits for its tools, and calls on them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use catalog::{Catalog, Listing, Naming, View};
use domain::{AgentId, AgentSource, Credential, Principal, ServerId, ServerScope, Subject, Target};
use guardrails::{Cleared, Guardrails, Untrusted};
use policy::{Permit, Policy};
use protocol::{Params, Routing, Version, method};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use upstream::{
    CallError, Caller, Event, Outgoing, Payload, Reply, SelfInfo, ServerState, Settings, UpstreamEvent,
    Upstreams,
    child::Launcher,
    config::{ServerConfig, ServerSettings},
};

use crate::stub;

/// One test.
pub(crate) type Test = (&'static str, fn());
/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A table of upstreams with the receiver of its events.
pub(crate) struct Stage {
    pub(crate) upstreams: Upstreams,
    pub(crate) events: mpsc::Receiver<UpstreamEvent>,
}

/// Runs `test` with a table whose servers `configure` may change; shuts down afterwards.
pub(crate) fn with_settings(configure: impl FnOnce(&mut Settings), test: impl AsyncFnOnce(&mut Stage)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let launcher = Launcher::start(runtime.handle().clone()).unwrap();
        let info = SelfInfo { name: "toolgate".to_owned(), version: "0.0.0".to_owned() };
        let mut settings = Settings::new(launcher, info);
        configure(&mut settings);
        let (upstreams, events) = Upstreams::new(settings);
        let mut stage = Stage { upstreams, events };
        timeout(3 * PATIENCE, test(&mut stage)).await.expect("the test ends in time");
        timeout(PATIENCE, stage.upstreams.shutdown()).await.expect("shutdown ends in time");
    });
}

/// Runs `test` with a table of one stub server named `stub`.
pub(crate) fn with_stub(manners: &[&str], test: impl AsyncFnOnce(&mut Stage)) {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[("stub", stub_config(manners))]);
            stage.listed("stub").await;
            test(stage).await;
        },
    );
}

/// The configuration of a stub server.
pub(crate) fn stub_config(manners: &[&str]) -> Value {
    let binary = std::env::current_exe().unwrap();
    let args: Vec<&str> = std::iter::once(stub::ROLE).chain(manners.iter().copied()).collect();
    json!({"command": binary.to_str().unwrap(), "args": args})
}

/// Checks a server as a file would write it.
pub(crate) fn settings(name: &str, config: Value) -> (ServerId, ServerSettings) {
    let config: ServerConfig = serde_json::from_value(config).unwrap();
    let id = ServerId::new(name).unwrap();
    (id.clone(), config.build(id).unwrap())
}

impl Stage {
    pub(crate) fn apply(&self, servers: &[(&str, Value)]) {
        let servers: BTreeMap<_, _> =
            servers.iter().map(|(name, config)| settings(name, config.clone())).collect();
        self.upstreams.apply(servers);
    }

    /// Waits for the next listing of `server`.
    pub(crate) async fn listed(&mut self, server: &str) -> Listing {
        self.expect(|event| match event {
            UpstreamEvent::Listed { server: id, listing } if id.as_str() == server => Some(open(*listing)),
            _ => None,
        })
        .await
    }

    /// Waits for the first event that `wanted` takes; passes over others.
    pub(crate) async fn expect<T>(&mut self, wanted: impl Fn(UpstreamEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the table lives");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("the event comes in time")
    }

    pub(crate) fn state(&self, server: &str) -> ServerState {
        let states = self.upstreams.states();
        states.into_iter().find(|state| state.server.as_str() == server).expect("a known server")
    }

    /// Waits until the state of `server` is as `wanted`. States change with events, so nothing is polled.
    pub(crate) async fn until(&mut self, server: &str, wanted: impl Fn(&ServerState) -> bool) -> ServerState {
        loop {
            let state = self.state(server);
            if wanted(&state) {
                return state;
            }
            timeout(PATIENCE, self.events.recv()).await.expect("the state changes in time");
        }
    }

    /// Starts a call.
    pub(crate) async fn start(&self, server: &str, tool: &str, params: Value) -> Result<Reply, CallError> {
        call_on(&self.upstreams, "someone", (server, tool), params.to_string(), Version::V2025_11_25).await
    }

    /// Makes a call and waits for its end.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Result<Value, CallError> {
        let reply = self.start("stub", tool, json!({"name": tool, "arguments": arguments})).await?;
        finish(reply).await.map(|(_, last)| last)
    }

    /// Returns every message that the stub has received.
    pub(crate) async fn seen(&self) -> Vec<Value> {
        let seen = self.call("seen", json!({})).await.unwrap();
        let lines = seen["seen"].as_array().unwrap();
        lines.iter().map(|line| serde_json::from_str(line.as_str().unwrap()).unwrap()).collect()
    }
}

/// Starts a call of `agent` on a server's tool.
pub(crate) async fn call_on(
    upstreams: &Upstreams,
    agent: &str,
    (server, tool): (&str, &str),
    params: String,
    version: Version,
) -> Result<Reply, CallError> {
    let id = ServerId::new(server).unwrap();
    let nowhere = || Credential::new(id.clone(), "", []);
    let credential = upstreams.configured_credential(&id).unwrap_or_else(nowhere);
    call_with(upstreams, &credential, agent, (server, tool), params, version).await
}

/// Starts a call with a credential that may be another than the configured one.
pub(crate) async fn call_with(
    upstreams: &Upstreams,
    credential: &Credential,
    agent: &str,
    (server, tool): (&str, &str),
    params: String,
    version: Version,
) -> Result<Reply, CallError> {
    let row = method("tools/call").unwrap();
    let params = Params::parse(Some(params.into()), row).unwrap();
    let caller = Caller { version, client_info: None, session: None, passed: 0 };
    let request = cleared(Outgoing { method: row, params, caller });
    upstreams.call(&permit(agent, server, tool), &request, credential).await
}

/// Waits for the end of a reply: notifications, and the JSON of the result or error.
pub(crate) async fn finish(mut reply: Reply) -> Result<(Vec<Value>, Value), CallError> {
    let mut notifications = Vec::new();
    loop {
        let event = timeout(PATIENCE, reply.next()).await.expect("the answer comes in time")?;
        match open(event) {
            Event::Notification { params, .. } => notifications.push(parse(&params.unwrap_or_default())),
            Event::Result(Payload::Whole(result)) => return Ok((notifications, parse(&result))),
            Event::Result(Payload::Streamed(_)) => panic!("only HTTP streams"),
            Event::Request(_) => panic!("nobody stands behind this call"),
            Event::Error(error) => return Ok((notifications, json!({"error": parse(&error)}))),
        }
    }
}

pub(crate) fn parse(text: &Bytes) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// Opens what came from a server, with screening switched off.
pub(crate) fn open<T>(value: Untrusted<T>) -> T {
    let subject = Subject { server: ServerId::new("any").unwrap(), target: Target::Server };
    Guardrails::none().screen_result(&subject, value).unwrap().into_inner()
}

pub(crate) fn cleared<T>(value: T) -> Cleared<T> {
    let subject = Subject { server: ServerId::new("any").unwrap(), target: Target::Server };
    Guardrails::none().screen_arguments(&subject, value).unwrap()
}

/// The permit of `agent` for a tool, made as the gateway makes it: listed, routed, authorized.
pub(crate) fn permit(agent: &str, server: &str, tool: &str) -> Permit {
    let mut listing = Listing::empty(Version::V2025_11_25, Bytes::from_static(b"{\"tools\":{}}"));
    listing.tools.push(json!({"name": tool, "inputSchema": {"type": "object"}}).to_string().into());
    let (id, listing) = (ServerId::new(server).unwrap(), cleared(listing));
    let catalog = Catalog::build(Naming::default(), [(&id, &listing)]);
    let route = catalog.route(&View::Server(id), Routing::Tool, tool, &ServerScope::All).unwrap();
    Policy::grants_only().authorize(&principal(agent), route).unwrap()
}

fn principal(agent: &str) -> Principal {
    Principal {
        agent: AgentId::new(agent).unwrap(),
        agent_source: AgentSource::Launch,
        user: None,
        roles: Vec::<Arc<str>>::new(),
        token: None,
        servers: ServerScope::All,
    }
}

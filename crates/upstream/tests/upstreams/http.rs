//! Servers that are reached over HTTP, in both eras: found out, listed, listened to, lost and found again.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use protocol::Version;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use upstream::{CallError, Health};

use crate::stage::{Stage, Test, call_on, finish, with_settings};

pub(crate) const TESTS: &[Test] = &[
    ("an_http_server_is_asked_for_its_era_and_listed", an_http_server_is_asked_for_its_era_and_listed),
    ("principals_have_sessions_of_their_own", principals_have_sessions_of_their_own),
    ("changes_over_http_are_listed", changes_over_http_are_listed),
    (
        "an_http_server_that_comes_back_changed_is_listed_again",
        an_http_server_that_comes_back_changed_is_listed_again,
    ),
    (
        "an_http_server_that_lets_nobody_in_is_not_taken_for_legacy",
        an_http_server_that_lets_nobody_in_is_not_taken_for_legacy,
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Legacy,
    Modern,
    /// Speaks HTTP+SSE and nothing else.
    Older,
    /// Answers every request with status 401.
    Locked,
}

/// What a server has seen and whom it can tell something.
#[derive(Default)]
struct Shared {
    methods: Mutex<Vec<String>>,
    /// The credential of every request.
    tokens: Mutex<Vec<String>>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<Bytes>>>,
    sessions: AtomicUsize,
    tools: AtomicUsize,
}

/// A server that ends, with its connections, when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(crate) async fn start(era: Era, address: &str, tools: usize) -> Self {
        let listener = loop {
            // The port of a server that just ended is free again in a moment.
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { tools: AtomicUsize::new(tools), ..Shared::default() });
        let accepting = tokio::spawn(accept(listener, era, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    pub(crate) fn config(&self) -> Value {
        json!({"url": format!("http://{}/mcp", self.address)})
    }

    fn methods(&self) -> Vec<String> {
        self.shared.methods.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.methods().iter().filter(|method| *method == "tools/call").count()
    }

    /// Returns the credential of every request.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.shared.tokens.lock().unwrap().clone()
    }

    /// Offers one more tool and tells everybody who listens.
    fn add_tool(&self) {
        self.shared.tools.fetch_add(1, Ordering::Relaxed);
        let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        say(&self.shared, format!("data: {changed}\n\n"));
    }

    async fn is_listened_to(&self) {
        while self.shared.listeners.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

async fn accept(listener: TcpListener, era: Era, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(era, &shared, request).await) }
        });
        connections.spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(era: Era, shared: &Shared, request: Request<Incoming>) -> Answer {
    let session = request.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    let token = request.headers().get("authorization").map(|token| token.to_str().unwrap().to_owned());
    let (http_method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = message["method"].as_str().unwrap_or(&http_method).to_owned();
    shared.methods.lock().unwrap().push(method.clone());
    shared.tokens.lock().unwrap().extend(token);
    let result =
        |result: Value| json_body(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
    let tools = || {
        let tools = 0..shared.tools.load(Ordering::Relaxed);
        let tools: Vec<_> =
            tools.map(|n| json!({"name": format!("t{n}"), "inputSchema": {"type": "object"}})).collect();
        json!({"tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"})
    };
    let capabilities = json!({"tools": {"listChanged": true}});
    let told = |result: Answer| tell_all(shared, result);
    match (era, &*method) {
        (Era::Locked, _) => empty(401),
        (Era::Older, "GET") => {
            let answer = stream(shared);
            say(shared, "event: endpoint\ndata: /messages?session=1\n\n".to_owned());
            answer
        }
        (Era::Older, _) if path != "/messages" => empty(405),
        (Era::Older, "initialize") => {
            told(result(json!({"protocolVersion": "2024-11-05", "capabilities": capabilities}))).await
        }
        (Era::Older, "tools/list") => told(result(tools())).await,
        (Era::Older, "tools/call") => told(result(json!({"content": [], "session": session}))).await,
        (Era::Older, _) => empty(202),
        (_, "tools/list") => result(tools()),
        (_, "tools/call") => result(json!({"content": [], "session": session})),
        (Era::Modern, "server/discover") => result(json!({
            "supportedVersions": ["2026-07-28"], "capabilities": capabilities, "resultType": "complete",
        })),
        (Era::Legacy, "initialize") => {
            let number = shared.sessions.fetch_add(1, Ordering::Relaxed);
            let greeting = json!({"protocolVersion": "2025-06-18", "capabilities": capabilities});
            let mut answer = result(greeting);
            answer.headers_mut().insert("mcp-session-id", format!("s{number}").parse().unwrap());
            answer
        }
        (Era::Legacy, "GET") | (Era::Modern, "subscriptions/listen") => stream(shared),
        (Era::Legacy, "server/discover") => empty(400),
        (Era::Legacy, "notifications/initialized") => empty(202),
        (Era::Legacy | Era::Modern, _) => empty(405),
    }
}

/// Says something to everybody who listens.
fn say(shared: &Shared, event: String) {
    for listener in shared.listeners.lock().unwrap().iter() {
        let _ = listener.send(event.clone().into());
    }
}

/// Takes a message and answers it on the stream.
async fn tell_all(shared: &Shared, answer: Answer) -> Answer {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    say(shared, format!("event: message\ndata: {}\n\n", std::str::from_utf8(&body).unwrap()));
    empty(202)
}

fn stream(shared: &Shared) -> Answer {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    shared.listeners.lock().unwrap().push(sender);
    let pieces = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let frames = futures_util::StreamExt::map(pieces, |piece| Ok(Frame::data(piece)));
    let body = StreamBody::new(frames).boxed_unsync();
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

fn json_body(status: u16, value: &Value) -> Answer {
    let body = http_body_util::Full::new(Bytes::from(value.to_string())).boxed_unsync();
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

fn empty(status: u16) -> Answer {
    Response::builder().status(status).body(http_body_util::Empty::new().boxed_unsync()).unwrap()
}

fn with_server(era: Era, test: impl AsyncFnOnce(&mut Stage, Server)) {
    with_settings(
        |_| {},
        async |stage| {
            let server = Server::start(era, "127.0.0.1:0", 1).await;
            stage.apply(&[("web", server.config())]);
            test(stage, server).await;
        },
    );
}

async fn session_of(stage: &Stage, agent: &str) -> String {
    let called = call_on(
        &stage.upstreams,
        agent,
        ("web", "t0"),
        json!({"name": "t0"}).to_string(),
        Version::V2025_11_25,
    );
    let (_, result) = finish(called.await.unwrap()).await.unwrap();
    result["session"].to_string()
}

fn an_http_server_is_asked_for_its_era_and_listed() {
    with_server(Era::Legacy, async |stage, server| {
        let listing = stage.listed("web").await;
        assert_eq!((listing.version, listing.tools.len()), (Version::V2025_06_18, 1));
        let methods: Vec<String> = server.methods().into_iter().filter(|method| method != "GET").collect();
        assert_eq!(methods, ["server/discover", "initialize", "notifications/initialized", "tools/list"]);
    });
    with_server(Era::Modern, async |stage, server| {
        let listing = stage.listed("web").await;
        assert_eq!((listing.version, listing.tools.len()), (Version::V2026_07_28, 1));
        assert_eq!(server.methods()[0], "server/discover");
        assert!(!server.methods().contains(&"initialize".to_owned()));
        assert_eq!(session_of(stage, "a").await, "null");
    });
    with_server(Era::Older, async |stage, server| {
        let listing = stage.listed("web").await;
        assert_eq!((listing.version, listing.tools.len()), (Version::V2024_11_05, 1));
        let refused = ["server/discover", "initialize"];
        let taken = ["GET", "initialize", "notifications/initialized", "tools/list"];
        assert_eq!(server.methods(), [&refused[..], &taken].concat());
        assert_eq!(session_of(stage, "a").await, "null");
    });
}

fn principals_have_sessions_of_their_own() {
    with_server(Era::Legacy, async |stage, server| {
        stage.listed("web").await;
        let [a, b] = [session_of(stage, "a").await, session_of(stage, "b").await];
        assert_ne!(a, b);
        assert_eq!(session_of(stage, "a").await, a);
        stage.upstreams.shutdown().await;
        let ended = server.methods().iter().filter(|method| *method == "DELETE").count();
        assert_eq!(ended, 3, "ours and theirs");
    });
}

fn changes_over_http_are_listed() {
    for era in [Era::Legacy, Era::Modern, Era::Older] {
        with_server(era, async |stage, server| {
            stage.listed("web").await;
            server.is_listened_to().await;
            server.add_tool();
            while stage.listed("web").await.tools.len() != 2 {}
        });
    }
}

fn an_http_server_that_comes_back_changed_is_listed_again() {
    for era in [Era::Legacy, Era::Modern, Era::Older] {
        with_server(era, async |stage, server| {
            stage.listed("web").await;
            server.is_listened_to().await;
            let address = server.address.to_string();
            drop(server);
            stage.until("web", |state| state.health == Health::Restarting).await;
            let call = stage.start("web", "t0", json!({"name": "t0"})).await.map(|_| ());
            assert!(matches!(call, Err(CallError::Unavailable { .. })), "{call:?}");
            let _server = Server::start(era, &address, 3).await;
            while stage.listed("web").await.tools.len() != 3 {}
            session_of(stage, "a").await;
        });
    }
}

fn an_http_server_that_lets_nobody_in_is_not_taken_for_legacy() {
    with_server(Era::Locked, async |stage, server| {
        let state = stage.until("web", |state| state.reason.is_some()).await;
        assert!(state.reason.unwrap().contains("401"));
        assert!(!server.methods().contains(&"initialize".to_owned()));
    });
}

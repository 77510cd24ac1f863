//! The parts of the tests: a server that answers as a test says, a connection to it, and readers of replies.

pub(in crate::transports) mod streams;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use domain::{AgentId, AgentSource, Credential, Principal, PrincipalKey, Secret, ServerId, ServerScope};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming as Body},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use protocol::Version;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;

use super::super::{HttpConnection, HttpReply};
use crate::{
    CallError, Event, Payload,
    config::{ServerConfig, TransportSettings},
    inbox::{self, Mail},
    metrics::Counters,
    transports::{Exchange, Opening, WriteParams},
    watching::{Watching, interests::Interests},
};

/// Long enough for a loaded machine, short enough to notice that a test hangs.
pub(in crate::transports) const PATIENCE: Duration = Duration::from_secs(10);

pub(in crate::transports) type Answer = Response<BoxBody<Bytes, io::Error>>;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(in crate::transports) struct Seen {
    pub(in crate::transports) method: Method,
    pub(in crate::transports) path: String,
    pub(in crate::transports) headers: HeaderMap,
    pub(in crate::transports) body: Bytes,
}

impl Seen {
    pub(in crate::transports) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(in crate::transports) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The method of the JSON-RPC message; empty for others.
    pub(in crate::transports) fn rpc(&self) -> String {
        self.json()["method"].as_str().unwrap_or_default().to_owned()
    }

    pub(in crate::transports) fn id(&self) -> String {
        self.json()["id"].to_string()
    }
}

/// A server; it ends when this is dropped, its connections with it.
pub(in crate::transports) struct Server {
    pub(in crate::transports) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
    connections: Arc<watch::Sender<usize>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request with what `handler` says.
    pub(in crate::transports) async fn start<F, Answering>(handler: F) -> Self
    where
        F: Fn(Seen) -> Answering + Send + Sync + 'static,
        Answering: Future<Output = Answer> + Send + 'static,
    {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handler)
    }

    pub(in crate::transports) fn start_on<F, Answering>(listener: TcpListener, handler: F) -> Self
    where
        F: Fn(Seen) -> Answering + Send + Sync + 'static,
        Answering: Future<Output = Answer> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (counter, count) = watch::channel(0);
        let connections = Arc::new(watch::Sender::new(0));
        let (handler, counter) = (Arc::new(handler), Arc::new(counter));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&connections), {
            let seen = Arc::clone(&seen);
            move |request| {
                let (handler, seen, counter) =
                    (Arc::clone(&handler), Arc::clone(&seen), Arc::clone(&counter));
                async move {
                    let request = read(request).await;
                    seen.lock().push(request.clone());
                    counter.send_modify(|count| *count += 1);
                    Ok::<_, Infallible>(handler(request).await)
                }
            }
        }));
        Self { address, seen, count, connections, _tasks: tasks }
    }

    pub(in crate::transports) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub(in crate::transports) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Waits until a request was seen that `wanted` accepts.
    pub(in crate::transports) async fn sees(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        self.sees_after(0, wanted).await
    }

    /// Waits until a request was seen that `wanted` accepts after `before` others.
    pub(in crate::transports) async fn sees_after(
        &self,
        before: usize,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Seen {
        let mut count = self.count.clone();
        let waiting = async {
            loop {
                if let Some(found) = self.seen.lock().iter().filter(|seen| wanted(seen)).nth(before) {
                    return found.clone();
                }
                count.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the server sees it")
    }

    /// Waits until this many connections are open.
    pub(in crate::transports) async fn has_connections(&self, wanted: usize) {
        let mut connections = self.connections.subscribe();
        let waiting = connections.wait_for(|open| *open == wanted);
        tokio::time::timeout(PATIENCE, waiting).await.expect("connections are opened and closed").unwrap();
    }
}

async fn accept<S, Answering>(listener: TcpListener, open: Arc<watch::Sender<usize>>, service: S)
where
    S: Fn(Request<Body>) -> Answering + Clone + Send + 'static,
    Answering: Future<Output = Result<Answer, Infallible>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (open, service) = (Arc::clone(&open), service.clone());
        connections.spawn(async move {
            open.send_modify(|open| *open += 1);
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(service)).await;
            open.send_modify(|open| *open -= 1);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn read(request: Request<Body>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Seen { method: head.method, path: head.uri.path().to_owned(), headers: head.headers, body }
}

pub(in crate::transports) fn status(status: u16) -> Answer {
    Response::builder().status(status).body(full("")).unwrap()
}

pub(in crate::transports) fn json(body: impl Into<Bytes>) -> Answer {
    refusal(200, body)
}

pub(in crate::transports) fn refusal(status: u16, body: impl Into<Bytes>) -> Answer {
    let builder = Response::builder().status(StatusCode::from_u16(status).unwrap());
    builder.header("content-type", "application/json; charset=utf-8").body(full(body)).unwrap()
}

pub(in crate::transports) fn full(body: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

/// A body that goes on as long as the sender lives; an error breaks the connection off.
pub(in crate::transports) fn open_body() -> (mpsc::Sender<io::Result<Bytes>>, BoxBody<Bytes, io::Error>) {
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(16);
    let frames = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let frames = futures_util::StreamExt::map(frames, |piece| piece.map(Frame::data));
    (sender, StreamBody::new(frames).boxed())
}

pub(in crate::transports) fn typed(content_type: &str, body: BoxBody<Bytes, io::Error>) -> Answer {
    Response::builder().header("content-type", content_type).body(body).unwrap()
}

/// A stream of these events, complete.
pub(in crate::transports) fn events(events: &[String]) -> Answer {
    typed("text/event-stream", full(events.concat()))
}

pub(in crate::transports) fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

pub(in crate::transports) fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A connection with the receiving end of its inbox.
pub(in crate::transports) struct Line {
    pub(in crate::transports) connection: Arc<HttpConnection>,
    pub(in crate::transports) counters: Arc<Counters>,
    pub(in crate::transports) mail: Mail,
    /// What is watched of the server.
    pub(in crate::transports) interests: Arc<Interests>,
}

/// Opens a connection that speaks `version`.
pub(in crate::transports) fn connect(url: &str, version: Version) -> Line {
    connect_with(url, version, 64 << 20)
}

pub(in crate::transports) fn connect_with(url: &str, version: Version, result_bytes: usize) -> Line {
    connect_as(url, version, result_bytes, "principal")
}

/// Opens a connection whose sessions are shared as `affinity` says.
pub(in crate::transports) fn connect_sharing(url: &str, affinity: &str) -> Line {
    connect_as(url, LEGACY, 64 << 20, affinity)
}

fn connect_as(url: &str, version: Version, result_bytes: usize, affinity: &str) -> Line {
    let headers = serde_json::json!({ "Authorization": "Bearer own" });
    let written = serde_json::json!({ "url": url, "headers": headers, "affinity": affinity });
    let config: ServerConfig = serde_json::from_value(written).unwrap();
    let settings = config.build(server_id()).unwrap();
    let TransportSettings::Http(http) = settings.transport() else { panic!("an HTTP server") };
    let counters = Arc::new(Counters::default());
    let interests = Watching::default().of(&server_id());
    let (inbox, mail) = inbox::inbox(Arc::clone(&counters), Arc::clone(&interests));
    let opening = Opening {
        server: server_id(),
        inbox,
        counters: Arc::clone(&counters),
        tasks: TaskTracker::new(),
        initialize: Bytes::from_static(
            br#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}"#,
        ),
        result_bytes,
        line_bytes: 1 << 20,
        depth: 3,
        instances: crate::instances::Instances::new(),
    };
    let connection = HttpConnection::open(http, opening).unwrap();
    connection.speak(version);
    Line { connection, counters, mail, interests }
}

pub(in crate::transports) fn server_id() -> ServerId {
    ServerId::new("s").unwrap()
}

pub(in crate::transports) fn principal(agent: &str) -> PrincipalKey {
    let agent = AgentId::new(agent).unwrap();
    let (agent_source, servers) = (AgentSource::Launch, ServerScope::All);
    Principal { agent, agent_source, user: None, roles: Vec::new(), token: None, servers }.key()
}

pub(in crate::transports) fn credential(token: &str) -> Credential {
    let header = ("authorization".to_owned(), Secret::new(format!("Bearer {token}")));
    Credential::new(server_id(), "", [header])
}

/// Parameters as text; `@` stands for the progress token.
pub(in crate::transports) struct Text<'a> {
    pub(in crate::transports) text: &'a str,
    pub(in crate::transports) token: Option<&'a str>,
}

impl WriteParams for Text<'_> {
    fn progress_token(&self) -> Option<&str> {
        self.token
    }

    fn size_hint(&self) -> usize {
        self.text.len()
    }

    fn write(&self, out: &mut Vec<u8>, progress_token: Option<u64>) -> Result<(), protocol::Fault> {
        let ours = progress_token.map(|token| token.to_string());
        let token = ours.as_deref().or(self.token).unwrap_or_default();
        out.extend_from_slice(self.text.replace('@', token).as_bytes());
        Ok(())
    }
}

/// A call of the tool `echo`.
pub(in crate::transports) fn call<'a>(
    params: &'a Text<'a>,
    principal: Option<&'a PrincipalKey>,
) -> Exchange<'a> {
    let name = Some("echo");
    Exchange {
        passed: 0,
        method: "tools/call",
        params,
        name,
        param_headers: (&[], None),
        credential: None,
        principal,
        session: None,
    }
}

pub(in crate::transports) const ECHO: Text<'static> =
    Text { text: r#"{"name":"echo","arguments":{}}"#, token: None };

/// Calls and waits for the final answer.
pub(in crate::transports) async fn ask(
    connection: &Arc<HttpConnection>,
    exchange: Exchange<'_>,
) -> Result<Final, CallError> {
    let asking = async {
        let mut reply = connection.request(exchange).await?;
        finish(&mut reply).await
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("an answer in time")
}

/// The final answer, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transports) enum Final {
    Whole(String),
    Streamed(String),
    Error(String),
}

pub(in crate::transports) async fn finish(reply: &mut HttpReply) -> Result<Final, CallError> {
    loop {
        match reply.next().await? {
            Event::Notification { .. } | Event::Request(_) => {}
            Event::Error(error) => return Ok(Final::Error(text(&error))),
            Event::Result(Payload::Whole(result)) => return Ok(Final::Whole(text(&result))),
            Event::Result(Payload::Streamed(mut stream)) => {
                let mut whole = Vec::new();
                while let Some(chunk) = stream.next_chunk().await {
                    whole.extend_from_slice(&chunk?);
                }
                return Ok(Final::Streamed(text(&whole)));
            }
        }
    }
}

pub(in crate::transports) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(in crate::transports) const LEGACY: Version = Version::V2025_11_25;
pub(in crate::transports) const MODERN: Version = Version::V2026_07_28;

/// A server of either era: sessions are opened and counted, everything else is `answer`'s work.
pub(in crate::transports) async fn serve<F, Answering>(answer: F) -> Server
where
    F: Fn(Seen) -> Answering + Send + Sync + 'static,
    Answering: Future<Output = Answer> + Send + 'static,
{
    Server::start(with_sessions(answer)).await
}

/// Opens sessions called `session-1`, `session-2` and so on; the rest is for `answer`.
pub(in crate::transports) fn with_sessions<F, Answering>(
    answer: F,
) -> impl Fn(Seen) -> futures_util::future::BoxFuture<'static, Answer> + Send + Sync + 'static
where
    F: Fn(Seen) -> Answering + Send + Sync + 'static,
    Answering: Future<Output = Answer> + Send + 'static,
{
    let opened = AtomicUsize::new(0);
    move |seen| match (&seen.method, &*seen.rpc()) {
        (_, "initialize") => {
            let number = opened.fetch_add(1, Ordering::Relaxed) + 1;
            Box::pin(async move { session(&seen.id(), &format!("session-{number}")) })
        }
        (_, "notifications/initialized" | "notifications/cancelled") => Box::pin(async { status(202) }),
        (&Method::DELETE, _) => Box::pin(async { status(200) }),
        _ => Box::pin(answer(seen)),
    }
}

/// The answer to `initialize`.
pub(in crate::transports) fn session(id: &str, name: &str) -> Answer {
    session_of(id, name, "{}")
}

/// The answer to `initialize` of a server with these capabilities.
pub(in crate::transports) fn session_of(id: &str, name: &str, capabilities: &str) -> Answer {
    let told = format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities}}}"#);
    let mut opened = json(result(id, &told));
    opened.headers_mut().insert("mcp-session-id", name.parse().unwrap());
    opened
}

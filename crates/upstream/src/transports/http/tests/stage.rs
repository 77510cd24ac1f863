//! The parts of the tests: a server that answers as a test says, a connection to it, and readers of replies.

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
};

/// Long enough for a loaded machine, short enough to notice that a test hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Answer = Response<BoxBody<Bytes, io::Error>>;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The method of the JSON-RPC message; empty for others.
    pub(super) fn rpc(&self) -> String {
        self.json()["method"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn id(&self) -> String {
        self.json()["id"].to_string()
    }
}

/// A server; it ends when this is dropped, its connections with it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
    connections: Arc<watch::Sender<usize>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request with what `handler` says.
    pub(super) async fn start<F, Answering>(handler: F) -> Self
    where
        F: Fn(Seen) -> Answering + Send + Sync + 'static,
        Answering: Future<Output = Answer> + Send + 'static,
    {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handler)
    }

    pub(super) fn start_on<F, Answering>(listener: TcpListener, handler: F) -> Self
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

    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// Waits until a request was seen that `wanted` accepts.
    pub(super) async fn sees(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let mut count = self.count.clone();
        let waiting = async {
            loop {
                if let Some(found) = self.seen.lock().iter().find(|seen| wanted(seen)) {
                    return found.clone();
                }
                count.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the server sees it")
    }

    /// Waits until this many connections are open.
    pub(super) async fn has_connections(&self, wanted: usize) {
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

pub(super) fn status(status: u16) -> Answer {
    Response::builder().status(status).body(full("")).unwrap()
}

pub(super) fn json(body: impl Into<Bytes>) -> Answer {
    refusal(200, body)
}

pub(super) fn refusal(status: u16, body: impl Into<Bytes>) -> Answer {
    let builder = Response::builder().status(StatusCode::from_u16(status).unwrap());
    builder.header("content-type", "application/json; charset=utf-8").body(full(body)).unwrap()
}

pub(super) fn full(body: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

/// A body that goes on as long as the sender lives; an error breaks the connection off.
pub(super) fn open_body() -> (mpsc::Sender<io::Result<Bytes>>, BoxBody<Bytes, io::Error>) {
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(16);
    let frames = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let frames = futures_util::StreamExt::map(frames, |piece| piece.map(Frame::data));
    (sender, StreamBody::new(frames).boxed())
}

pub(super) fn typed(content_type: &str, body: BoxBody<Bytes, io::Error>) -> Answer {
    Response::builder().header("content-type", content_type).body(body).unwrap()
}

/// A stream of these events, complete.
pub(super) fn events(events: &[String]) -> Answer {
    typed("text/event-stream", full(events.concat()))
}

pub(super) fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

pub(super) fn result(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A connection with the receiving end of its inbox.
pub(super) struct Line {
    pub(super) connection: Arc<HttpConnection>,
    pub(super) counters: Arc<Counters>,
    pub(super) mail: Mail,
}

/// Opens a connection that speaks `version`.
pub(super) fn connect(url: &str, version: Version) -> Line {
    connect_with(url, version, 64 << 20)
}

pub(super) fn connect_with(url: &str, version: Version, result_bytes: usize) -> Line {
    let written = serde_json::json!({ "url": url, "headers": { "Authorization": "Bearer own" } });
    let config: ServerConfig = serde_json::from_value(written).unwrap();
    let settings = config.build(server_id()).unwrap();
    let TransportSettings::Http(http) = settings.transport() else { panic!("an HTTP server") };
    let counters = Arc::new(Counters::default());
    let (inbox, mail) = inbox::inbox(Arc::clone(&counters));
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
    Line { connection, counters, mail }
}

pub(super) fn server_id() -> ServerId {
    ServerId::new("s").unwrap()
}

pub(super) fn principal(agent: &str) -> PrincipalKey {
    let agent = AgentId::new(agent).unwrap();
    let (agent_source, servers) = (AgentSource::Launch, ServerScope::All);
    Principal { agent, agent_source, user: None, roles: Vec::new(), token: None, servers }.key()
}

pub(super) fn credential(token: &str) -> Credential {
    let header = ("authorization".to_owned(), Secret::new(format!("Bearer {token}")));
    Credential::new(server_id(), "", [header])
}

/// Parameters as text; `@` stands for the progress token.
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) token: Option<&'a str>,
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
pub(super) fn call<'a>(params: &'a Text<'a>, principal: Option<&'a PrincipalKey>) -> Exchange<'a> {
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

pub(super) const ECHO: Text<'static> = Text { text: r#"{"name":"echo","arguments":{}}"#, token: None };

/// Calls and waits for the final answer.
pub(super) async fn ask(
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
pub(super) enum Final {
    Whole(String),
    Streamed(String),
    Error(String),
}

pub(super) async fn finish(reply: &mut HttpReply) -> Result<Final, CallError> {
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

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(super) const LEGACY: Version = Version::V2025_11_25;
pub(super) const MODERN: Version = Version::V2026_07_28;

/// A server of either era: sessions are opened and counted, everything else is `answer`'s work.
pub(super) async fn serve<F, Answering>(answer: F) -> Server
where
    F: Fn(Seen) -> Answering + Send + Sync + 'static,
    Answering: Future<Output = Answer> + Send + 'static,
{
    Server::start(with_sessions(answer)).await
}

/// Opens sessions called `session-1`, `session-2` and so on; the rest is for `answer`.
pub(super) fn with_sessions<F, Answering>(
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
pub(super) fn session(id: &str, name: &str) -> Answer {
    let mut opened = json(result(id, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#));
    opened.headers_mut().insert("mcp-session-id", name.parse().unwrap());
    opened
}

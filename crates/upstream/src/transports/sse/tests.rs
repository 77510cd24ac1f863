//! Tests against a small real server on loopback, whose stream the test writes.

use std::{io, sync::Arc};

use bytes::Bytes;
use http::Method;
use parking_lot::Mutex;
use protocol::Version;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use super::{
    super::{
        http::tests::{
            clients::{call_of, client, shared},
            stage::{
                Answer, ECHO, PATIENCE, Seen, Server, Text, call, credential, event, open_body, principal,
                result, server_id, status, text, typed,
            },
        },
        pipe::{PipeReply, tests::stage::opening},
    },
    SseConnection, address,
};
use crate::{
    CallError, Event, Payload,
    config::{ServerConfig, TransportSettings},
    inbox::Mail,
    transports::Exchange,
};

/// Writes the server's stream.
type Pen = mpsc::Sender<io::Result<Bytes>>;

/// A connection to a server that takes all messages, and the server's pen.
struct Line {
    server: Server,
    connection: Arc<SseConnection>,
    pen: Pen,
    _mail: Mail,
}

/// Starts a server that names `endpoint` and answers messages with `take`.
async fn start(
    endpoint: &'static str,
    take: impl Fn(Seen, Pen) -> Answer + Send + Sync + 'static,
) -> (Server, Pen) {
    let (pen, body) = open_body();
    let first = format!("event: endpoint\r\ndata: {endpoint}\r\n\r\n");
    pen.send(Ok(first.into())).await.unwrap();
    let (body, take, own) = (Mutex::new(Some(body)), Arc::new(take), pen.downgrade());
    let server = Server::start(move |seen: Seen| {
        let answer = match (&seen.method, own.upgrade()) {
            (&Method::GET, _) => {
                body.lock().take().map_or_else(|| status(404), |body| typed("text/event-stream", body))
            }
            (_, Some(pen)) => take(seen, pen),
            (_, None) => status(404),
        };
        async move { answer }
    })
    .await;
    (server, pen)
}

async fn connect(server: &Server) -> Result<(Arc<SseConnection>, Mail), CallError> {
    let headers = json!({ "Authorization": "Bearer own" });
    let written = json!({ "url": server.url(), "headers": headers, "type": "sse" });
    let config: ServerConfig = serde_json::from_value(written).unwrap();
    let settings = config.build(server_id()).unwrap();
    let TransportSettings::Http(http) = settings.transport() else { panic!("an HTTP server") };
    let (opening, mail) = opening();
    let connection = timeout(PATIENCE, SseConnection::open(http, opening)).await.expect("in time")?;
    connection.speak(Version::V2024_11_05);
    Ok((connection, mail))
}

async fn line(take: impl Fn(Seen, Pen) -> Answer + Send + Sync + 'static) -> Line {
    let (server, pen) = start("/messages?session=1", take).await;
    let (connection, mail) = connect(&server).await.unwrap();
    Line { server, connection, pen, _mail: mail }
}

impl Line {
    async fn says(&self, message: impl AsRef<str>) {
        self.pen.send(Ok(event(message.as_ref()).into())).await.unwrap();
    }

    /// Calls as somebody without a session.
    async fn call(&self) -> PipeReply {
        self.connection.request(&call(&ECHO, Some(&principal("a")))).await.unwrap()
    }
}

async fn next(reply: &mut PipeReply) -> Result<Event, CallError> {
    timeout(PATIENCE, reply.next()).await.expect("an event in time")
}

async fn finish(reply: &mut PipeReply) -> String {
    match next(reply).await.unwrap() {
        Event::Result(Payload::Whole(result)) => text(&result),
        other => panic!("a result, and not {other:?}"),
    }
}

fn accept(_seen: Seen, _pen: Pen) -> Answer {
    status(202)
}

#[tokio::test]
async fn answers_and_progress_come_on_the_stream() {
    let line = line(accept).await;
    let counting = Text { text: r#"{"name":"count","_meta":{"progressToken":@}}"#, token: Some("\"mine\"") };
    let credential = credential("callers");
    let who = principal("a");
    let mut exchange = call(&counting, Some(&who));
    (exchange.credential, exchange.passed) = (Some(&credential), 5);
    let mut reply = line.connection.request(&exchange).await.unwrap();
    let seen = line.server.sees(|seen| seen.rpc() == "tools/call").await;
    assert_eq!((&*seen.path, seen.header("authorization")), ("/messages", "Bearer callers"));
    assert_eq!(seen.header("toolgate-depth"), "6");
    assert_eq!(seen.header("mcp-protocol-version"), "", "it is younger than this transport");
    let id = seen.id();
    line.says(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{id},"progress":1}}}}"#
    ))
    .await;
    line.says(result(&id, r#"{"n":1}"#)).await;
    let Ok(Event::Notification { params, .. }) = next(&mut reply).await else { panic!("progress") };
    assert_eq!(text(&params.unwrap()), r#"{"progressToken":"mine","progress":1}"#);
    assert_eq!(finish(&mut reply).await, r#"{"n":1}"#);
    let stream = line.server.sees(|seen| seen.method == Method::GET).await;
    assert_eq!(
        (stream.header("accept"), stream.header("authorization")),
        ("text/event-stream", "Bearer own")
    );
}

#[tokio::test]
async fn what_the_server_asks_is_answered_by_post() {
    let line = line(accept).await;
    let ((client, _ears), who) = (client(r#"{"sampling":{}}"#), principal("a"));
    let session = shared(&client);
    let mut reply = line.connection.request(&call_of(&ECHO, &who, &session)).await.unwrap();
    line.says(r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#).await;
    let Ok(Event::Request(question)) = next(&mut reply).await else { panic!("a question") };
    question.answer(protocol::ResponseBody::Result(Bytes::from_static(b"{\n}")));
    let answer = line.server.sees(|seen| seen.json()["id"] == "q").await;
    assert_eq!(answer.json()["result"], json!({}));
}

#[tokio::test]
async fn what_belongs_to_a_call_goes_with_its_credential() {
    let line = line(accept).await;
    let ((client, _ears), who) = (client(r#"{"sampling":{}}"#), principal("a"));
    let (session, credential) = (shared(&client), credential("callers"));
    let exchange = Exchange { credential: Some(&credential), ..call_of(&ECHO, &who, &session) };
    let mut reply = line.connection.request(&exchange).await.unwrap();
    line.says(r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#).await;
    let Ok(Event::Request(question)) = next(&mut reply).await else { panic!("a question") };
    question.answer(protocol::ResponseBody::Result(Bytes::from_static(b"{}")));
    let answer = line.server.sees(|seen| seen.json()["id"] == "q").await;
    assert_eq!(answer.header("authorization"), "Bearer callers");
    drop(reply);
    let cancelled = line.server.sees(|seen| seen.rpc() == "notifications/cancelled").await;
    assert_eq!(cancelled.header("authorization"), "Bearer callers");
    line.says(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
    let pong = line.server.sees(|seen| seen.json()["id"] == "p").await;
    assert_eq!(pong.header("authorization"), "Bearer own");
}

#[tokio::test]
async fn what_finds_no_room_is_counted() {
    let line = line(accept).await;
    let _all = line.connection.poster.all_room().await;
    line.says(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#).await;
    // What the server says is taken in order: when this is answered, the other was looked at.
    let mut reply = line.call().await;
    let id = line.server.sees(|seen| seen.rpc() == "tools/call").await.id();
    line.says(result(&id, "{}")).await;
    finish(&mut reply).await;
    assert_eq!(line.connection.poster.dropped(), 1);
}

#[tokio::test]
async fn a_server_may_accept_a_message_when_it_has_answered_it() {
    let (go_on, gate) = tokio::sync::watch::channel(false);
    let (pen, body) = open_body();
    pen.send(Ok("event: endpoint\ndata: /messages\n\n".into())).await.unwrap();
    let body = Mutex::new(Some(body));
    let server = Server::start(move |seen: Seen| {
        let (stream, mut gate) = (body.lock().take().filter(|_| seen.method == Method::GET), gate.clone());
        async move {
            match stream {
                Some(stream) => typed("text/event-stream", stream),
                None => {
                    gate.wait_for(|open| *open).await.unwrap();
                    status(200)
                }
            }
        }
    })
    .await;
    let (connection, _mail) = connect(&server).await.unwrap();
    let mut reply = connection.request(&call(&ECHO, Some(&principal("a")))).await.unwrap();
    let id = server.sees(|seen| seen.rpc() == "tools/call").await.id();
    pen.send(Ok(event(&result(&id, "{}")).into())).await.unwrap();
    assert_eq!(finish(&mut reply).await, "{}");
    go_on.send_replace(true);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled() {
    let line = line(accept).await;
    let reply = line.call().await;
    let id = line.server.sees(|seen| seen.rpc() == "tools/call").await.id();
    drop(reply);
    let cancelled = line.server.sees(|seen| seen.rpc() == "notifications/cancelled").await;
    assert_eq!(cancelled.json()["params"]["requestId"].to_string(), id);
}

#[tokio::test]
async fn the_end_of_the_stream_is_the_end_of_the_connection() {
    let Line { server, connection, pen, _mail } = line(accept).await;
    let mut reply = connection.request(&call(&ECHO, Some(&principal("a")))).await.unwrap();
    server.sees(|seen| seen.rpc() == "tools/call").await;
    pen.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    assert!(matches!(next(&mut reply).await, Err(CallError::Lost { .. })));
    assert_eq!(timeout(PATIENCE, connection.closed()).await.unwrap(), "it ended its event stream");
    assert!(connection.has_ended());
    let refused = connection.request(&call(&ECHO, Some(&principal("a")))).await;
    assert!(matches!(refused.err(), Some(CallError::Unavailable { .. })));
}

#[tokio::test]
async fn closing_the_connection_closes_the_stream() {
    let line = line(accept).await;
    let mut reply = line.call().await;
    line.connection.close();
    assert!(matches!(next(&mut reply).await, Err(CallError::Lost { .. })));
    timeout(PATIENCE, line.pen.closed()).await.expect("the server sees the end of its stream");
}

#[tokio::test]
async fn refused_messages_end_their_call() {
    let Line { connection, server: _server, pen: _pen, .. } = line(|_, _| status(403)).await;
    let mut reply = connection.request(&call(&ECHO, Some(&principal("a")))).await.unwrap();
    assert!(matches!(next(&mut reply).await, Err(CallError::Status { status: 403, .. })));
    assert!(!connection.has_ended());
    assert!(matches!(connection.notify("x", None).await, Err(CallError::Status { status: 403, .. })));
}

#[tokio::test]
async fn a_server_that_forgot_the_stream_is_connected_to_anew() {
    let line = line(|_, _| status(404)).await;
    let mut reply = line.call().await;
    assert!(matches!(next(&mut reply).await, Err(CallError::Unavailable { .. })));
    timeout(PATIENCE, line.connection.closed()).await.unwrap();
}

#[tokio::test]
async fn messages_beyond_the_bound_and_garbage() {
    let line = line(accept).await;
    line.says("nonsense").await;
    let mut reply = line.call().await;
    let id = line.server.sees(|seen| seen.rpc() == "tools/call").await.id();
    line.says(format!("[{}]", result(&id, "{}"))).await;
    assert_eq!(finish(&mut reply).await, "{}");
    line.says("x".repeat(100_000)).await;
    let reason = timeout(PATIENCE, line.connection.closed()).await.unwrap();
    assert_eq!(reason, "it sent a message of more than 65536 bytes");
}

#[tokio::test]
async fn servers_that_do_not_begin_with_an_address_of_theirs() {
    for endpoint in ["http://127.0.0.1:1/messages", "//other.example/messages", "http://"] {
        let (server, _pen) = start(endpoint, accept).await;
        let refused = connect(&server).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, CallError::Protocol { .. }), "{endpoint}: {refused:?}");
    }
    let no_stream = Server::start(|_| async { status(200) }).await;
    assert!(matches!(connect(&no_stream).await.map(|_| ()), Err(CallError::Protocol { .. })));
    let unlike = Server::start(|_| async { status(405) }).await;
    assert!(matches!(connect(&unlike).await.map(|_| ()), Err(CallError::Status { status: 405, .. })));
}

#[test]
fn addresses_are_relative_or_of_the_same_origin() {
    let check = |named: &str, expected: Option<&str>| {
        let base = "http://h:1/a/sse?key=1".parse().unwrap();
        assert_eq!(
            address(&base, named.as_bytes()).map(|uri| uri.to_string()).as_deref(),
            expected,
            "{named}"
        );
    };
    check("/messages/?session_id=1", Some("http://h:1/messages/?session_id=1"));
    check("messages", Some("http://h:1/a/messages"));
    check("?s=1", Some("http://h:1/a/sse?s=1"));
    check(" http://h:1/m#x ", Some("http://h:1/m"));
    check("http://h:2/m", None);
    check("https://h:1/m", None);
    check("http://me@h:1/m", None);
    check(&format!("/{}", "x".repeat(9000)), None);
}

//! A legacy server that asks its client something in the middle of a call: the question comes to that client alone,
//! under an id of the gateway, on the stream that can carry it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Client, failure, initialize, legacy, text};
use crate::gateway::{Gateway, Place};
use crate::limit::{USUAL, within};
use crate::wire::{Events, Request, Wire};

/// The server's own id of its question.
const QUESTION: &str = "the server's own id";

/// How long a server may be silent, where that is looked at.
const SHORT: Duration = Duration::from_millis(1_500);

/// A server with the tools `ask`, which asks for roots and answers with what it was told, `linger`, which waits before it
/// does, `withdraw`, which asks, takes the question back and waits, and `finish`, which ends that waiting.
struct Asking {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What its connections share.
struct Shared {
    /// The client's answers so far.
    answers: watch::Sender<Vec<Value>>,
    finished: watch::Sender<bool>,
}

impl Asking {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared =
            Arc::new(Shared { answers: watch::Sender::default(), finished: watch::Sender::default() });
        let mut tasks = JoinSet::new();
        let serving = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                connections.spawn(async move {
                    // A connection that breaks is the gateway's way to say that it has enough.
                    let _ = shared.serve(stream).await;
                });
            }
        });
        Self { address, shared, _tasks: tasks }
    }
}

impl Shared {
    /// Answers one request; each has a connection of its own.
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let start = head.len();
            stream.read_line(&mut head).await?;
            let line = head[start..].trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if !head.starts_with("POST") {
            return reply(&mut stream, "405 Method Not Allowed", "").await;
        }
        let message: Value = serde_json::from_slice(&body).expect("the gateway sends JSON");
        let result = match message["method"].as_str() {
            None => {
                self.answers.send_modify(|answers| answers.push(message));
                return reply(&mut stream, "202 Accepted", "").await;
            }
            Some("tools/call") => return self.call(&mut stream, &message).await,
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "asking", "version": "1"},
            }),
            Some("tools/list") => {
                let tools = ["ask", "linger", "withdraw", "finish"];
                json!({"tools": tools.map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))})
            }
            Some(_) if message.get("id").is_none() => return reply(&mut stream, "202 Accepted", "").await,
            Some(_) => {
                let error = json!({"code": -32601, "message": "method not found"});
                let error = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
                return reply(&mut stream, "200 OK", &error.to_string()).await;
            }
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        reply(&mut stream, "200 OK", &answer.to_string()).await
    }

    async fn call(&self, stream: &mut BufReader<TcpStream>, call: &Value) -> std::io::Result<()> {
        let done = |text: &str| {
            let result = json!({"content": [{"type": "text", "text": text}]});
            json!({"jsonrpc": "2.0", "id": call["id"], "result": result})
        };
        if call["params"]["name"] == "finish" {
            self.finished.send_replace(true);
            return reply(stream, "200 OK", &done("finished").to_string()).await;
        }
        let mut answers = self.answers.subscribe();
        let known = answers.borrow_and_update().len();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        event(stream, &json!({"jsonrpc": "2.0", "id": QUESTION, "method": "roots/list"})).await?;
        if call["params"]["name"] == "withdraw" {
            let params = json!({"requestId": QUESTION});
            event(stream, &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))
                .await?;
            let _ = self.finished.subscribe().wait_for(|finished| *finished).await;
            return event(stream, &done("taken back")).await;
        }
        let _ = answers.wait_for(|answers| answers.len() > known).await;
        let answer = answers.borrow().last().expect("one came").clone();
        if call["params"]["name"] == "linger" {
            let _ = self.finished.subscribe().wait_for(|finished| *finished).await;
        }
        event(stream, &done(&answer.to_string())).await
    }
}

async fn reply(stream: &mut BufReader<TcpStream>, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Mcp-Session-Id: asking\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await
}

async fn event(stream: &mut BufReader<TcpStream>, message: &Value) -> std::io::Result<()> {
    stream.write_all(format!("event: message\ndata: {message}\n\n").as_bytes()).await
}

async fn before(asking: &Asking) -> Gateway {
    before_with(asking, 30_000).await
}

/// Starts a gateway in which the server may be silent for so long.
async fn before_with(asking: &Asking, timeout_ms: u64) -> Gateway {
    let url = format!("http://{}/mcp", asking.address);
    let gateway = Place::new(json!({"one": {"url": url, "timeout_ms": timeout_ms}})).serve().await;
    gateway.ready().await;
    gateway
}

/// Opens a client that can be asked for its roots.
async fn rooted(gateway: &Gateway) -> Client {
    rooted_at(gateway, "2025-11-25").await
}

async fn rooted_at(gateway: &Gateway, revision: &str) -> Client {
    let mut client = gateway.client(Era::Legacy).await;
    let mut opening = initialize();
    opening["protocolVersion"] = json!(revision);
    opening["capabilities"] = json!({"roots": {}});
    let opened = client.send(&legacy("0", "initialize", &opening)).await;
    client.session = opened.head.header("mcp-session-id").map(str::to_owned);
    client
}

/// Answers a question; the gateway takes any answer and says nothing to it.
async fn answer(client: &mut Client, question: &Value) {
    let roots = json!({"roots": [{"uri": "file:///here"}]});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": roots});
    let mut request = client.request("0", "ping", json!({}));
    request.body = answer.to_string().into();
    assert_eq!(client.send(&request).await.head.status, 202);
}

async fn listen(gateway: &Gateway, request: &Request) -> Events {
    Wire::connect(gateway.address).await.listen(request).await
}

fn get(client: &Client) -> Request {
    Request::plain("GET", "/mcp")
        .with("Accept", "text/event-stream")
        .with("Mcp-Session-Id", client.session.clone().expect("a session"))
}

#[test]
fn a_question_comes_on_the_stream_of_its_call_and_again_when_that_broke() {
    within(USUAL, async {
        let asking = Asking::start().await;
        let gateway = before(&asking).await;
        let mut client = rooted(&gateway).await;
        let mut stream = listen(&gateway, &client.call_request("\"call\"", "one__ask", json!({}))).await;
        let opened = stream.priming().await;
        let question = stream.next().await.expect("a question");
        assert_eq!(
            (&question["method"], &question["id"]),
            (&json!("roots/list"), &json!(1)),
            "an id of ours"
        );
        drop(stream);
        let mut stream = listen(&gateway, &get(&client).with("Last-Event-ID", opened)).await;
        assert_eq!(stream.next().await.expect("the same again"), question);
        // Nobody else can answer it.
        let mut stranger = rooted(&gateway).await;
        answer(&mut stranger, &question).await;
        answer(&mut client, &question).await;
        let result = stream.next().await.expect("the result");
        assert_eq!(result["id"], "call");
        let told: Value = serde_json::from_str(text(&result)).expect("the answer");
        assert_eq!(
            (&told["id"], &told["result"]["roots"][0]["uri"]),
            (&json!(QUESTION), &json!("file:///here"))
        );
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn a_question_that_is_taken_back_is_cancelled_on_the_same_stream() {
    within(USUAL, async {
        let asking = Asking::start().await;
        let gateway = before(&asking).await;
        let mut client = rooted(&gateway).await;
        let mut stream = listen(&gateway, &client.call_request("1", "one__withdraw", json!({}))).await;
        let question = stream.next().await.expect("a question");
        let cancelled = stream.next().await.expect("it is taken back");
        assert_eq!(cancelled["method"], "notifications/cancelled");
        assert_eq!(cancelled["params"]["requestId"], question["id"]);
        // Too late, and nothing comes of it.
        answer(&mut client, &question).await;
        assert_eq!(text(&client.call("one__finish", json!({})).await), "finished");
        assert_eq!(text(&stream.next().await.expect("the result")), "taken back");
    });
}

/// The limit would be ten minutes for as long as it is thought that somebody is asked.
#[test]
fn a_server_that_has_its_answer_may_not_be_silent_for_longer_than_any_other() {
    within(USUAL, async {
        let asking = Asking::start().await;
        let gateway = before_with(&asking, SHORT.as_millis() as u64).await;
        let mut client = rooted(&gateway).await;
        let mut answered = listen(&gateway, &client.call_request("1", "one__linger", json!({}))).await;
        let question = answered.next().await.expect("a question");
        // Whoever is asked has more time than the server.
        tokio::time::sleep(2 * SHORT).await;
        answer(&mut client, &question).await;
        let mut taken_back = listen(&gateway, &client.call_request("2", "one__withdraw", json!({}))).await;
        for stream in [&mut answered, &mut taken_back] {
            let mut last = stream.next().await.expect("an answer");
            while last.get("method").is_some() {
                last = stream.next().await.expect("an answer");
            }
            assert_eq!(failure(&last), "TIMEOUT", "{last}");
        }
        assert_eq!(asking.shared.answers.borrow().len(), 1, "the first question was answered");
    });
}

#[test]
fn who_takes_only_json_is_asked_on_its_standing_stream_or_not_at_all() {
    within(USUAL, async {
        let asking = Asking::start().await;
        let gateway = before(&asking).await;
        let mut client = rooted(&gateway).await;
        let call = client.call_request("1", "one__ask", json!({})).set("Accept", "application/json");
        let refused = client.send(&call).await.message();
        assert!(text(&refused).contains("-32601"), "nobody could be asked: {refused}");
        let mut standing = listen(&gateway, &get(&client)).await;
        standing.priming().await;
        let calling = async { Wire::connect(gateway.address).await.ask(&call).await };
        let answering = async {
            let question = standing.next().await.expect("a question");
            assert_eq!(question["method"], "roots/list");
            answer(&mut client, &question).await;
        };
        let (response, ()) = tokio::join!(calling, answering);
        assert_eq!(response.head.header("content-type"), Some("application/json"));
        assert!(text(&response.message()).contains("file:///here"), "{response:?}");
    });
}

#[test]
fn who_did_not_say_that_it_can_be_asked_is_not() {
    within(USUAL, async {
        let asking = Asking::start().await;
        let gateway = before(&asking).await;
        let mut client = gateway.client(Era::Legacy).await;
        let answer = client.call("one__ask", json!({})).await;
        assert!(text(&answer).contains("-32601"), "{answer}");
    });
}

#[test]
fn a_batch_whose_client_goes_leaves_no_server_waiting() {
    within(USUAL, async {
        let asking = Asking::start().await;
        let gateway = before(&asking).await;
        let client = rooted_at(&gateway, "2025-03-26").await;
        let mut call = client.call_request("1", "one__ask", json!({}));
        call = call.set("MCP-Protocol-Version", "2025-03-26");
        call.body = [b"[", &*call.body, b"]"].concat();
        let mut standing = listen(&gateway, &get(&client)).await;
        let mut answers = asking.shared.answers.subscribe();

        // It hears events: the question comes among them.
        let mut batch = listen(&gateway, &call).await;
        assert_eq!(batch.next().await.expect("a question")["method"], "roots/list");
        drop(batch);
        answers.wait_for(|answers| answers.len() == 1).await.expect("the server lives");

        // It takes only JSON: the question comes on its standing stream.
        let mut wire = Wire::connect(gateway.address).await;
        let call = call.set("Accept", "application/json");
        wire.send(&call.bytes(gateway.address)).await.expect("the gateway takes it");
        assert_eq!(standing.next().await.expect("a question")["method"], "roots/list");
        drop(wire);
        answers.wait_for(|answers| answers.len() == 2).await.expect("the server lives");
        for answer in &*answers.borrow() {
            assert!(answer["error"].is_object(), "nobody answered: {answer}");
        }
    });
}

//! What a legacy server asks during a call, on its way to the client and back; and what clients declare and want.

use std::sync::Arc;

use bytes::Bytes;
use domain::PrincipalKey;
use protocol::{ClientCapabilities, ResponseBody};
use tokio::time::timeout;

use super::{
    super::{HttpReply, asking, errands},
    clients::*,
    stage::{streams::*, *},
};
use crate::{Event, News, ServerRequest, SharedSession, transports::Exchange};

const ALL: &str = r#"{"roots":{},"sampling":{},"elicitation":{"form":{}}}"#;

/// A server whose calls are streams that the test writes, one after the other.
async fn conversing() -> (Server, Streams) {
    let (pen, streams) = streams();
    let server = serve(move |seen| {
        let answer = match &*seen.rpc() {
            "tools/call" => pen.open(),
            "" if seen.method == "GET" => status(405),
            "logging/setLevel" => json(result(&seen.id(), "{}")),
            _ => status(202),
        };
        async move { answer }
    })
    .await;
    (server, streams)
}

/// A client of such a server. What is dropped last stands last.
struct Talk {
    session: SharedSession,
    _ears: Ears,
    client: Arc<Client>,
    owner: PrincipalKey,
    line: Line,
    streams: Streams,
    server: Server,
}

impl Talk {
    /// Connects a client that declares this.
    async fn begin(declared: &str) -> Self {
        let (server, streams) = conversing().await;
        let line = connect(&server.url(), LEGACY);
        let (owner, (client, _ears)) = (principal("a"), client(declared));
        Self { session: shared(&client), _ears, client, owner, line, streams, server }
    }

    /// Calls, and finds the stream that answers.
    async fn call(&mut self) -> (Box<HttpReply>, Stream) {
        let call = call_of(&ECHO, &self.owner, &self.session);
        let reply = self.line.connection.request(call).await.unwrap();
        (reply, self.streams.recv().await.unwrap())
    }

    /// Answers the call that the server saw first.
    async fn answer(&self, stream: &Stream) {
        let call = self.server.sees(|seen| seen.rpc() == "tools/call").await;
        stream.send(Ok(event(&result(&call.id(), "{}")).into())).await.unwrap();
    }
}

async fn next_request(reply: &mut HttpReply) -> ServerRequest {
    match timeout(PATIENCE, reply.next()).await.expect("in time").expect("an event") {
        Event::Request(request) => request,
        other => panic!("a request, and not {other:?}"),
    }
}

fn asks(id: &str, method: &str) -> std::io::Result<Bytes> {
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"a":1}}}}"#);
    Ok(event(&message).into())
}

#[tokio::test]
async fn a_question_goes_to_the_client_and_its_answer_back() {
    let mut talk = Talk::begin(ALL).await;
    let (mut reply, stream) = talk.call().await;
    for (id, method) in
        [("\"x\\u0041\"", "elicitation/create"), ("0", "sampling/createMessage"), ("-3", "roots/list")]
    {
        stream.send(asks(id, method)).await.unwrap();
        let request = next_request(&mut reply).await;
        assert_eq!(
            (request.method(), request.params().unwrap()),
            (method, &Bytes::from_static(b"{\"a\":1}"))
        );
        request.answer(ResponseBody::Result(Bytes::from_static(b"{\"b\":2}")));
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"b":2}}}}"#);
        let seen = talk.server.sees(|seen| seen.body == answer).await;
        assert_eq!(seen.header("mcp-session-id"), "session-1");
    }
    stream.send(asks("4", "roots/list")).await.unwrap();
    let error = r#"{"code":-1,"message":"the user declined"}"#;
    next_request(&mut reply).await.answer(ResponseBody::Error(error.into()));
    talk.server.sees(|seen| seen.body == format!(r#"{{"jsonrpc":"2.0","id":4,"error":{error}}}"#)).await;
    talk.answer(&stream).await;
    assert_eq!(finish(&mut reply).await.unwrap(), Final::Whole("{}".to_owned()));
    assert_eq!(talk.line.counters.values().refused_requests, 0);
}

#[tokio::test]
async fn what_no_client_allows_is_refused_and_ping_is_answered() {
    let mut talk = Talk::begin(r#"{"roots":{}}"#).await;
    let of_client = call_of(&ECHO, &talk.owner, &talk.session);
    let of_nobody = call(&ECHO, Some(&talk.owner));
    for (exchange, ids) in [(of_client, ["1", "2", "3"]), (of_nobody, ["4", "5", "6"])] {
        let mut reply = talk.line.connection.request(exchange).await.unwrap();
        let stream = talk.streams.recv().await.unwrap();
        for (id, method) in ids.into_iter().zip(["sampling/createMessage", "ping", "tasks/list"]) {
            stream.send(asks(id, method)).await.unwrap();
        }
        drop(stream);
        assert!(finish(&mut reply).await.is_err(), "the stream ends without an answer");
        let [sampling, ping, tasks] = ids;
        talk.server.sees(|seen| seen.id() == ping && seen.json()["result"].is_object()).await;
        for refused in [sampling, tasks] {
            talk.server.sees(|seen| seen.id() == refused && seen.json()["error"]["code"] == -32601).await;
        }
    }
    assert_eq!(talk.line.counters.values().refused_requests, 4);
}

#[tokio::test]
async fn questions_are_withdrawn_by_the_server_and_by_the_end_of_the_call() {
    let mut talk = Talk::begin(ALL).await;
    let (mut reply, stream) = talk.call().await;
    stream.send(asks("1", "roots/list")).await.unwrap();
    let taken_back = next_request(&mut reply).await;
    stream.send(asks("1", "roots/list")).await.unwrap();
    stream.send(asks("2", "elicitation/create")).await.unwrap();
    let still_open = next_request(&mut reply).await;
    assert_eq!(still_open.method(), "elicitation/create", "what is said twice is asked once");
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    stream.send(Ok(event(cancelled).into())).await.unwrap();
    let call = talk.server.sees(|seen| seen.rpc() == "tools/call").await;
    let last = event(&result(&call.id(), "{}"));
    let withdrawn = still_open.withdrawn().clone();
    let ending = async {
        timeout(PATIENCE, taken_back.withdrawn().cancelled()).await.expect("it is taken back");
        assert!(!withdrawn.is_cancelled());
        stream.send(Ok(last.into())).await.unwrap();
    };
    let (answer, ()) = tokio::join!(finish(&mut reply), ending);
    assert_eq!(answer.unwrap(), Final::Whole("{}".to_owned()));
    assert!(withdrawn.is_cancelled());
    // Answers that come too late go nowhere: the next thing that the server sees is the next call.
    taken_back.answer(ResponseBody::Result(Bytes::from_static(b"{}")));
    still_open.answer(ResponseBody::Result(Bytes::from_static(b"{}")));
    let before = talk.server.seen().len();
    let (mut second, _stream) = talk.call().await;
    second.forget_on_drop();
    assert_eq!(talk.server.seen().len(), before + 1);
}

#[tokio::test]
async fn a_call_that_ends_without_an_answer_has_its_questions_refused() {
    let mut talk = Talk::begin(ALL).await;
    let (mut reply, stream) = talk.call().await;
    stream.send(asks("5", "elicitation/create")).await.unwrap();
    let request = next_request(&mut reply).await;
    drop(reply);
    assert!(request.withdrawn().is_cancelled());
    talk.server.sees(|seen| seen.rpc() == "notifications/cancelled").await;
    drop(request);
    talk.server.sees(|seen| seen.id() == "5" && seen.json()["error"]["code"] == -32603).await;
}

#[tokio::test]
async fn answers_find_room_when_errands_do_not() {
    let mut talk = Talk::begin(ALL).await;
    let (mut reply, stream) = talk.call().await;
    let _all = talk.line.connection.errands.acquire_many(errands::MAX_ERRANDS as u32).await.unwrap();
    stream.send(asks("5", "roots/list")).await.unwrap();
    next_request(&mut reply).await.answer(ResponseBody::Result(Bytes::from_static(b"{}")));
    talk.server.sees(|seen| seen.id() == "5" && seen.json()["result"].is_object()).await;
}

/// Which sessions the calls of these clients go out in, as the server names them, and what is declared in each.
async fn sessions_of(affinity: &str, clients: &[(&str, Option<&Arc<Client>>)]) -> (Vec<String>, Vec<String>) {
    let server = serve(|seen| async move {
        match &*seen.rpc() {
            "tools/call" => {
                let session = seen.header("mcp-session-id").to_owned();
                json(result(&seen.id(), &format!(r#"{{"in":"{session}"}}"#)))
            }
            _ => status(405),
        }
    })
    .await;
    let line = connect_sharing(&server.url(), affinity);
    let mut sessions = Vec::new();
    for (agent, client) in clients {
        let (owner, session) = (principal(agent), client.map(shared));
        let exchange = Exchange { session: session.as_ref(), ..call(&ECHO, Some(&owner)) };
        let Final::Whole(told) = ask(&line.connection, exchange).await.unwrap() else { panic!("a result") };
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        sessions.push(told["in"].as_str().unwrap().trim_start_matches("session-").to_owned());
    }
    let seen = server.seen();
    let opened = seen.iter().filter(|seen| seen.rpc() == "initialize");
    (sessions, opened.map(|seen| declared(&seen.json())).collect())
}

#[tokio::test]
async fn sessions_are_shared_as_the_configuration_says() {
    const ROOTS: &str = r#"{"roots":{"listChanged":true}}"#;
    const SAMPLING: &str = r#"{"sampling":{"tools":{}},"vendor":{"x":1.50}}"#;
    let roots = [client(ROOTS), client(ROOTS), client(ROOTS)].map(|(client, _)| client);
    let (sampling, _ears) = client(SAMPLING);
    let callers = [
        ("a", Some(&roots[0])),
        ("a", Some(&roots[1])),
        ("a", Some(&sampling)),
        ("a", None),
        ("b", Some(&roots[2])),
        ("a", Some(&roots[0])),
    ];
    let (sessions, declared) = sessions_of("principal", &callers).await;
    assert_eq!(sessions, ["1", "1", "2", "3", "4", "1"]);
    assert_eq!(declared, [ROOTS, r#"{"sampling":{"tools":{}},"vendor":{"x":1.5}}"#, "{}", ROOTS]);
    let (sessions, _) = sessions_of("session", &callers).await;
    assert_eq!(sessions, ["1", "2", "3", "4", "5", "1"]);
    let (sessions, declared) = sessions_of("shared", &callers).await;
    assert_eq!(sessions, ["1"; 6]);
    let all: serde_json::Value = serde_json::from_str(ClientCapabilities::ALL.as_json()).unwrap();
    assert_eq!(declared, [all.to_string()]);
}

/// A server with a log level; sessions are called `session-1` and so on.
async fn logging() -> Server {
    let opened = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |seen| {
        let answer = match (&seen.method, &*seen.rpc()) {
            (_, "initialize") => {
                let number = opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                session_of(&seen.id(), &format!("session-{number}"), r#"{"logging":{}}"#)
            }
            (_, "tools/call" | "logging/setLevel") => json(result(&seen.id(), "{}")),
            (&http::Method::GET, _) => status(405),
            _ => status(202),
        };
        async move { answer }
    })
    .await
}

fn levels(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let told = seen.iter().filter(|seen| ["logging/setLevel", "tools/call"].contains(&&*seen.rpc()));
    told.map(|seen| seen.json()["params"]["level"].as_str().unwrap_or("call").to_owned()).collect()
}

#[tokio::test]
async fn the_most_talkative_level_is_told_before_calls() {
    let server = logging().await;
    let line = connect(&server.url(), LEGACY);
    let owner = principal("a");
    let ((quiet, _quiet), (curious, _curious)) = (client(ALL), client(ALL));
    let (first, second) = (shared(&quiet), shared(&curious));
    quiet.set_level("error");
    line.connection.tell_news(&first, News::LogLevel);
    ask(&line.connection, call_of(&ECHO, &owner, &first)).await.unwrap();
    curious.set_level("info");
    ask(&line.connection, call_of(&ECHO, &owner, &second)).await.unwrap();
    ask(&line.connection, call_of(&ECHO, &owner, &first)).await.unwrap();
    quiet.set_level("debug");
    line.connection.tell_news(&first, News::LogLevel);
    ask(&line.connection, call_of(&ECHO, &owner, &first)).await.unwrap();
    assert_eq!(levels(&server), ["error", "call", "info", "call", "call", "debug", "call"]);
}

#[tokio::test]
async fn a_server_without_logs_is_told_no_level() {
    let mut talk = Talk::begin(ALL).await;
    talk.client.set_level("debug");
    let (_reply, _stream) = talk.call().await;
    talk.line.connection.tell_news(&talk.session, News::LogLevel);
    talk.line.connection.tell_news(&talk.session, News::Roots);
    talk.server.sees(|seen| seen.rpc() == "notifications/roots/list_changed").await;
    assert!(talk.server.seen().iter().all(|seen| seen.rpc() != "logging/setLevel"));
}

#[tokio::test]
async fn levels_are_told_one_after_the_other_and_the_last_one_wins() {
    let (release, released) = tokio::sync::watch::channel(false);
    let at_once = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let most_at_once = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (now, most) = (Arc::clone(&at_once), Arc::clone(&most_at_once));
    let server = Server::start(move |seen| {
        let (now, most, mut released) = (Arc::clone(&now), Arc::clone(&most), released.clone());
        async move {
            match &*seen.rpc() {
                "initialize" => session_of(&seen.id(), "session-1", r#"{"logging":{}}"#),
                "logging/setLevel" => {
                    let others = now.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    most.fetch_max(others + 1, std::sync::atomic::Ordering::SeqCst);
                    released.wait_for(|released| *released).await.unwrap();
                    now.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    json(result(&seen.id(), "{}"))
                }
                "tools/call" => json(result(&seen.id(), "{}")),
                "" if seen.method == "GET" => status(405),
                _ => status(202),
            }
        }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let (owner, (client, _ears)) = (principal("a"), client(ALL));
    let session = shared(&client);
    client.set_level("error");
    let calling = ask(&line.connection, call_of(&ECHO, &owner, &session));
    let changing = async {
        server.sees(|seen| seen.rpc() == "logging/setLevel").await;
        for level in ["debug", "info", "warning"] {
            client.set_level(level);
            line.connection.tell_news(&session, News::LogLevel);
            // Round trips in which everything would be sent that is to be sent at once.
            for _ in 0..2 {
                ask(&line.connection, call(&ECHO, Some(&principal("b")))).await.unwrap();
            }
        }
        release.send_replace(true);
        server.sees(|seen| seen.json()["params"]["level"] == "warning").await;
    };
    let (answer, ()) = tokio::join!(calling, changing);
    answer.unwrap();
    assert_eq!(most_at_once.load(std::sync::atomic::Ordering::SeqCst), 1);
    let told = levels(&server).into_iter().filter(|told| told != "call");
    assert_eq!(told.collect::<Vec<_>>(), ["error", "warning"]);
}

#[tokio::test]
async fn what_finds_no_room_is_counted() {
    let mut talk = Talk::begin(ALL).await;
    let (mut reply, stream) = talk.call().await;
    let connection = &talk.line.connection;
    let _errands = connection.errands.acquire_many(errands::MAX_ERRANDS as u32).await.unwrap();
    let _answers = connection.questions.acquire_many(asking::MAX_QUESTIONS as u32).await.unwrap();
    stream.send(asks("1", "ping")).await.unwrap();
    stream.send(asks("2", "roots/list")).await.unwrap();
    talk.answer(&stream).await;
    assert_eq!(finish(&mut reply).await.unwrap(), Final::Whole("{}".to_owned()));
    assert_eq!(talk.line.counters.values().dropped_notifications, 2);
    // So is a notification of ours.
    connection.tell_news(&talk.session, News::Roots);
    assert_eq!(talk.line.counters.values().dropped_notifications, 3);
}

//! The session that everybody shares (`affinity: shared`): what the server says outside calls reaches a client only when
//! nobody else can be meant, and what a call brings stays with its caller.

use std::sync::Arc;

use bytes::Bytes;
use protocol::ResponseBody;

use super::{
    clients::*,
    stage::{streams::*, *},
};
use crate::{Event, News, transports::Exchange};

const ROOTS: &str = r#"{"roots":{"listChanged":true}}"#;
const TOLD: [&str; 3] =
    ["notifications/message", "notifications/elicitation/complete", "notifications/tasks/status"];

/// A server with a log level whose standing stream the test writes.
async fn talking() -> (Server, Streams) {
    let (pen, streams) = streams();
    let server = Server::start(move |seen| {
        let answer = match &*seen.rpc() {
            "initialize" => session_of(&seen.id(), "session-1", r#"{"logging":{}}"#),
            "logging/setLevel" => json(result(&seen.id(), "{}")),
            _ => pen.answer(&seen),
        };
        async move { answer }
    })
    .await;
    (server, streams)
}

async fn begin(line: &Line, agent: &str, client: Option<&Arc<Client>>) {
    let (owner, session) = (principal(agent), client.map(shared));
    let exchange = Exchange { session: session.as_ref(), ..call(&ECHO, Some(&owner)) };
    ask(&line.connection, exchange).await.unwrap();
}

async fn ask_for_roots(stream: &Stream, id: u64) {
    let asked = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#);
    stream.send(Ok(event(&asked).into())).await.unwrap();
}

/// Has the server say and ask everything that is for clients; it must be refused.
async fn speaks_to_nobody(server: &Server, stream: &Stream, line: &Line, id: u64) {
    let before = line.counters.values();
    for method in TOLD {
        let told = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"data":"x"}}}}"#);
        stream.send(Ok(event(&told).into())).await.unwrap();
    }
    ask_for_roots(stream, id).await;
    server.sees(|seen| seen.id() == id.to_string() && seen.json()["error"]["code"] == -32601).await;
    let after = line.counters.values();
    assert_eq!(after.dropped_notifications - before.dropped_notifications, TOLD.len() as u64);
    assert_eq!(after.refused_requests - before.refused_requests, 1);
}

#[tokio::test]
async fn the_one_client_hears_and_is_asked() {
    let (server, mut streams) = talking().await;
    let line = connect_sharing(&server.url(), "shared");
    let (client, mut ears) = client(ROOTS);
    begin(&line, "a", Some(&client)).await;
    let stream = streams.recv().await.unwrap();
    let told = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    stream.send(Ok(event(told).into())).await.unwrap();
    assert_eq!(ears.notification().await.0, "notifications/message");
    ask_for_roots(&stream, 1).await;
    ears.request().await.answer(ResponseBody::Result(Bytes::from_static(b"{}")));
    server.sees(|seen| seen.id() == "1" && seen.json()["result"].is_object()).await;
    line.connection.tell_news(&shared(&client), News::Roots);
    server.sees(|seen| seen.rpc() == "notifications/roots/list_changed").await;
    assert_eq!(line.counters.values().dropped_notifications, 0);
}

#[tokio::test]
async fn nothing_outside_calls_crosses_principals() {
    let (server, mut streams) = talking().await;
    let line = connect_sharing(&server.url(), "shared");
    let ((first, mut first_ears), (second, mut second_ears)) = (client(ROOTS), client(ROOTS));
    begin(&line, "a", Some(&first)).await;
    let stream = streams.recv().await.unwrap();
    begin(&line, "b", Some(&second)).await;
    speaks_to_nobody(&server, &stream, &line, 1).await;
    assert!(first_ears.is_idle() && second_ears.is_idle());
    // What the first principal has left in the session is not for the second.
    drop(first);
    speaks_to_nobody(&server, &stream, &line, 2).await;
    assert!(second_ears.is_idle());
}

#[tokio::test]
async fn callers_without_sessions_are_users_too() {
    for agent in ["a", "b"] {
        let (server, mut streams) = talking().await;
        let line = connect_sharing(&server.url(), "shared");
        let (client, mut ears) = client(ROOTS);
        begin(&line, "a", Some(&client)).await;
        let stream = streams.recv().await.unwrap();
        begin(&line, agent, None).await;
        speaks_to_nobody(&server, &stream, &line, 1).await;
        assert!(ears.is_idle());
    }
}

#[tokio::test]
async fn of_two_clients_of_one_principal_neither_is_meant() {
    let (server, mut streams) = talking().await;
    let line = connect_sharing(&server.url(), "shared");
    let ((first, mut first_ears), (second, mut second_ears)) = (client(ROOTS), client(ROOTS));
    begin(&line, "a", Some(&first)).await;
    let stream = streams.recv().await.unwrap();
    begin(&line, "a", Some(&second)).await;
    speaks_to_nobody(&server, &stream, &line, 1).await;
    assert!(first_ears.is_idle());
    drop(first);
    ask_for_roots(&stream, 2).await;
    second_ears.request().await;
}

#[tokio::test]
async fn the_server_is_told_no_news_of_one_among_several() {
    let (server, mut streams) = talking().await;
    let line = connect_sharing(&server.url(), "shared");
    let ((first, _first), (second, _second)) = (client(ROOTS), client(ROOTS));
    begin(&line, "a", Some(&first)).await;
    let _stream = streams.recv().await.unwrap();
    begin(&line, "b", Some(&second)).await;
    second.set_level("debug");
    for news in [News::Roots, News::LogLevel] {
        line.connection.tell_news(&shared(&second), news);
    }
    assert_eq!(line.counters.values().dropped_notifications, 1);
    // The level is told before the next call, in the name of who makes it.
    let (owner, token, session) = (principal("b"), credential("of-b"), shared(&second));
    let exchange = Exchange { credential: Some(&token), ..call_of(&ECHO, &owner, &session) };
    ask(&line.connection, exchange).await.unwrap();
    let told = server.sees(|seen| seen.rpc() == "logging/setLevel").await;
    assert_eq!(told.header("authorization"), "Bearer of-b");
    assert!(server.seen().iter().all(|seen| seen.rpc() != "notifications/roots/list_changed"));
}

#[tokio::test]
async fn what_the_server_says_during_a_call_is_for_no_other_client() {
    let server = completing().await;
    let line = connect_sharing(&server.url(), "shared");
    let ((first, mut first_ears), (second, _second)) = (client(ROOTS), client(ROOTS));
    begin(&line, "a", Some(&first)).await;
    first_ears.notification().await;
    begin(&line, "b", Some(&second)).await;
    assert!(first_ears.is_idle());
    assert_eq!(line.counters.values().dropped_notifications, 1);
}

#[tokio::test]
async fn answers_go_back_with_the_credential_of_their_call() {
    let server = serve(|seen| async move {
        match &*seen.rpc() {
            "tools/call" => {
                let asked = format!(r#"{{"jsonrpc":"2.0","id":"for {}","method":"roots/list"}}"#, seen.id());
                let (sender, body) = open_body();
                sender.send(Ok(event(&asked).into())).await.unwrap();
                tokio::spawn(async move { sender.closed().await });
                typed("text/event-stream", body)
            }
            "" if seen.method == "GET" => status(405),
            _ => status(202),
        }
    })
    .await;
    let line = connect_sharing(&server.url(), "shared");
    let mut open = Vec::new();
    for agent in ["a", "b"] {
        let (owner, token, (client, _ears)) = (principal(agent), credential(agent), client(ROOTS));
        let session = shared(&client);
        let exchange = Exchange { credential: Some(&token), ..call_of(&ECHO, &owner, &session) };
        let mut reply = line.connection.request(exchange).await.unwrap();
        let Event::Request(request) = reply.next().await.unwrap() else { panic!("a request") };
        open.push((agent, reply, request, client));
    }
    // The one that was asked first answers last.
    while let Some((agent, reply, request, _client)) = open.pop() {
        request.answer(ResponseBody::Result(format!(r#"{{"by":"{agent}"}}"#).into()));
        let answer = server.sees(|seen| seen.json()["result"]["by"] == agent).await;
        assert_eq!(answer.header("authorization"), format!("Bearer {agent}"));
        drop(reply);
    }
}

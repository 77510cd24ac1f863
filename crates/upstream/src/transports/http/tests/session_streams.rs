//! The stream of a session as its clients hear it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::ResponseBody;
use tokio::time::timeout;

use super::{
    clients::*,
    stage::{streams::*, *},
};

const ROOTS: &str = r#"{"roots":{}}"#;
const ROOTS_ASKED: &str = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#;

/// A server whose standing streams the test writes.
async fn talking() -> (Server, Streams) {
    let (pen, streams) = streams();
    let server = serve(move |seen| {
        let answer = pen.answer(&seen);
        async move { answer }
    })
    .await;
    (server, streams)
}

fn says(method: &str) -> std::io::Result<Bytes> {
    Ok(event(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"data":"x"}}}}"#)).into())
}

async fn begin(line: &Line, agent: &str, client: &Arc<Client>) {
    let (owner, session) = (principal(agent), shared(client));
    ask(&line.connection, call_of(&ECHO, &owner, &session)).await.unwrap();
}

#[tokio::test]
async fn every_client_of_a_session_hears_and_one_is_asked() {
    let (server, mut streams) = talking().await;
    let mut line = connect(&server.url(), LEGACY);
    let ((first, mut first_ears), (second, mut second_ears)) = (client(ROOTS), client(ROOTS));
    begin(&line, "a", &first).await;
    begin(&line, "a", &second).await;
    let stream = streams.recv().await.unwrap();
    for method in
        ["notifications/message", "notifications/elicitation/complete", "notifications/tasks/status"]
    {
        stream.send(says(method)).await.unwrap();
        for ears in [&mut first_ears, &mut second_ears] {
            let (heard, params) = ears.notification().await;
            assert_eq!((&*heard, &params.unwrap()[..]), (method, &b"{\"data\":\"x\"}"[..]));
        }
    }
    stream.send(Ok(event(ROOTS_ASKED).into())).await.unwrap();
    second_ears.request().await.answer(ResponseBody::Result(Bytes::from_static(b"{\"roots\":[]}")));
    let answer = server.sees(|seen| seen.json()["result"]["roots"].is_array()).await;
    assert_eq!((answer.header("mcp-session-id"), &*answer.id()), ("session-1", "1"));
    assert!(first_ears.is_idle());
    drop(second);
    stream.send(Ok(event(&ROOTS_ASKED.replace(":1,", ":2,")).into())).await.unwrap();
    let request = first_ears.request().await;
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#;
    stream.send(Ok(event(cancelled).into())).await.unwrap();
    timeout(PATIENCE, request.withdrawn().cancelled()).await.expect("it is taken back");
    let sampling = r#"{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage"}"#;
    stream.send(Ok(event(sampling).into())).await.unwrap();
    server.sees(|seen| seen.id() == "3" && seen.json()["error"]["code"] == -32601).await;
    stream.send(says("notifications/tools/list_changed")).await.unwrap();
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    assert!(line.mail.queue.try_recv().is_err());
    assert_eq!(server.seen().iter().filter(|seen| seen.method == "GET").count(), 1);
}

#[tokio::test]
async fn a_stream_goes_on_behind_its_last_event_and_ends_with_its_last_client() {
    let (server, mut streams) = talking().await;
    let line = connect(&server.url(), LEGACY);
    let (client, mut ears) = client(ROOTS);
    begin(&line, "a", &client).await;
    let stream = streams.recv().await.unwrap();
    let told = format!("id: e-7\nretry: 20\n{}", text(&says("notifications/message").unwrap()));
    stream.send(Ok(told.into())).await.unwrap();
    ears.notification().await;
    drop(stream);
    let stream = timeout(PATIENCE, streams.recv()).await.unwrap().unwrap();
    server.sees(|seen| seen.header("last-event-id") == "e-7").await;
    stream.send(says("notifications/message")).await.unwrap();
    ears.notification().await;
    drop(client);
    timeout(PATIENCE, stream.closed()).await.expect("nobody listens any more");
}

#[tokio::test]
async fn an_event_that_the_server_has_let_go_costs_nobody_the_streams() {
    for refused in [400, 405, 404] {
        let (pen, mut streams) = streams();
        let server = serve(move |seen| {
            let answer = match &*seen.rpc() {
                "ping" => json(result(&seen.id(), "{}")),
                "" if seen.method == "GET" && !seen.header("last-event-id").is_empty() => status(refused),
                _ => pen.answer(&seen),
            };
            async move { answer }
        })
        .await;
        let line = connect(&server.url(), LEGACY);
        let (client, mut ears) = client(ROOTS);
        begin(&line, "a", &client).await;
        let stream = timeout(PATIENCE, streams.recv()).await.unwrap().unwrap();
        let told = format!("id: e-7\nretry: 20\n{}", text(&says("notifications/message").unwrap()));
        stream.send(Ok(told.into())).await.unwrap();
        ears.notification().await;
        drop(stream);
        let stream = timeout(PATIENCE, streams.recv()).await.expect("a stream from now on").unwrap();
        stream.send(says("notifications/message")).await.unwrap();
        ears.notification().await;
        timeout(PATIENCE, line.mail.lists_changed.notified()).await.expect("something may have been missed");
        assert!(!line.connection.has_no_streams.load(Ordering::Relaxed), "{refused}");
        assert_eq!(server.seen().iter().filter(|seen| seen.rpc() == "initialize").count(), 1, "{refused}");
    }
}

#[tokio::test]
async fn what_waits_for_a_client_keeps_nothing_else_alive() {
    let (server, mut streams) = talking().await;
    let line = connect(&server.url(), LEGACY);
    let (client, mut ears) = client(ROOTS);
    begin(&line, "a", &client).await;
    let stream = streams.recv().await.unwrap();
    let (told, more) = (text(&says("notifications/message").unwrap()), "x".repeat(100));
    stream.send(Ok(format!("{told}: {more}").into())).await.unwrap();
    assert!(ears.notification().await.1.unwrap().is_unique());
    let asked = r#"{"jsonrpc":"2.0","id":1,"method":"roots/list","params":{}}"#;
    stream.send(Ok(format!("\n{}: {more}", event(asked)).into())).await.unwrap();
    assert!(ears.request().await.params().unwrap().is_unique());
}

#[tokio::test]
async fn what_a_server_says_for_the_moment_is_no_last_word() {
    for first in [408, 307, 503] {
        let asked = AtomicUsize::new(0);
        let server = serve(move |seen| {
            let is_first = seen.method == "GET" && asked.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                match &*seen.rpc() {
                    "tools/call" => json(result(&seen.id(), "{}")),
                    _ if is_first => status(first),
                    _ => events(&[]),
                }
            }
        })
        .await;
        let line = connect(&server.url(), LEGACY);
        let (client, _ears) = client(ROOTS);
        begin(&line, "a", &client).await;
        let gets = async {
            while server.seen().iter().filter(|seen| seen.method == "GET").count() < 2 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, gets).await.expect("it is asked again");
    }
}

#[tokio::test]
async fn what_the_server_says_during_a_call_reaches_all_clients_of_the_session() {
    let server = completing().await;
    let line = connect(&server.url(), LEGACY);
    let ((first, mut first_ears), (second, mut second_ears)) = (client(ROOTS), client(ROOTS));
    begin(&line, "a", &first).await;
    first_ears.notification().await;
    begin(&line, "a", &second).await;
    first_ears.notification().await;
    assert_eq!(second_ears.notification().await.0, "notifications/elicitation/complete");
}

#[tokio::test]
async fn a_server_without_streams_is_asked_for_one_only_once() {
    for refusal in [405, 404, 400, 501] {
        let server = serve(move |seen| async move {
            match &*seen.rpc() {
                "tools/call" | "ping" => json(result(&seen.id(), "{}")),
                _ => status(refusal),
            }
        })
        .await;
        let line = connect(&server.url(), LEGACY);
        let ((first, _first), (second, _second)) = (client(ROOTS), client("{}"));
        begin(&line, "a", &first).await;
        // A call waits for the stream only for a moment, and the next may begin before it is known that there is none.
        let known = async {
            while !line.connection.has_no_streams.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, known).await.expect("it is known");
        for _ in 0..2 {
            begin(&line, "a", &first).await;
            begin(&line, "b", &second).await;
        }
        let seen = server.seen();
        assert_eq!(seen.iter().filter(|seen| seen.method == "GET").count(), 1, "{refusal}");
        assert_eq!(seen.iter().filter(|seen| seen.rpc() == "initialize").count(), 2, "{refusal}");
    }
}

#[tokio::test]
async fn nobody_is_asked_where_it_is_not_known_who_is_meant() {
    let (server, mut streams) = talking().await;
    let line = connect_sharing(&server.url(), "shared");
    let ((first, mut first_ears), (second, mut second_ears)) = (client(ROOTS), client(ROOTS));
    begin(&line, "a", &first).await;
    let stream = streams.recv().await.unwrap();
    stream.send(Ok(event(ROOTS_ASKED).into())).await.unwrap();
    first_ears.request().await.answer(ResponseBody::Result(Bytes::from_static(b"{}")));
    begin(&line, "b", &second).await;
    stream.send(Ok(event(&ROOTS_ASKED.replace(":1,", ":2,")).into())).await.unwrap();
    server.sees(|seen| seen.id() == "2" && seen.json()["error"]["code"] == -32601).await;
    assert!(first_ears.is_idle() && second_ears.is_idle());
}

#[tokio::test]
async fn a_session_of_one_client_ends_with_it() {
    let (server, mut streams) = talking().await;
    let line = connect_sharing(&server.url(), "session");
    let (client, _ears) = client(ROOTS);
    begin(&line, "a", &client).await;
    let _stream = streams.recv().await.unwrap();
    drop(client);
    let ended = server.sees(|seen| seen.method == "DELETE").await;
    assert_eq!(ended.header("mcp-session-id"), "session-1");
}

#[tokio::test]
async fn clients_of_different_declarations_hear_their_own_sessions_alone() {
    let opened = Arc::new(AtomicUsize::new(0));
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let (count, kept) = (Arc::clone(&opened), Arc::clone(&bodies));
    let server = serve(move |seen| {
        let answer = match &*seen.rpc() {
            "tools/call" => json(result(&seen.id(), "{}")),
            "" if seen.method == "GET" => {
                count.fetch_add(1, Ordering::Relaxed);
                let (sender, body) = open_body();
                kept.lock().push((seen.header("mcp-session-id").to_owned(), sender));
                typed("text/event-stream", body)
            }
            _ => status(202),
        };
        async move { answer }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let ((first, mut first_ears), (second, mut second_ears)) = (client(ROOTS), client("{}"));
    begin(&line, "a", &first).await;
    begin(&line, "a", &second).await;
    let both = async {
        while opened.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, both).await.expect("each has its stream");
    assert_eq!(opened.load(Ordering::Relaxed), 2);
    let of_second = bodies.lock().iter().find(|(session, _)| session == "session-2").unwrap().1.clone();
    of_second.send(says("notifications/message")).await.unwrap();
    second_ears.notification().await;
    assert!(first_ears.is_idle());
}

//! Answers that are event streams: progress, logs, requests of the server, streams that break off.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use tokio::time::timeout;

use super::stage::*;
use crate::{CallError, Event};

const PROGRESS: Text<'static> =
    Text { text: r#"{"_meta":{"progressToken":@},"name":"echo"}"#, token: Some("\"mine\"") };

fn progress(token: &str, step: u32) -> String {
    event(&format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step}.0}}}}"#
    ))
}

fn sse(body: BoxBody<Bytes, io::Error>) -> Answer {
    typed("text/event-stream", body)
}

#[tokio::test]
async fn progress_comes_one_by_one_under_the_clients_token() {
    for (era, token) in [(LEGACY, None), (MODERN, Some("\"mine\""))] {
        let (sender, body) = open_body();
        let body = parking_lot::Mutex::new(Some(body));
        let server = serve(move |_| {
            let body = body.lock().take().unwrap();
            async move { sse(body) }
        })
        .await;
        let line = connect(&server.url(), era);
        let owner = principal("a");
        let mut reply = line.connection.request(call(&PROGRESS, Some(&owner))).await.unwrap();
        let sent = server.sees(|seen| seen.rpc() == "tools/call").await;
        let written = sent.json()["params"]["_meta"]["progressToken"].to_string();
        match token {
            Some(token) => assert_eq!(written, token),
            None => assert_eq!(written, sent.id(), "the request's id stands for the token"),
        }
        for step in 0..3 {
            sender.send(Ok(progress(&written, step).into())).await.unwrap();
            let Event::Notification { method, params } =
                timeout(PATIENCE, reply.next()).await.unwrap().unwrap()
            else {
                panic!("progress");
            };
            assert_eq!(&*method, "notifications/progress");
            let expected = format!(r#"{{"progressToken":"mine","progress":{step}.0}}"#);
            assert_eq!(params.unwrap(), expected);
        }
        sender.send(Ok(progress("\"foreign\"", 9).into())).await.unwrap();
        sender.send(Ok(event(&result(&sent.id(), "{}")).into())).await.unwrap();
        assert_eq!(finish(&mut reply).await.unwrap(), Final::Whole("{}".to_owned()));
        assert_eq!(line.counters.values().dropped_notifications, 1);
    }
}

#[tokio::test]
async fn what_is_not_the_answer_goes_where_it_belongs() {
    let server = serve(|seen| async move {
        if seen.rpc() != "tools/call" {
            return status(202);
        }
        events(&[
            ": comment\n\n".to_owned(),
            "event: other\ndata: {}\n\n".to_owned(),
            event("nonsense"),
            event(&result("999", "{}")),
            event(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#),
            event(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#),
            event(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}"#),
            event(r#"{"jsonrpc":"2.0","method":"notifications/unheard"}"#),
            event(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#),
            event(r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#),
            event(&format!("[{}]", result(&seen.id(), "{\"ok\": true}"))),
        ])
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let owner = principal("a");
    let mut reply = line.connection.request(call(&ECHO, Some(&owner))).await.unwrap();
    let Event::Notification { method, params } = reply.next().await.unwrap() else { panic!("a log message") };
    assert_eq!(
        (&*method, &params.unwrap()[..]),
        ("notifications/message", &br#"{"level":"info","data":1}"#[..])
    );
    assert_eq!(finish(&mut reply).await.unwrap(), Final::Whole(r#"{"ok": true}"#.to_owned()));
    let answers = [
        r#"{"jsonrpc":"2.0","id":"p","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"the method is not available"}}"#,
    ];
    for answer in answers {
        let seen = server.sees(|seen| seen.body == answer).await;
        assert_eq!(seen.header("mcp-session-id"), "session-1");
    }
    assert_eq!(line.counters.resource_changes.get(), 1);
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    let counted = line.counters.values();
    assert_eq!((counted.garbage, counted.stray_answers), (1, 1));
    assert_eq!((counted.dropped_notifications, counted.refused_requests), (1, 1));
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_stream() {
    let server = serve(|seen| async move {
        let (sender, body) = open_body();
        tokio::spawn(async move {
            sender.send(Ok(event(&result(&seen.id(), "{}")).into())).await.unwrap();
            tokio::task::yield_now().await;
            let _ = sender.send(Ok(Bytes::from_static(b": bye\n\n"))).await;
        });
        sse(body)
    })
    .await;
    let line = connect(&server.url(), MODERN);
    for _ in 0..5 {
        assert_eq!(ask(&line.connection, call(&ECHO, None)).await.unwrap(), Final::Whole("{}".to_owned()));
        // The rest of the stream is read in the background.
        while line.connection.errands.available_permits() < super::super::errands::MAX_ERRANDS {
            tokio::task::yield_now().await;
        }
    }
    server.has_connections(1).await;
}

/// A server whose streams break off after one event; a resumed one brings the answer.
async fn breaking(first: &'static str, faulty: bool, resumed: fn(&str) -> Answer) -> Server {
    let id = parking_lot::Mutex::new(String::new());
    serve(move |seen| {
        let is_call = seen.rpc() == "tools/call";
        if is_call {
            *id.lock() = seen.id();
        }
        let id = id.lock().clone();
        async move {
            if !is_call {
                return resumed(&id);
            }
            let (sender, body) = open_body();
            tokio::spawn(async move {
                sender.send(Ok(Bytes::from_static(first.as_bytes()))).await.unwrap();
                if faulty {
                    // What was sent leaves before the fault: the server's connection runs on this thread.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
                }
            });
            sse(body)
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_with_event_ids_is_taken_up_again() {
    for faulty in [false, true] {
        let server =
            breaking("id: e-1\nretry: 20\ndata:\n\n", faulty, |id| events(&[event(&result(id, "{}"))])).await;
        let line = connect(&server.url(), LEGACY);
        let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
        assert_eq!(answer.unwrap(), Final::Whole("{}".to_owned()));
        let get = server.sees(|seen| seen.method == "GET").await;
        assert_eq!((get.header("last-event-id"), get.header("mcp-session-id")), ("e-1", "session-1"));
        assert_eq!(get.header("accept"), "text/event-stream");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_taken_up_again_is_lost() {
    async fn check(era: protocol::Version, first: &'static str, resumed: fn(&str) -> Answer, gets: usize) {
        let server = breaking(first, false, resumed).await;
        let line = connect(&server.url(), era);
        let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
        assert!(matches!(answer, Err(CallError::Lost { .. })), "{answer:?}");
        let seen = server.seen();
        assert_eq!(seen.iter().filter(|seen| seen.method == "GET").count(), gets);
        assert_eq!(seen.iter().filter(|seen| seen.rpc() == "tools/call").count(), 1, "never sent again");
        assert_eq!(line.counters.values().lost, 1);
    }
    check(LEGACY, ": nothing\n\n", |_| status(500), 0).await;
    check(LEGACY, "id: 1\ndata:\n\n", |_| status(405), 1).await;
    check(LEGACY, "id: 1\nretry: 86400000\ndata:\n\n", |_| events(&[]), 0).await;
    check(MODERN, "id: 1\ndata:\n\n", |_| status(200), 0).await;
}

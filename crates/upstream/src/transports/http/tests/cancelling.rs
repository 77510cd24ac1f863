//! A caller that no longer waits: how the server learns of it, by era and by how far the reply had come.

use std::sync::Arc;

use bytes::Bytes;
use protocol::ClientCapabilities;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{
    super::session::{Audience, Introduced, Owner, Session},
    stage::*,
};
use crate::CallError;

/// Answers calls with a stream that never ends, or not at all.
async fn endless(has_head: bool) -> Server {
    let streams = parking_lot::Mutex::new(Vec::new());
    serve(move |_| {
        let (sender, body) = open_body();
        sender.try_send(Ok(Bytes::from_static(b": wait\n\n"))).unwrap();
        streams.lock().push(sender);
        async move {
            if !has_head {
                std::future::pending::<()>().await;
            }
            typed("text/event-stream", body)
        }
    })
    .await
}

#[tokio::test]
async fn a_modern_server_sees_its_connection_closed() {
    for has_head in [true, false] {
        let server = endless(has_head).await;
        let line = connect(&server.url(), MODERN);
        {
            let asking = async { line.connection.request(call(&ECHO, None)).await.unwrap().next().await };
            let mut asking = std::pin::pin!(asking);
            tokio::select! {
                answer = &mut asking => panic!("{answer:?}"),
                _ = server.sees(|seen| seen.rpc() == "tools/call") => {}
            }
            server.has_connections(1).await;
        }
        server.has_connections(0).await;
        assert_eq!(server.seen().len(), 1);
        assert_eq!(line.counters.values().cancelled, 1);
    }
}

#[tokio::test]
async fn a_legacy_server_is_told() {
    for has_head in [true, false] {
        let server = endless(has_head).await;
        let line = connect(&server.url(), LEGACY);
        let owner = principal("a");
        let sent = {
            let asking =
                async { line.connection.request(call(&ECHO, Some(&owner))).await.unwrap().next().await };
            tokio::select! {
                answer = asking => panic!("{answer:?}"),
                sent = server.sees(|seen| seen.rpc() == "tools/call") => sent,
            }
        };
        let told = server.sees(|seen| seen.rpc() == "notifications/cancelled").await;
        assert_eq!(told.json()["params"]["requestId"].to_string(), sent.id());
        assert_eq!(told.header("mcp-session-id"), "session-1");
        assert_eq!(line.counters.values().cancelled, 1);
    }
}

/// A server that closes the connection when it has read a call, without a word.
#[tokio::test]
async fn what_may_have_been_sent_is_cancelled_at_a_legacy_server() {
    for (era, cancels) in [(LEGACY, true), (MODERN, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = connect(&format!("http://{}/mcp", listener.local_addr().unwrap()), era);
        let (told, mut bodies) = mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            loop {
                let mut stream = listener.accept().await.unwrap().0;
                let body = read_body(&mut stream).await;
                let is_call = body.contains("tools/call");
                told.send(body).unwrap();
                if !is_call {
                    stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                }
            }
        });
        let owner = principal("a");
        put_session(&line, &owner);
        let answer = ask(&line.connection, call(&ECHO, Some(&owner))).await;
        assert!(matches!(answer, Err(CallError::Lost { .. })), "{answer:?}");
        let sent: Value = serde_json::from_str(&bodies.recv().await.unwrap()).unwrap();
        if cancels {
            let told = timeout(PATIENCE, bodies.recv()).await.expect("the server is told").unwrap();
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["method"], "notifications/cancelled");
            assert_eq!(told["params"]["requestId"], sent["id"]);
        }
        // Nobody gave it up: it is a lost call and no cancelled one.
        let counted = line.counters.values();
        assert_eq!((counted.lost, counted.cancelled), (1, 0), "{era:?}");
        serving.abort();
    }
}

#[tokio::test]
async fn what_was_never_sent_is_not_cancelled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let line = connect(&url, LEGACY);
    let owner = principal("a");
    put_session(&line, &owner);
    // A notification would be an errand, which is begun before the call returns.
    let all = super::super::errands::MAX_ERRANDS;
    let answer = ask(&line.connection, call(&ECHO, Some(&owner))).await;
    assert!(matches!(answer, Err(CallError::Unavailable { .. })), "{answer:?}");
    assert_eq!(line.connection.errands.available_permits(), all);
    assert_eq!(line.counters.values().cancelled, 0);
}

/// Gives `owner` a session that the server is not asked for.
fn put_session(line: &Line, owner: &domain::PrincipalKey) {
    let owner = Owner::Callers { principal: owner.clone(), declared: ClientCapabilities::NONE, client: None };
    let introduced = Introduced { id: Some("s".parse().unwrap()), version: LEGACY, has_logging: false };
    line.connection.sessions.put(Session::of(Arc::new(Audience::new(Some(owner))), introduced), None);
}

/// Reads one request and returns its body.
async fn read_body(stream: &mut TcpStream) -> String {
    let mut read = String::new();
    loop {
        if let Some((head, body)) = read.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return body.to_owned();
            }
        }
        let mut piece = [0; 4096];
        let bytes = stream.read(&mut piece).await.unwrap();
        assert!(bytes > 0, "a whole request");
        read.push_str(std::str::from_utf8(&piece[..bytes]).unwrap());
    }
}

/// A proxy that gives up, a stream that breaks off and cannot be taken up, and one whose continuation is refused: the
/// server may work on all the same.
#[tokio::test]
async fn what_ends_without_an_answer_is_cancelled_and_counted_once() {
    for (case, losses) in [("502", 0), ("504", 0), ("broken", 1), ("refused", 1)] {
        let server = serve(move |seen| async move {
            match (&*seen.rpc(), case) {
                ("tools/call", "502") => status(502),
                ("tools/call", "504") => status(504),
                ("tools/call", "broken") => events(&[]),
                ("tools/call", _) => events(&["id: 1\ndata:\n\n".to_owned()]),
                _ => status(400),
            }
        })
        .await;
        let line = connect(&server.url(), LEGACY);
        let owner = principal("a");
        let answer = ask(&line.connection, call(&ECHO, Some(&owner))).await;
        assert!(
            matches!(answer, Err(CallError::Lost { .. } | CallError::Status { .. })),
            "{case}: {answer:?}"
        );
        let told = server.sees(|seen| seen.rpc() == "notifications/cancelled").await;
        let sent = server.sees(|seen| seen.rpc() == "tools/call").await;
        assert_eq!(told.json()["params"]["requestId"].to_string(), sent.id(), "{case}");
        let counted = line.counters.values();
        assert_eq!((counted.lost, counted.cancelled), (losses, 0), "{case}");
    }
}

#[tokio::test]
async fn nothing_is_cancelled_that_has_its_answer() {
    let server = serve(|seen| async move { events(&[event(&result(&seen.id(), "{}"))]) }).await;
    let line = connect(&server.url(), LEGACY);
    let owner = principal("a");
    for forgets in [false, true] {
        let mut reply = line.connection.request(call(&ECHO, Some(&owner))).await.unwrap();
        if forgets {
            reply.forget_on_drop();
        } else {
            finish(&mut reply).await.unwrap();
        }
    }
    ask(&line.connection, call(&ECHO, Some(&owner))).await.unwrap();
    assert!(server.seen().iter().all(|seen| seen.rpc() != "notifications/cancelled"));
    assert_eq!(line.counters.values().cancelled, 0);
}

/// A server that accepts and says nothing, ever.
#[tokio::test]
async fn a_silent_server_holds_nobody_longer_than_the_caller_wants() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = connect(&format!("http://{}/mcp", listener.local_addr().unwrap()), MODERN);
    let waited =
        timeout(std::time::Duration::from_millis(100), line.connection.request(call(&ECHO, None))).await;
    assert!(waited.is_err());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut rest = Vec::new();
    // The end of the stream: the gateway has closed its side.
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with(b"POST /mcp HTTP/1.1\r\n"));
}

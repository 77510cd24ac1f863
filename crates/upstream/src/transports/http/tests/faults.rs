//! Servers that die, hang, or come back: what the call gets, and how soon.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use protocol::ClientCapabilities;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

use super::{
    super::session::{Audience, Introduced, Owner, Session},
    stage::*,
};
use crate::{CallError, Event, Payload};

/// Serves one connection: reads a request, then does what `act` says with the stream.
async fn serve_once<F, Acting>(act: F) -> String
where
    F: FnOnce(TcpStream) -> Acting + Send + 'static,
    Acting: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let _ = stream.read(&mut request).await.unwrap();
        act(stream).await;
    });
    url
}

#[tokio::test]
async fn a_server_killed_during_a_call_is_lost_within_a_second() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: ";
    let before = [
        String::new(),
        format!("{HEAD}application/json\r\n\r\n"),
        format!("{HEAD}application/json\r\n\r\n5\r\n{{\"res\r\n"),
        format!("{HEAD}text/event-stream\r\n\r\n"),
        format!("{HEAD}text/event-stream\r\n\r\na\r\n: comment\n\r\n"),
        format!("{HEAD}text/event-stream\r\n\r\nf\r\nid: 1\ndata: {{\n\n\r\n"),
    ];
    for (era, sent) in
        [MODERN, LEGACY].into_iter().flat_map(|era| before.iter().map(move |sent| (era, sent.clone())))
    {
        let written = sent.clone();
        // A legacy call is given a session by another server first: here the death is in the call itself.
        let url = serve_once(move |mut stream| async move {
            stream.write_all(written.as_bytes()).await.unwrap();
        })
        .await;
        let line = connect(&url, era);
        let owner = principal("a");
        if era == LEGACY {
            let declared = ClientCapabilities::NONE;
            let owner = Owner::Callers { principal: owner.clone(), declared, client: None };
            let introduced =
                Introduced { id: Some("s".parse().unwrap()), version: LEGACY, has_logging: false };
            let session = Session::of(Arc::new(Audience::new(Some(owner))), introduced);
            line.connection.sessions.put(session, None);
        }
        let began = Instant::now();
        let answer = ask(&line.connection, call(&ECHO, Some(&owner))).await;
        assert!(matches!(answer, Err(CallError::Lost { .. })), "{sent}: {answer:?}");
        // Far less than the call's own time, also on a busy machine.
        assert!(began.elapsed() < Duration::from_secs(10), "{sent}");
        assert_eq!(line.counters.values().lost, 1);
    }
}

#[tokio::test]
async fn a_server_that_dies_within_a_large_answer_is_lost() {
    let url = serve_once(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\ncontent-type: application/json\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(br#"{"jsonrpc":"2.0","id":1,"result":{"a":""#).await.unwrap();
        stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
    })
    .await;
    let line = connect(&url, MODERN);
    let mut reply = line.connection.request(call(&ECHO, None)).await.unwrap();
    let Event::Result(Payload::Streamed(mut stream)) = reply.next().await.unwrap() else {
        panic!("a stream")
    };
    let error = loop {
        match timeout(PATIENCE, stream.next_chunk()).await.unwrap().expect("an error at last") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CallError::Lost { .. }), "{error}");
    assert!(stream.next_chunk().await.is_none());
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = |seen: Seen| async move { json(result(&seen.id(), "{}")) };
    let server = Server::start_on(listener, answering);
    let line = connect(&server.url(), MODERN);
    ask(&line.connection, call(&ECHO, None)).await.unwrap();
    drop(server);
    let listener = loop {
        if let Ok(listener) = TcpListener::bind(address).await {
            break listener;
        }
        tokio::task::yield_now().await;
    };
    let _server = Server::start_on(listener, answering);
    // The pooled connection may be found dead only by the first request, which may have been sent then.
    let first = ask(&line.connection, call(&ECHO, None)).await;
    assert!(matches!(first, Ok(_) | Err(CallError::Lost { .. })), "{first:?}");
    ask(&line.connection, call(&ECHO, None)).await.unwrap();
    let closed = timeout(Duration::from_millis(50), line.connection.closed()).await;
    assert!(closed.is_err(), "a short absence is no end");
}

#[tokio::test]
async fn a_reply_that_is_waited_for_in_vain_can_be_waited_for_again() {
    let (sender, body) = open_body();
    let body = parking_lot::Mutex::new(Some(body));
    let server = serve(move |_| {
        let body = body.lock().take().unwrap();
        async move { typed("application/json", body) }
    })
    .await;
    let line = connect(&server.url(), MODERN);
    let mut reply = line.connection.request(call(&ECHO, None)).await.unwrap();
    let answer = result("1", r#"{"a":"b"}"#);
    for byte in answer.bytes() {
        sender.send(Ok(Bytes::copy_from_slice(&[byte]))).await.unwrap();
        assert!(timeout(Duration::from_millis(1), reply.next()).await.is_err());
    }
    drop(sender);
    assert_eq!(finish(&mut reply).await.unwrap(), Final::Whole(r#"{"a":"b"}"#.to_owned()));
    assert!(reply.next().await.is_err(), "a reply ends once");
}

#[tokio::test]
async fn each_worker_has_connections_of_its_own() {
    let server = serve(|seen| async move { json(result(&seen.id(), "{}")) }).await;
    let line = connect(&server.url(), MODERN);
    for worker in [0, 1, 0, 1, 1] {
        crate::worker::enter(worker);
        ask(&line.connection, call(&ECHO, None)).await.unwrap();
    }
    crate::worker::enter(0);
    server.has_connections(2).await;
}

#[tokio::test]
async fn a_server_without_tls_behind_an_https_address_is_unavailable() {
    let url = serve_once(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    })
    .await;
    let line = connect(&url.replace("http://", "https://"), MODERN);
    let answer = ask(&line.connection, call(&ECHO, None)).await;
    let Err(CallError::Unavailable { reason, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(reason, "TLS cannot be agreed on with it");
}

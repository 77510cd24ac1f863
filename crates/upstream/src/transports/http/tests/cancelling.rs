//! A caller that no longer waits: how the server learns of it, by era and by how far the reply had come.

use bytes::Bytes;
use tokio::time::timeout;

use super::stage::*;

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
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = connect(&format!("http://{}/mcp", listener.local_addr().unwrap()), MODERN);
    let waited =
        timeout(std::time::Duration::from_millis(100), line.connection.request(call(&ECHO, None))).await;
    assert!(waited.is_err());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut rest = Vec::new();
    // The end of the stream: the gateway has closed its side.
    timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with(b"POST /mcp HTTP/1.1\r\n"));
}

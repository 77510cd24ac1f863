//! What servers say outside calls: the stream of our session, subscriptions, and what happens when they end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::stage::*;
use crate::{
    handshake::Greeting, inbox, own_request::Asker, subscription, transports::Connection, watching::Watching,
};

const ALL: &[u8] = br#"{"tools":{"listChanged":true},"prompts":{},"resources":{"listChanged":true}}"#;
const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// Keeps the subscriptions of a modern server, as its supervisor would, until what is returned is dropped.
fn subscribe(line: &mut Line, capabilities: &'static [u8]) -> JoinSet<()> {
    let (connection, lists_changed) =
        (Connection::Http(Arc::clone(&line.connection)), Arc::clone(&line.mail.lists_changed));
    let (_, empty) = inbox::inbox(Arc::clone(&line.counters), Watching::default().of(&server_id()));
    let mail = std::mem::replace(&mut line.mail.subscriptions, empty.subscriptions);
    let tenure = line.interests.clone().begin();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let greeting =
            Greeting { version: MODERN, capabilities: Bytes::from_static(capabilities), instructions: None };
        let credential = credential("own");
        let own_info = r#"{"name":"own","version":"1"}"#;
        let asker = Asker { connection: &connection, credential: &credential, own_info };
        match subscription::keep(asker, &greeting, &lists_changed, mail, tenure).await {}
    });
    task
}

fn sse(text: String) -> Answer {
    typed("text/event-stream", full(text))
}

#[tokio::test]
async fn a_legacy_server_is_heard_and_answered() {
    let (sender, body) = open_body();
    let body = parking_lot::Mutex::new(Some(body));
    let server = serve(move |seen| {
        let stream = (seen.method == "GET").then(|| body.lock().take()).flatten();
        async move { stream.map_or_else(|| status(202), |body| typed("text/event-stream", body)) }
    })
    .await;
    let mut line = connect(&server.url(), LEGACY);
    line.connection.listen(&credential("own"));
    let get = server.sees(|seen| seen.method == "GET").await;
    assert_eq!((get.header("mcp-session-id"), get.header("accept")), ("session-1", "text/event-stream"));
    sender.send(Ok(event(CHANGED).into())).await.unwrap();
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    let message = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}}"#;
    sender.send(Ok(event(message).into())).await.unwrap();
    let incoming = timeout(PATIENCE, line.mail.queue.recv()).await.unwrap().unwrap();
    assert_eq!(
        (&*incoming.method, &incoming.params.unwrap()[..]),
        ("notifications/message", &br#"{"data":"x"}"#[..])
    );
    sender.send(Ok(event(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).into())).await.unwrap();
    server.sees(|seen| seen.body == r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    line.connection.close().await;
    timeout(PATIENCE, sender.closed()).await.expect("the stream's connection is closed");
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_behind_its_last_event() {
    let opened = AtomicUsize::new(0);
    let server = serve(move |seen| {
        let number = opened.fetch_add(usize::from(seen.method == "GET"), Ordering::Relaxed);
        async move {
            match number {
                0 => sse("id: a-1\nretry: 10\ndata:\n\n".to_owned()),
                1 => sse(format!("id: a-2\ndata: {CHANGED}\n\n")),
                _ => status(405),
            }
        }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    line.connection.listen(&credential("own"));
    server.sees(|seen| seen.header("last-event-id") == "a-1").await;
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    server.sees(|seen| seen.header("last-event-id") == "a-2").await;
}

#[tokio::test]
async fn a_server_without_a_stream_is_left_alone() {
    for refused in [405, 404, 501, 400] {
        let server = serve(move |seen| async move {
            if seen.method == "GET" && refused != 404 {
                status(refused)
            } else {
                json(result(&seen.id(), "{}"))
            }
        })
        .await;
        let line = connect(&server.url(), LEGACY);
        line.connection.listen(&credential("own"));
        server.sees(|seen| seen.method == "GET").await;
        // Whoever does not listen any more does not try again.
        line.connection.tasks.close();
        timeout(PATIENCE, line.connection.tasks.wait()).await.expect("the listener ends");
        assert_eq!(server.seen().iter().filter(|seen| seen.method == "GET").count(), 1, "{refused}");
    }
}

#[tokio::test]
async fn our_own_session_is_opened_anew_when_the_server_has_forgotten_it() {
    let server = serve(|seen| async move {
        match (seen.method.as_str(), seen.header("mcp-session-id")) {
            ("GET", "session-1") => status(404),
            ("GET", _) => status(405),
            _ => json(result(&seen.id(), "{}")),
        }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    line.connection.listen(&credential("own"));
    server.sees(|seen| seen.method == "GET" && seen.header("mcp-session-id") == "session-2").await;
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_refused_after_it_was_given_means_another_session() {
    for refused in [400, 405] {
        let opened = AtomicUsize::new(0);
        let server = serve(move |seen| {
            let number = opened.fetch_add(usize::from(seen.method == "GET"), Ordering::Relaxed);
            async move {
                match (seen.method.as_str(), seen.header("mcp-session-id"), number) {
                    ("GET", "session-1", 0) => events(&[]),
                    ("GET", ..) => status(refused),
                    _ => json(result(&seen.id(), "{}")),
                }
            }
        })
        .await;
        let line = connect(&server.url(), LEGACY);
        line.connection.listen(&credential("own"));
        server.sees(|seen| seen.method == "GET" && seen.header("mcp-session-id") == "session-2").await;
        timeout(PATIENCE, line.mail.subscriptions.session_renewed.notified()).await.unwrap();
    }
}

#[tokio::test]
async fn the_next_session_is_listened_to_when_a_call_finds_that_the_last_one_is_forgotten() {
    let (opened, mut streams) = mpsc::unbounded_channel();
    let server = serve(move |seen| {
        let answer = match (seen.method.as_str(), seen.header("mcp-session-id")) {
            ("GET", session) => {
                let (sender, body) = open_body();
                opened.send((session.to_owned(), sender)).unwrap();
                typed("text/event-stream", body)
            }
            (_, "session-1") => status(404),
            _ => json(result(&seen.id(), "{}")),
        };
        async move { answer }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    line.connection.listen(&credential("own"));
    let (first, old) = timeout(PATIENCE, streams.recv()).await.unwrap().unwrap();
    ask(&line.connection, call(&ECHO, None)).await.unwrap();
    let (second, new) = timeout(PATIENCE, streams.recv()).await.expect("it is listened to").unwrap();
    assert_eq!((&*first, &*second), ("session-1", "session-2"));
    timeout(PATIENCE, old.closed()).await.expect("the old stream is given up");
    // What was suspected because of the new session.
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    new.send(Ok(event(&format!("[{CHANGED},{CHANGED}]")).into())).await.unwrap();
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    assert_eq!(line.counters.values().garbage, 0);
}

#[tokio::test]
async fn a_subscription_that_is_refused_with_a_status_tells_the_code() {
    let server = serve(|seen| async move {
        refusal(400, format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32602}}}}"#, seen.id()))
    })
    .await;
    let line = connect(&server.url(), MODERN);
    let mut subscription = line.connection.subscribe("{}", &credential("own")).await.ok().unwrap();
    assert_eq!(subscription.next().await, subscription::Heard::Refused { code: -32602 });
}

#[tokio::test]
async fn a_modern_server_is_asked_for_what_it_declares() {
    let (sender, body) = open_body();
    let body = parking_lot::Mutex::new(Some(body));
    let server = serve(move |_| {
        let body = body.lock().take();
        async move { body.map_or_else(|| status(503), |body| typed("text/event-stream", body)) }
    })
    .await;
    let mut line = connect(&server.url(), MODERN);
    let _subscribed = subscribe(&mut line, ALL);
    let asked = server.sees(|seen| seen.rpc() == "subscriptions/listen").await;
    assert_eq!(asked.header("mcp-method"), "subscriptions/listen");
    assert_eq!(asked.header("mcp-protocol-version"), "2026-07-28");
    let params = &asked.json()["params"];
    assert_eq!(
        params["notifications"].to_string(),
        r#"{"toolsListChanged":true,"resourcesListChanged":true}"#
    );
    assert_eq!(params["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(params["_meta"]["io.modelcontextprotocol/clientInfo"]["name"], "own");
    let acknowledged = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}"#;
    sender.send(Ok(Bytes::from([event(acknowledged), event(CHANGED)].concat()))).await.unwrap();
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    assert_eq!(line.counters.values().dropped_notifications, 0);
}

#[tokio::test]
async fn a_subscription_that_ends_is_made_anew_and_everything_listed_again() {
    let asked = AtomicUsize::new(0);
    let server = serve(move |seen| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            match number {
                0 => events(&[event(&result(&seen.id(), r#"{"resultType":"complete"}"#))]),
                1 => status(503),
                2 => events(&[]),
                _ => json(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32601}}}}"#, seen.id())),
            }
        }
    })
    .await;
    let mut line = connect(&server.url(), MODERN);
    let _subscribed = subscribe(&mut line, ALL);
    timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    server.sees(|seen| seen.id() == "4").await;
    assert_eq!(line.counters.values().stray_answers, 0);
}

#[tokio::test]
async fn nothing_is_asked_of_a_modern_server_that_declares_nothing() {
    let server = serve(|seen| async move { json(result(&seen.id(), "{}")) }).await;
    let mut line = connect(&server.url(), MODERN);
    let _subscribed = subscribe(&mut line, br#"{"tools":{}}"#);
    ask(&line.connection, call(&ECHO, None)).await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

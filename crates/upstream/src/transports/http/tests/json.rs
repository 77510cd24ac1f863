//! Plain JSON answers in both eras, headers, refusals.

use protocol::param_headers;

use super::stage::*;
use crate::{CallError, transports::Exchange};

/// A server that answers calls with `answer`.
async fn answering(answer: impl Fn(Seen) -> Answer + Send + Sync + 'static) -> Server {
    serve(move |seen| {
        let answer = answer(seen);
        async move { answer }
    })
    .await
}

#[tokio::test]
async fn a_modern_call_repeats_what_it_says_in_headers() {
    let server = answering(|seen| json(result(&seen.id(), r#"{"a": 1.10}"#))).await;
    let line = connect(&server.url(), MODERN);
    let schema = r#"{"type":"object","properties":{"city":{"type":"string","x-mcp-header":"City"}}}"#;
    let plan = param_headers::plan(schema).unwrap();
    let exchange = Exchange {
        passed: 0,
        name: Some("naïve"),
        param_headers: (&plan, Some(r#"{"city":"Köln"}"#)),
        credential: Some(&credential("c")),
        ..call(&Text { text: r#"{"_meta":{"progressToken":@}}"#, token: Some("\"t\"") }, None)
    };
    assert_eq!(ask(&line.connection, exchange).await.unwrap(), Final::Whole(r#"{"a": 1.10}"#.to_owned()));
    let seen = &server.seen()[0];
    assert_eq!(
        seen.body,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}"#
    );
    let headers = [
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("authorization", "Bearer c"),
        ("toolgate-depth", "3"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?bmHDr3Zl?="),
        ("mcp-param-city", "=?base64?S8O2bG4=?="),
        ("mcp-session-id", ""),
    ];
    for (name, value) in headers {
        assert_eq!(seen.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn a_legacy_call_opens_a_session_and_uses_it() {
    let server = answering(|seen| json(result(&seen.id(), "{}"))).await;
    let line = connect(&server.url(), LEGACY);
    for _ in 0..2 {
        let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
        assert_eq!(answer.unwrap(), Final::Whole("{}".to_owned()));
    }
    let seen = server.seen();
    let methods: Vec<String> = seen.iter().map(Seen::rpc).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call", "tools/call"]);
    assert_eq!(seen[0].header("mcp-protocol-version"), "");
    for seen in &seen[1..] {
        assert_eq!(
            (seen.header("mcp-session-id"), seen.header("mcp-protocol-version")),
            ("session-1", "2025-11-25")
        );
        assert_eq!((seen.header("mcp-method"), seen.header("mcp-name")), ("", ""));
        assert_eq!(seen.header("authorization"), "Bearer own");
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = answering(|seen| json(result(&seen.id(), "{}"))).await;
    let line = connect(&server.url(), MODERN);
    for _ in 0..20 {
        ask(&line.connection, call(&ECHO, None)).await.unwrap();
    }
    server.has_connections(1).await;
}

#[tokio::test]
async fn refusals_and_broken_answers_have_their_errors() {
    async fn check(answer: fn(&str) -> Answer, expected: Result<Final, fn(&CallError) -> bool>) {
        for era in [LEGACY, MODERN] {
            let server = answering(move |seen: Seen| answer(&seen.id())).await;
            let line = connect(&server.url(), era);
            let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
            match (&answer, &expected) {
                (Ok(answer), Ok(expected)) => assert_eq!(answer, expected),
                (Err(error), Err(is_expected)) => assert!(is_expected(error), "{error}"),
                _ => panic!("{answer:?}"),
            }
        }
    }
    let error = |text: &str| Ok(Final::Error(text.to_owned()));
    check(
        |id| json(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-1 }}}}"#)),
        error(r#"{"code":-1 }"#),
    )
    .await;
    check(
        |id| refusal(404, format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601}}}}"#)),
        error(r#"{"code":-32601}"#),
    )
    .await;
    check(
        |_| refusal(400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022}}"#),
        error(r#"{"code":-32022}"#),
    )
    .await;
    check(|_| refusal(500, r#"{"jsonrpc":"2.0","error":{"code":-32603}}"#), error(r#"{"code":-32603}"#))
        .await;
    check(|_| status(503), Err(|error| matches!(error, CallError::Status { status: 503, .. }))).await;
    check(|_| status(403), Err(|error| matches!(error, CallError::Status { status: 403, .. }))).await;
    check(|_| status(429), Err(|error| matches!(error, CallError::Status { status: 429, .. }))).await;
    check(
        |_| refusal(401, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001}}"#),
        Err(|error| matches!(error, CallError::Status { status: 401, .. })),
    )
    .await;
    let broken: fn(&CallError) -> bool = |error| matches!(error, CallError::Protocol { .. });
    check(|_| status(202), Err(broken)).await;
    check(|_| json("nonsense"), Err(broken)).await;
    check(|_| json(""), Err(broken)).await;
    check(|_| json(result("77", "{}")), Err(broken)).await;
    check(|_| json(result("\"1\"", "{}")), Err(broken)).await;
    check(|id| json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":1,"result":2}}"#)), Err(broken)).await;
    check(|id| json(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#)), Err(broken)).await;
    check(|_| typed("text/html", full("<p>")), Err(broken)).await;
}

#[tokio::test]
async fn an_array_with_the_answer_is_read_in_the_legacy_era() {
    let server = answering(|seen| json(format!("[{}]", result(&seen.id(), "{}")))).await;
    let line = connect(&server.url(), LEGACY);
    let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
    assert_eq!(answer.unwrap(), Final::Whole("{}".to_owned()));
}

#[tokio::test]
async fn a_redirection_is_followed_once_and_only_within_the_origin() {
    let server = answering(|seen| match &*seen.path {
        "/mcp" => {
            let mut moved = status(307);
            moved.headers_mut().insert("location", "/mcp/".parse().unwrap());
            moved
        }
        "/mcp/" => json(result(&seen.id(), "{}")),
        path => {
            let mut moved = status(308);
            let elsewhere = if path == "/loop" { "/loop" } else { "http://127.0.0.1:1/mcp" };
            moved.headers_mut().insert("location", elsewhere.parse().unwrap());
            moved
        }
    })
    .await;
    let line = connect(&server.url(), MODERN);
    assert_eq!(ask(&line.connection, call(&ECHO, None)).await.unwrap(), Final::Whole("{}".to_owned()));
    assert_eq!(server.seen()[1].body, server.seen()[0].body);
    for path in ["loop", "elsewhere"] {
        let line = connect(&format!("http://{}/{path}", server.address), MODERN);
        let answer = ask(&line.connection, call(&ECHO, None)).await;
        assert!(matches!(answer, Err(CallError::Status { status: 308, .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_then_closed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    drop(listener);
    let line = connect(&url, MODERN);
    let answer = ask(&line.connection, call(&ECHO, None)).await;
    let Err(CallError::Unavailable { reason, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(reason, "it refuses connections");
    let reason = tokio::time::timeout(PATIENCE, line.connection.closed()).await.unwrap();
    assert_eq!(reason, "it cannot be connected to");
}

//! Large answers: passed on while they arrive, byte for byte, within their bound.

use std::fmt::Write as _;

use bytes::Bytes;

use super::stage::*;
use crate::{CallError, Event, Payload};

/// A result of about this size with all that must survive.
fn odd_result(bytes: usize) -> String {
    let mut text = String::from(r#"{"content":[{"type":"text","text":""#);
    while text.len() < bytes {
        write!(text, r#"line {} \"}}]\\ \u00e4 ä€😀 \n"#, text.len()).unwrap();
    }
    text.push_str(
        r#""}], "n" :[1.10,-0,1E+400,0.1e-7],"_vendor":{"z":1,"a":{"id":7,"result":{}}},"isError":false }"#,
    );
    text
}

/// Writes the answer in one of the orders that servers use.
fn answer(order: usize, id: &str, result: &str) -> String {
    match order {
        0 => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        1 => format!(r#"{{"result":{result},"jsonrpc":"2.0","id":{id}}}"#),
        2 => format!("{{\"id\":{id},\n\"result\" : {result}\n, \"jsonrpc\":\"2.0\"}}\n"),
        _ => format!(r#"{{"_meta":{{"id":0}},"result":{result},"id":{id},"jsonrpc":"2.0","vendor":[]}}"#),
    }
}

/// A body that comes in pieces of these sizes, in turn.
fn in_pieces(text: String, sizes: &'static [usize]) -> Answer {
    let (sender, body) = open_body();
    tokio::spawn(async move {
        let mut rest = Bytes::from(text);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let piece = rest.split_to(rest.len().min(*size));
            if sender.send(Ok(piece)).await.is_err() {
                break;
            }
        }
    });
    typed("application/json", body)
}

#[tokio::test]
async fn a_megabyte_keeps_its_bytes_however_it_is_cut() {
    const SIZES: [&[usize]; 4] = [&[1_000_003], &[8191, 1, 3], &[65_537, 2], &[40, 100_000, 7]];
    let expected = odd_result(1 << 20);
    let text = expected.clone();
    let number = std::sync::atomic::AtomicUsize::new(0);
    let server = serve(move |seen| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let answer = answer(number / SIZES.len(), &seen.id(), &text);
        async move { in_pieces(answer, SIZES[number % SIZES.len()]) }
    })
    .await;
    let line = connect(&server.url(), MODERN);
    for _ in 0..4 * SIZES.len() {
        match ask(&line.connection, call(&ECHO, None)).await.unwrap() {
            Final::Streamed(result) => assert!(result == expected),
            other => panic!("{} bytes at once", format!("{other:?}").len()),
        }
    }
    server.has_connections(1).await;
}

#[tokio::test]
async fn sizes_around_the_border_keep_their_bytes() {
    let server = serve(move |seen| async move {
        let size: usize = seen.json()["params"]["size"].as_u64().unwrap().try_into().unwrap();
        json(answer(size % 4, &seen.id(), &odd_result(size)))
    })
    .await;
    let line = connect(&server.url(), MODERN);
    for size in (0..2000).step_by(333).chain((64_000..66_500).step_by(111)) {
        let params = format!(r#"{{"size":{size}}}"#);
        match ask(&line.connection, call(&Text { text: &params, token: None }, None)).await.unwrap() {
            Final::Streamed(result) | Final::Whole(result) => assert_eq!(result, odd_result(size), "{size}"),
            Final::Error(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_large_result_in_an_event_keeps_its_bytes() {
    let expected = odd_result(1 << 20);
    let text = expected.clone();
    let server = serve(move |seen| {
        let answer = event(&answer(1, &seen.id(), &text));
        async move { events(&[answer]) }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await.unwrap();
    assert!(answer == Final::Whole(expected));
}

#[tokio::test]
async fn more_than_the_limit_is_refused_announced_or_not() {
    const LIMIT: usize = 200_000;
    async fn check(respond: fn(String) -> Answer) {
        let server =
            serve(move |seen| async move { respond(answer(1, &seen.id(), &odd_result(1 << 20))) }).await;
        let line = connect_with(&server.url(), MODERN, LIMIT);
        let answer = ask(&line.connection, call(&ECHO, None)).await;
        assert_eq!(answer, Err(CallError::TooLarge { server: server_id(), limit: LIMIT }));
        server.has_connections(0).await;
    }
    check(json).await;
    check(|answer| in_pieces(answer, &[10_000])).await;
    check(|answer| events(&[event(&answer)])).await;
}

#[tokio::test]
async fn a_hundred_megabytes_are_not_read() {
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let server = serve(move |seen| {
        let (sender, body) = open_body();
        let (head, chunk) =
            (format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"a":""#, seen.id()), chunk.clone());
        tokio::spawn(async move {
            let _ = sender.send(Ok(head.into())).await;
            for _ in 0..100 {
                if sender.send(Ok(chunk.clone())).await.is_err() {
                    return;
                }
            }
        });
        async move { typed("application/json", body) }
    })
    .await;
    let line = connect_with(&server.url(), MODERN, 8 << 20);
    let answer = ask(&line.connection, call(&ECHO, None)).await;
    assert_eq!(answer, Err(CallError::TooLarge { server: server_id(), limit: 8 << 20 }));
    server.has_connections(0).await;
}

#[tokio::test]
async fn large_errors_are_whole_and_bounded() {
    let server = serve(move |seen| async move {
        let size: usize = seen.json()["params"]["size"].as_u64().unwrap().try_into().unwrap();
        let error = format!(r#"{{"code":-1,"message":"{}"}}"#, "x".repeat(size));
        json(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, seen.id()))
    })
    .await;
    let line = connect(&server.url(), MODERN);
    let ask = async |size: usize| {
        let params = format!(r#"{{"size":{size}}}"#);
        ask(&line.connection, call(&Text { text: &params, token: None }, None)).await
    };
    assert!(matches!(ask(200_000).await, Ok(Final::Error(error)) if error.len() > 200_000));
    assert!(matches!(ask(3_000_000).await, Err(CallError::Protocol { .. })));
}

#[tokio::test]
async fn nobody_receives_a_complete_result_out_of_a_broken_answer() {
    let server = serve(move |seen| async move {
        let text = match seen.json()["params"]["case"].as_u64().unwrap() {
            0 => format!(r#"{{"result":{},"jsonrpc":"2.0","id":99}}"#, odd_result(100_000)),
            1 => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{},"id":3}}"#, seen.id(), odd_result(100_000)),
            2 => format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}"#, seen.id(), odd_result(100_000)),
            _ => format!(r#"{{"jsonrpc":"2.0","id":98,"result":{}}}"#, odd_result(100_000)),
        };
        in_pieces(text, &[50_000])
    })
    .await;
    let line = connect(&server.url(), MODERN);
    for case in 0..4 {
        let params = format!(r#"{{"case":{case}}}"#);
        let params = Text { text: &params, token: None };
        let mut reply = line.connection.request(call(&params, None)).await.unwrap();
        let mut passed = Vec::new();
        let error = match reply.next().await {
            Err(error) => error,
            Ok(Event::Result(Payload::Streamed(mut stream))) => loop {
                match stream.next_chunk().await.expect("an error at last") {
                    Ok(chunk) => passed.extend_from_slice(&chunk),
                    Err(error) => break error,
                }
            },
            Ok(other) => panic!("{other:?}"),
        };
        assert!(matches!(error, CallError::Protocol { .. }), "{case}: {error}");
        assert!(serde_json::from_slice::<serde_json::Value>(&passed).is_err(), "{case}");
    }
}

//! When streams that ended are taken up again: as long as there is something to wait for, and never earlier than their
//! server wants.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{clients::*, stage::*};

/// A server of calls that ends each stream at once: after `first` that of the call, and after `then` the ones that are
/// opened behind it, until one brings the answer. Tells when it was asked.
async fn polled(
    first: &'static str,
    then: &'static str,
    answer_at: usize,
) -> (Server, Arc<Mutex<Vec<Instant>>>) {
    let (asked, times) = (Mutex::new(String::new()), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&times);
    let server = serve(move |seen| {
        let mut noted = noted.lock();
        noted.push(Instant::now());
        let answer = match &*seen.rpc() {
            "tools/call" => {
                *asked.lock() = seen.id();
                events(&[first.to_owned()])
            }
            _ if noted.len() > answer_at => events(&[event(&result(&asked.lock(), "{}"))]),
            _ => events(&[then.to_owned()]),
        };
        async move { answer }
    })
    .await;
    (server, times)
}

/// The times between the requests.
fn pauses(times: &Mutex<Vec<Instant>>) -> Vec<Duration> {
    times.lock().windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test]
async fn a_call_is_polled_for_until_its_answer_is_there() {
    for then in ["", ": nothing yet\n\n", "id: 2\ndata:\n\n"] {
        let (server, times) = polled("id: 1\nretry: 1\ndata:\n\n", then, 4).await;
        let line = connect(&server.url(), LEGACY);
        let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
        assert_eq!(answer.unwrap(), Final::Whole("{}".to_owned()));
        let seen = server.seen();
        let behind: Vec<_> = seen.iter().filter(|seen| seen.method == "GET").collect();
        let last_id = if then.starts_with("id") { "2" } else { "1" };
        let ids: Vec<_> = behind.iter().map(|seen| seen.header("last-event-id")).collect();
        assert_eq!(ids, ["1", last_id, last_id, last_id]);
        assert!(seen.iter().all(|seen| seen.rpc() != "notifications/cancelled"));
        assert_eq!(line.counters.values().lost, 0);
        assert_eq!(pauses(&times).len(), 4);
    }
}

#[tokio::test]
async fn a_call_is_not_polled_for_earlier_than_the_server_wants() {
    const WANTED: Duration = Duration::from_millis(300);
    // What was said once holds.
    let (server, times) = polled("id: 1\nretry: 300\ndata:\n\n", "", 2).await;
    let line = connect(&server.url(), LEGACY);
    ask(&line.connection, call(&ECHO, Some(&principal("a")))).await.unwrap();
    assert!(pauses(&times).iter().all(|pause| *pause >= WANTED), "{times:?}");
}

#[tokio::test]
async fn what_a_server_wants_holds_also_when_its_stream_broke_off() {
    const WANTED: Duration = Duration::from_millis(400);
    let (asked, times) = (Mutex::new(String::new()), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&times);
    let server = serve(move |seen| {
        noted.lock().push(Instant::now());
        let answer = if seen.rpc() == "tools/call" {
            *asked.lock() = seen.id();
            let (sender, body) = open_body();
            tokio::spawn(async move {
                sender.send(Ok(Bytes::from_static(b"id: 1\nretry: 400\ndata:\n\n"))).await.unwrap();
                // What was sent leaves before the fault: the server's connection runs on this thread.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                let _ = sender.send(Err(std::io::ErrorKind::ConnectionReset.into())).await;
            });
            typed("text/event-stream", body)
        } else {
            events(&[event(&result(&asked.lock(), "{}"))])
        };
        async move { answer }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    ask(&line.connection, call(&ECHO, Some(&principal("a")))).await.unwrap();
    assert!(pauses(&times).iter().all(|pause| *pause >= WANTED), "{times:?}");
}

#[tokio::test]
async fn ids_of_events_need_not_be_ascii() {
    let (server, _) = polled("id: ä/1\ndata:\n\n", "", 1).await;
    let line = connect(&server.url(), LEGACY);
    ask(&line.connection, call(&ECHO, Some(&principal("a")))).await.unwrap();
    let get = server.sees(|seen| seen.method == "GET").await;
    assert_eq!(get.headers["last-event-id"].as_bytes(), "ä/1".as_bytes());
}

/// A server whose standing streams end at once, having said what `told` returns for each; returns the time that it
/// takes for `gets` of them. What `begin` returns lives so long.
async fn standing<T>(
    told: fn(usize) -> &'static str,
    gets: usize,
    begin: impl AsyncFnOnce(&Line) -> T,
) -> Duration {
    let opened = AtomicUsize::new(0);
    let server = serve(move |seen| {
        let answer = match &*seen.rpc() {
            "tools/call" => json(result(&seen.id(), "{}")),
            "" if seen.method == "GET" => match opened.fetch_add(1, Ordering::Relaxed) {
                number if number + 1 < gets => events(&[told(number).to_owned()]),
                _ => status(503),
            },
            _ => status(202),
        };
        async move { answer }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let began = Instant::now();
    let _held = begin(&line).await;
    server.sees_after(gets - 1, |seen| seen.method == "GET").await;
    line.connection.close().await;
    began.elapsed()
}

/// Pauses of about 100, 200 and 400 ms, shortened by a fifth at most.
const GROWN: Duration = Duration::from_millis(560);

#[tokio::test]
async fn a_sessions_stream_that_ends_at_once_is_asked_for_ever_less_often() {
    let took = standing(
        |_| "id: 1\nretry: 0\ndata: {}\n\n",
        4,
        async |line| {
            let (client, ears) = client("{}");
            let (owner, session) = (principal("a"), shared(&client));
            ask(&line.connection, call_of(&ECHO, &owner, &session)).await.unwrap();
            (client, ears, session)
        },
    )
    .await;
    assert!(took >= GROWN, "{took:?}");
}

#[tokio::test]
async fn our_own_stream_is_not_asked_for_earlier_than_the_server_wants() {
    let told = |number| if number == 0 { "retry: 350\ndata:\n\n" } else { "" };
    let took = standing(told, 3, async |line| {
        line.connection.listen(&credential("own"));
    })
    .await;
    assert!(took >= Duration::from_millis(700), "{took:?}");
}

#[tokio::test]
async fn a_sessions_stream_goes_on_where_it_was_when_it_cannot_for_the_moment() {
    let opened = AtomicUsize::new(0);
    let server = serve(move |seen| {
        let answer = match &*seen.rpc() {
            "tools/call" => json(result(&seen.id(), "{}")),
            "" if seen.method == "GET" => match opened.fetch_add(1, Ordering::Relaxed) {
                0 => events(&["id: e-7\ndata:\n\n".to_owned()]),
                1 => status(503),
                _ => events(&["id: e-8\ndata:\n\n".to_owned()]),
            },
            _ => status(202),
        };
        async move { answer }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let (client, _ears) = client("{}");
    let (owner, session) = (principal("a"), shared(&client));
    ask(&line.connection, call_of(&ECHO, &owner, &session)).await.unwrap();
    server.sees(|seen| seen.header("last-event-id") == "e-8").await;
    let seen = server.seen();
    let behind = seen.iter().filter(|seen| seen.method == "GET").map(|seen| seen.header("last-event-id"));
    assert_eq!(behind.take(4).collect::<Vec<_>>(), ["", "e-7", "e-7", "e-8"]);
}

#[tokio::test]
async fn a_call_whose_event_is_too_large_is_called_off() {
    let server = serve(|seen| async move {
        match &*seen.rpc() {
            "tools/call" => events(&[event(&"x".repeat(64 << 10))]),
            _ => status(202),
        }
    })
    .await;
    let line = connect_with(&server.url(), LEGACY, 1000);
    let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
    assert!(matches!(answer, Err(crate::CallError::TooLarge { .. })), "{answer:?}");
    let sent = server.sees(|seen| seen.rpc() == "tools/call").await;
    let told = server.sees(|seen| seen.rpc() == "notifications/cancelled").await;
    assert_eq!(told.json()["params"]["requestId"].to_string(), sent.id());
}

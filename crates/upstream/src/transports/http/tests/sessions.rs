//! Legacy sessions: whose they are, when they are opened, what happens when the server forgets one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use protocol::ClientCapabilities;
use tokio::task::JoinSet;

use super::{
    super::session::{Audience, Found, Home, Introduced, MAX_IDLE, Owner, Session, Sessions},
    stage::*,
};
use crate::{CallError, transports::Exchange};

/// Says which session and which id a call had.
async fn telling() -> Server {
    serve(|seen| async move {
        tokio::task::yield_now().await;
        let (id, session, who) = (seen.id(), seen.header("mcp-session-id"), seen.header("authorization"));
        let marker = seen.json()["params"]["marker"].to_string();
        let told = format!(r#"{{"session":"{session}","who":"{who}","marker":{marker}}}"#);
        json(result(&id, &told))
    })
    .await
}

#[tokio::test]
async fn twenty_principals_share_neither_sessions_nor_answers() {
    let server = telling().await;
    let line = connect(&server.url(), LEGACY);
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let connection = line.connection.clone();
        callers.spawn(async move {
            let (owner, token) =
                (principal(&format!("agent-{caller}")), credential(&format!("token-{caller}")));
            let mut sessions = std::collections::BTreeSet::new();
            for number in 0..25 {
                let params = format!(r#"{{"marker":"{caller}/{number}"}}"#);
                let params = Text { text: &params, token: None };
                let exchange = Exchange { credential: Some(&token), ..call(&params, Some(&owner)) };
                let Final::Whole(told) = ask(&connection, exchange).await.unwrap() else {
                    panic!("a result")
                };
                let told: serde_json::Value = serde_json::from_str(&told).unwrap();
                assert_eq!(told["marker"], format!("{caller}/{number}"));
                assert_eq!(told["who"], format!("Bearer token-{caller}"));
                sessions.insert(told["session"].to_string());
            }
            assert_eq!(sessions.len(), 1);
            sessions.pop_first().unwrap()
        });
    }
    let sessions: std::collections::BTreeSet<String> = callers.join_all().await.into_iter().collect();
    assert_eq!(sessions.len(), 20);
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|seen| seen.rpc() == "initialize").count(), 20);
}

#[tokio::test]
async fn a_session_is_opened_once_however_many_wait_for_it() {
    let server = telling().await;
    let line = connect(&server.url(), LEGACY);
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let connection = line.connection.clone();
        callers.spawn(async move { ask(&connection, call(&ECHO, Some(&principal("a")))).await.unwrap() });
    }
    callers.join_all().await;
    assert_eq!(server.seen().iter().filter(|seen| seen.rpc() == "initialize").count(), 1);
}

#[tokio::test]
async fn an_opening_goes_on_when_its_first_caller_has_gone() {
    let (release, released) = tokio::sync::watch::channel(false);
    let server = Server::start(move |seen| {
        let mut released = released.clone();
        async move {
            match &*seen.rpc() {
                "initialize" => {
                    released.wait_for(|released| *released).await.unwrap();
                    session(&seen.id(), "late")
                }
                "tools/call" => json(result(&seen.id(), "{}")),
                _ => status(202),
            }
        }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let owner = principal("a");
    tokio::select! {
        _ = line.connection.request(call(&ECHO, Some(&owner))) => panic!("it cannot be answered"),
        _ = server.sees(|seen| seen.rpc() == "initialize") => {}
    }
    release.send_replace(true);
    ask(&line.connection, call(&ECHO, Some(&owner))).await.unwrap();
    assert_eq!(server.seen().iter().filter(|seen| seen.rpc() == "initialize").count(), 1);
}

/// Refuses each session once, in the way of `refuse`, after which all is well.
async fn forgetful(refuse: fn() -> Answer) -> Server {
    let has_forgotten = AtomicBool::new(false);
    serve(move |seen| {
        let forgets =
            seen.header("mcp-session-id") == "session-1" && !has_forgotten.swap(true, Ordering::Relaxed);
        let is_old = seen.header("mcp-session-id") == "session-1";
        async move { if forgets || is_old { refuse() } else { json(result(&seen.id(), "{}")) } }
    })
    .await
}

#[tokio::test]
async fn a_forgotten_session_is_opened_anew_and_the_call_sent_once_more() {
    let refusals: [fn() -> Answer; 4] = [
        || status(404),
        || {
            refusal(
                404,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#,
            )
        },
        || refusal(404, r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"x"}}"#),
        || refusal(400, r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request"},"id":null}"#),
    ];
    for refuse in refusals {
        let server = forgetful(refuse).await;
        let line = connect(&server.url(), LEGACY);
        let mut callers = JoinSet::new();
        for _ in 0..10 {
            let connection = line.connection.clone();
            callers.spawn(async move { ask(&connection, call(&ECHO, Some(&principal("a")))).await });
        }
        for answer in callers.join_all().await {
            assert_eq!(answer.unwrap(), Final::Whole("{}".to_owned()));
        }
        assert_eq!(server.seen().iter().filter(|seen| seen.rpc() == "initialize").count(), 2);
        tokio::time::timeout(PATIENCE, line.mail.lists_changed.notified()).await.unwrap();
    }
}

/// How often a call is sent to a server that answers like this in every session, and what becomes of it.
async fn refused_in_every_session(
    refuse: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (usize, Final) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = serve(move |_| {
        let answer = refuse(counted.fetch_add(1, Ordering::Relaxed));
        async move { answer }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let answer = ask(&line.connection, call(&ECHO, Some(&principal("a")))).await;
    let calls = calls.load(Ordering::Relaxed);
    let opened = server.seen().iter().filter(|seen| seen.rpc() == "initialize").count();
    assert_eq!(opened, calls, "each time in a new session");
    (calls, answer.unwrap_or_else(|error| Final::Error(error.to_string())))
}

#[tokio::test]
async fn a_server_that_forgets_every_session_is_asked_a_bounded_number_of_times() {
    let (calls, answer) = refused_in_every_session(|_| status(404)).await;
    assert_eq!(calls, 5, "once, and once more in each of the sessions that may be opened anew");
    let error = CallError::Status { server: server_id(), status: 404 };
    assert_eq!(answer, Final::Error(error.to_string()));
}

const LEGACY_REFUSAL: &str = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request"},"id":null}"#;

#[tokio::test]
async fn a_refusal_that_may_mean_something_else_has_a_call_sent_once_more_and_never_again() {
    let error = Final::Error(r#"{"code":-32000,"message":"Bad Request"}"#.to_owned());
    assert_eq!(refused_in_every_session(|_| refusal(400, LEGACY_REFUSAL)).await, (2, error.clone()));
    let mixed = |call| if call == 1 { status(404) } else { refusal(400, LEGACY_REFUSAL) };
    assert_eq!(refused_in_every_session(mixed).await, (3, error));
}

#[tokio::test]
async fn an_opening_that_fails_is_tried_again_by_the_next_call() {
    let attempts = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed);
        async move {
            match &*seen.rpc() {
                "initialize" if attempt == 0 => status(503),
                "initialize" => session(&seen.id(), "second"),
                "tools/call" => json(result(&seen.id(), "{}")),
                _ => status(202),
            }
        }
    })
    .await;
    let line = connect(&server.url(), LEGACY);
    let owner = principal("a");
    let first = ask(&line.connection, call(&ECHO, Some(&owner))).await;
    assert_eq!(first, Err(CallError::Status { server: server_id(), status: 503 }));
    assert_eq!(
        ask(&line.connection, call(&ECHO, Some(&owner))).await.unwrap(),
        Final::Whole("{}".to_owned())
    );
}

#[tokio::test]
async fn the_handshake_opens_our_own_session_and_closing_ends_all() {
    let server = telling().await;
    let line = connect(&server.url(), LEGACY);
    let initialize = Exchange { method: "initialize", name: None, ..call(&ECHO, None) };
    ask(&line.connection, initialize).await.unwrap();
    line.connection.notify("notifications/initialized", None).await.unwrap();
    let own = ask(&line.connection, call(&ECHO, None)).await.unwrap();
    assert!(matches!(own, Final::Whole(told) if told.contains("session-1")));
    ask(&line.connection, call(&ECHO, Some(&principal("a")))).await.unwrap();
    line.connection.close().await;
    let mut ended: Vec<String> = server
        .seen()
        .iter()
        .filter(|seen| seen.method == "DELETE")
        .map(|seen| seen.header("mcp-session-id").to_owned())
        .collect();
    ended.sort();
    assert_eq!(ended, ["session-1", "session-2"]);
    let methods: Vec<String> = server.seen().iter().map(Seen::rpc).take(3).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call"]);
}

/// The owner of what `agent` does without a session of its own.
fn owner(agent: &str) -> Owner {
    declaring(agent, ClientCapabilities::NONE)
}

fn declaring(agent: &str, declared: ClientCapabilities) -> Owner {
    Owner::Callers { principal: principal(agent), declared, client: None }
}

fn open(sessions: &Sessions, owner: Owner) {
    let introduced = Introduced { id: None, version: LEGACY, has_logging: false };
    sessions.put(Session::of(Arc::new(Audience::new(Some(owner))), introduced), None);
}

fn owners(homes: &[Home]) -> Vec<Option<Owner>> {
    homes.iter().map(|home| home.session.audience.owner().cloned()).collect()
}

#[test]
fn idle_sessions_are_ended() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    open(&sessions, owner("a"));
    assert!(sessions.take_idle(now).is_empty());
    assert_eq!(sessions.take_idle(now + MAX_IDLE + Duration::from_secs(60)).len(), 1);
    assert!(sessions.take_all().is_empty());
}

#[test]
fn sessions_are_bounded_and_old_ones_make_room() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    for number in 0..10_000 {
        open(&sessions, owner(&number.to_string()));
    }
    assert!(matches!(sessions.find(Some(&owner("new")), None, now).0, Found::Full));
    let later = now + Duration::from_secs(12 * 60);
    assert!(matches!(sessions.find(Some(&owner("7")), None, later).0, Found::Open(_)));
    let (found, evicted) = sessions.find(Some(&owner("new")), None, later);
    assert!(matches!(found, Found::Absent(..)));
    assert_eq!(evicted.len(), 9_999, "all but the one just used");
}

#[test]
fn one_principal_has_so_many_declarations() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let numbered = |number: usize| {
        let declared = format!(r#"{{"roots":{{"number":{number}}}}}"#);
        declaring("a", ClientCapabilities::parse(declared.as_bytes()).unwrap())
    };
    open(&sessions, owner("a"));
    for number in 0..16 {
        assert!(sessions.find(Some(&numbered(number)), None, now).1.is_empty());
        open(&sessions, numbered(number));
        let used = now + Duration::from_secs(number as u64);
        let Found::Open(_) = sessions.find(Some(&numbered(number)), None, used).0 else { panic!("open") };
    }
    let now = now + Duration::from_secs(60);
    let (found, evicted) = sessions.find(Some(&numbered(16)), None, now);
    assert!(matches!(found, Found::Absent(..)));
    assert_eq!(owners(&evicted), [Some(numbered(0))], "the one not used for the longest time");
    let in_use: Vec<_> = (1..16).map(|number| sessions.find(Some(&numbered(number)), None, now).0).collect();
    assert!(matches!(sessions.find(Some(&numbered(17)), None, now).0, Found::Full));
    drop(in_use);
    assert!(
        matches!(sessions.find(Some(&owner("b")), None, now).0, Found::Absent(..)),
        "others are not concerned"
    );
}

//! A server that forgets sessions: what runs again, what never does, and what moves to the next session.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::{clients::*, stage::*};
use crate::CallError;

const CALLS: usize = 50;

/// A server that knows one session at a time.
struct Forgetful {
    opened: AtomicUsize,
    /// The number of the session that it knows.
    known: watch::Sender<usize>,
    /// How often each call, by its marker, was carried out.
    executed: Mutex<HashMap<String, usize>>,
    /// Calls that are being carried out.
    begun: watch::Sender<usize>,
    streams: mpsc::UnboundedSender<(String, mpsc::Sender<std::io::Result<Bytes>>)>,
}

impl Forgetful {
    /// Forgets the session that it knows.
    fn forget(&self) {
        self.known.send_replace(0);
    }

    async fn answer(self: Arc<Self>, seen: Seen) -> Answer {
        let session = seen.header("mcp-session-id").to_owned();
        let is_known = session == format!("session-{}", *self.known.borrow());
        match &*seen.rpc() {
            "initialize" => {
                let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
                self.known.send_replace(number);
                session_of(&seen.id(), &format!("session-{number}"), r#"{"logging":{}}"#)
            }
            _ if !is_known => status(404),
            "tools/call" => self.call(&seen).await,
            "logging/setLevel" | "ping" => json(result(&seen.id(), "{}")),
            "" if seen.method == "GET" => {
                let (sender, body) = open_body();
                let _ = self.streams.send((session, sender));
                typed("text/event-stream", body)
            }
            _ => status(202),
        }
    }

    /// Odd calls of the first session are being carried out when it is forgotten: their streams break off.
    async fn call(&self, seen: &Seen) -> Answer {
        let marker = seen.json()["params"]["marker"].as_str().unwrap().to_owned();
        *self.executed.lock().entry(marker.clone()).or_default() += 1;
        self.begun.send_modify(|begun| *begun += 1);
        let is_odd = marker.parse::<usize>().is_ok_and(|number| number % 2 == 1);
        if !is_odd || seen.header("mcp-session-id") != "session-1" {
            return json(result(&seen.id(), &format!(r#"{{"marker":"{marker}"}}"#)));
        }
        let (sender, body) = open_body();
        let mut known = self.known.subscribe();
        tokio::spawn(async move {
            let _ = known.wait_for(|known| *known != 1).await;
            let _ = sender.send(Err(std::io::Error::other("the session is gone"))).await;
        });
        typed("text/event-stream", body)
    }
}

type Streams = mpsc::UnboundedReceiver<(String, mpsc::Sender<std::io::Result<Bytes>>)>;

async fn forgetful() -> (Server, Arc<Forgetful>, Streams) {
    let (streams, opened_streams) = mpsc::unbounded_channel();
    let forgetful = Arc::new(Forgetful {
        opened: AtomicUsize::new(0),
        known: watch::Sender::new(0),
        executed: Mutex::default(),
        begun: watch::Sender::new(0),
        streams,
    });
    let answering = Arc::clone(&forgetful);
    let server = Server::start(move |seen| Arc::clone(&answering).answer(seen)).await;
    (server, forgetful, opened_streams)
}

fn opened(server: &Server) -> usize {
    server.seen().iter().filter(|seen| seen.rpc() == "initialize").count()
}

/// Calls as `client` with a marker of its own.
fn calling(
    callers: &mut JoinSet<(usize, Result<Final, CallError>)>,
    line: &Line,
    client: &Arc<Client>,
    numbers: impl Iterator<Item = usize>,
) {
    for number in numbers {
        let (connection, session) = (Arc::clone(&line.connection), shared(client));
        callers.spawn(async move {
            let params = format!(r#"{{"marker":"{number}"}}"#);
            let (params, owner) = (Text { text: &params, token: None }, principal("a"));
            (number, ask(&connection, call_of(&params, &owner, &session)).await)
        });
    }
}

#[tokio::test]
async fn no_call_runs_twice_when_a_session_expires_under_fifty() {
    let (server, forgetful, _streams) = forgetful().await;
    let line = connect(&server.url(), LEGACY);
    let (client, _ears) = client(r#"{"roots":{}}"#);
    let mut callers = JoinSet::new();
    // Half of the calls are under way when the session is forgotten, the others come then.
    calling(&mut callers, &line, &client, (0..CALLS).filter(|number| number % 2 == 1));
    let mut begun = forgetful.begun.subscribe();
    timeout(PATIENCE, begun.wait_for(|begun| *begun == CALLS / 2)).await.unwrap().unwrap();
    forgetful.forget();
    calling(&mut callers, &line, &client, (0..CALLS).filter(|number| number % 2 == 0));
    let answers = timeout(PATIENCE, callers.join_all()).await.expect("every caller gets an answer");
    assert_eq!(answers.len(), CALLS);
    for (number, answer) in answers {
        match answer {
            Ok(answer) => {
                assert_eq!(answer, Final::Whole(format!(r#"{{"marker":"{number}"}}"#)));
                assert_eq!(number % 2, 0);
            }
            Err(error) => {
                assert!(matches!(error, CallError::Lost { .. }), "{error}");
                assert_eq!(number % 2, 1);
            }
        }
    }
    let executed = forgetful.executed.lock().clone();
    assert_eq!(executed.len(), CALLS);
    assert!(executed.values().all(|times| *times == 1), "{executed:?}");
    assert_eq!(opened(&server), 2, "the session was opened anew once");
    assert_eq!(line.counters.values().lost, CALLS as u64 / 2);
}

#[tokio::test]
async fn fifty_calls_that_meet_a_forgotten_session_open_one_and_run_once() {
    let (server, forgetful, _streams) = forgetful().await;
    let line = connect(&server.url(), LEGACY);
    let (client, _ears) = client(r#"{"roots":{}}"#);
    let mut callers = JoinSet::new();
    calling(&mut callers, &line, &client, [1_000].into_iter());
    callers.join_next().await.unwrap().unwrap().1.unwrap();
    forgetful.forget();
    calling(&mut callers, &line, &client, 0..CALLS);
    for (number, answer) in timeout(PATIENCE, callers.join_all()).await.expect("answers") {
        assert_eq!(answer.unwrap(), Final::Whole(format!(r#"{{"marker":"{number}"}}"#)));
    }
    let executed = forgetful.executed.lock().clone();
    assert_eq!((executed.len(), executed.values().sum::<usize>()), (CALLS + 1, CALLS + 1));
    assert_eq!(opened(&server), 2);
}

#[tokio::test]
async fn level_and_stream_move_to_the_next_session() {
    let (server, forgetful, mut streams) = forgetful().await;
    let line = connect(&server.url(), LEGACY);
    let (client, mut ears) = client(r#"{"roots":{}}"#);
    client.set_level("warning");
    let mut callers = JoinSet::new();
    calling(&mut callers, &line, &client, [0].into_iter());
    callers.join_next().await.unwrap().unwrap().1.unwrap();
    let (session, old) = streams.recv().await.unwrap();
    assert_eq!(session, "session-1");
    forgetful.forget();
    calling(&mut callers, &line, &client, [2].into_iter());
    callers.join_next().await.unwrap().unwrap().1.unwrap();
    timeout(PATIENCE, old.closed()).await.expect("the old stream is left");
    let (session, stream) = timeout(PATIENCE, streams.recv()).await.unwrap().unwrap();
    assert_eq!(session, "session-2");
    let message = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    stream.send(Ok(event(message).into())).await.unwrap();
    assert_eq!(ears.notification().await.0, "notifications/message");
    let told: Vec<_> = server
        .seen()
        .iter()
        .filter(|seen| ["logging/setLevel", "tools/call"].contains(&&*seen.rpc()))
        .map(|seen| (seen.rpc(), seen.header("mcp-session-id").to_owned()))
        .collect();
    let expected = [
        ("logging/setLevel", "session-1"),
        ("tools/call", "session-1"),
        ("tools/call", "session-1"),
        ("logging/setLevel", "session-2"),
        ("tools/call", "session-2"),
    ];
    assert_eq!(told, expected.map(|(method, session)| (method.to_owned(), session.to_owned())));
}

#[tokio::test]
async fn a_stream_finds_out_by_itself_that_its_session_is_forgotten() {
    let (server, forgetful, mut streams) = forgetful().await;
    let line = connect(&server.url(), LEGACY);
    let (client, mut ears) = client(r#"{"roots":{}}"#);
    let mut callers = JoinSet::new();
    calling(&mut callers, &line, &client, [0].into_iter());
    callers.join_next().await.unwrap().unwrap().1.unwrap();
    let (_, old) = streams.recv().await.unwrap();
    forgetful.forget();
    drop(old);
    let (session, stream) = timeout(PATIENCE, streams.recv()).await.unwrap().unwrap();
    assert_eq!(session, "session-2");
    let message = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    stream.send(Ok(event(message).into())).await.unwrap();
    ears.notification().await;
    assert_eq!(opened(&server), 2);
    calling(&mut callers, &line, &client, [2].into_iter());
    callers.join_next().await.unwrap().unwrap().1.unwrap();
    assert_eq!(opened(&server), 2);
}

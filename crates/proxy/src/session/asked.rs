//! Requests of servers that wait for this client's answer, under ids of ours: servers choose theirs alike, and a
//! client must not be able to answer what it was not asked. Which of them belong together is in `questions.rs`.

use std::collections::HashMap;

use domain::ServerId;
use parking_lot::Mutex;
use protocol::{RequestId, Response, encode};
use tokio::time::Instant;
use upstream::ServerRequest;

use super::questions::Question;
use crate::call;

/// Most requests that wait for one client at a time; further ones are refused.
const MAX_WAITING: usize = 256;
/// Most of them that one server has asked, so that one which asks without end leaves room for three others like it.
const MAX_OF_SERVER: usize = MAX_WAITING / 4;

/// The requests that wait. Those still waiting when the session ends are refused.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<RequestId, Waiting>,
    last_id: u64,
}

/// A request that waits, without its parameters: they stand in the message to the client.
#[derive(Debug)]
struct Waiting {
    request: ServerRequest,
    server: ServerId,
    since: Instant,
}

impl Asked {
    /// Enters a request of `server`; returns the question to put to the client. One for which there is no room is
    /// refused.
    pub(crate) fn ask(&self, server: &ServerId, request: ServerRequest) -> Option<Question> {
        self.ask_at(Instant::now(), server, request)
    }

    fn ask_at(&self, now: Instant, server: &ServerId, mut request: ServerRequest) -> Option<Question> {
        let mut table = self.0.lock();
        let gone = table.make_room(now, server);
        if table.is_full(server) {
            drop(table);
            drop(gone);
            request.refuse();
            return None;
        }
        table.last_id += 1;
        let id = table.last_id;
        let params = request.params().map_or(&b"{}"[..], |params| params);
        let message = encode::request(id, request.method(), params).into();
        request.forget_params();
        let withdrawn = request.withdrawn().clone();
        table.waiting.insert(id.into(), Waiting { request, server: server.clone(), since: now });
        drop(table);
        // Outside the lock: a request that is dropped answers its server.
        drop(gone);
        Some(Question { id, message, withdrawn })
    }

    /// Takes the client's answer to the server that waits for it. An answer to nothing is nothing.
    pub(crate) fn answer(&self, Response { id, body }: Response) {
        let waiting = id.and_then(|id| self.0.lock().waiting.remove(&id));
        if let Some(waiting) = waiting {
            waiting.request.answer(body);
        }
    }

    /// Tells whether a request still waits for its answer.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        self.0.lock().waiting.contains_key(&id.into())
    }

    /// Forgets a request, which refuses it; tells whether it was still waiting.
    pub(super) fn forget(&self, id: u64) -> bool {
        let request = self.0.lock().waiting.remove(&id.into());
        request.is_some()
    }
}

impl Table {
    /// Tells whether there is no room for one more request of `server`.
    fn is_full(&self, server: &ServerId) -> bool {
        let of_server = || self.waiting.values().filter(|waiting| waiting.server == *server).count();
        self.waiting.len() >= MAX_WAITING || of_server() >= MAX_OF_SERVER
    }

    /// When it is full, takes out what the servers took back, and what has waited for longer than any call may take: no
    /// client that answers needs as long.
    fn make_room(&mut self, now: Instant, server: &ServerId) -> Vec<ServerRequest> {
        if !self.is_full(server) {
            return Vec::new();
        }
        let is_over = |waiting: &Waiting| {
            let age = now.saturating_duration_since(waiting.since);
            waiting.request.withdrawn().is_cancelled() || age >= call::HARD_LIMIT
        };
        let gone = self.waiting.extract_if(|_, waiting| is_over(waiting));
        gone.map(|(_, waiting)| waiting.request).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use bytes::Bytes;

    use super::*;

    fn server(name: &str) -> ServerId {
        ServerId::new(name).unwrap()
    }

    /// Makes requests that count their answers.
    fn requests() -> (impl Fn() -> ServerRequest, Arc<AtomicUsize>) {
        let answered = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&answered);
        let request = move || {
            let (params, told) = (Bytes::from_static(br#"{"x":1}"#), Arc::clone(&told));
            ServerRequest::new("roots/list".into(), Some(params), move |_| {
                told.fetch_add(1, Ordering::Relaxed);
            })
        };
        (request, answered)
    }

    #[test]
    fn a_server_that_asks_without_end_leaves_room_for_others() {
        let (asked, (request, refused)) = (Asked::default(), requests());
        for _ in 0..MAX_OF_SERVER {
            assert!(asked.ask(&server("one"), request()).is_some());
        }
        assert!(asked.ask(&server("one"), request()).is_none());
        assert_eq!(refused.load(Ordering::Relaxed), 1);
        let others = ["two", "three", "four"].map(server);
        for other in &others {
            for _ in 0..MAX_OF_SERVER {
                assert!(asked.ask(other, request()).is_some());
            }
        }
        assert!(asked.ask(&server("five"), request()).is_none(), "one client is asked only so much");
    }

    #[test]
    fn what_nobody_answers_makes_room_in_the_end() {
        let (asked, (request, refused)) = (Asked::default(), requests());
        let began = Instant::now();
        for _ in 0..MAX_OF_SERVER {
            asked.ask_at(began, &server("one"), request());
        }
        let nearly = began + call::HARD_LIMIT.saturating_sub(Duration::from_millis(1));
        assert!(asked.ask_at(nearly, &server("one"), request()).is_none());
        let later = began + call::HARD_LIMIT;
        assert!(asked.ask_at(later, &server("one"), request()).is_some());
        assert_eq!(refused.load(Ordering::Relaxed), 1 + MAX_OF_SERVER, "the old ones were refused");
    }

    #[test]
    fn what_waits_keeps_no_parameters() {
        let (asked, (request, _)) = (Asked::default(), requests());
        let question = asked.ask(&server("one"), request()).unwrap();
        assert!(std::str::from_utf8(&question.message).unwrap().contains(r#"{"x":1}"#), "{question:?}");
        assert!(asked.0.lock().waiting.values().all(|waiting| waiting.request.params().is_none()));
    }
}

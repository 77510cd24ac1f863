//! Requests of servers that wait for this client's answer, under ids of ours: servers choose theirs alike, and a
//! client must not be able to answer what it was not asked. Which of them belong together is in `questions.rs`.

use std::collections::HashMap;

use parking_lot::Mutex;
use protocol::{RequestId, Response, encode};
use upstream::ServerRequest;

use super::questions::Question;

/// Most requests that wait for one client at a time; further ones are refused.
const MAX_WAITING: usize = 256;

/// The requests that wait. Those still waiting when the session ends are refused.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<RequestId, ServerRequest>,
    last_id: u64,
}

impl Asked {
    /// Enters a request; returns the question to put to the client. One for which there is no room is refused.
    pub(crate) fn ask(&self, request: ServerRequest) -> Option<Question> {
        let mut table = self.0.lock();
        let gone = table.make_room();
        if table.waiting.len() >= MAX_WAITING {
            drop(table);
            request.refuse();
            return None;
        }
        table.last_id += 1;
        let id = table.last_id;
        let params = request.params().map_or(&b"{}"[..], |params| params);
        let message = encode::request(id, request.method(), params).into();
        let withdrawn = request.withdrawn().clone();
        table.waiting.insert(id.into(), request);
        drop(table);
        // Outside the lock: a request that is dropped answers its server.
        drop(gone);
        Some(Question { id, message, withdrawn })
    }

    /// Takes the client's answer to the server that waits for it. An answer to nothing is nothing.
    pub(crate) fn answer(&self, Response { id, body }: Response) {
        let request = id.and_then(|id| self.0.lock().waiting.remove(&id));
        if let Some(request) = request {
            request.answer(body);
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
    /// When it is full, takes out what the servers took back.
    fn make_room(&mut self) -> Vec<ServerRequest> {
        if self.waiting.len() < MAX_WAITING {
            return Vec::new();
        }
        self.waiting
            .extract_if(|_, waiting| waiting.withdrawn().is_cancelled())
            .map(|(_, gone)| gone)
            .collect()
    }
}

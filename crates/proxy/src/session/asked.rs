//! Requests of servers that wait for this client's answer, under ids of ours: servers choose theirs alike, and a
//! client must not be able to answer what it was not asked.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{RequestId, Response, encode};
use upstream::ServerRequest;

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
    /// Enters a request; returns the message to send to the client. One for which there is no room is refused, and the
    /// message is empty then.
    pub(crate) fn enter(&self, request: ServerRequest) -> Bytes {
        let mut table = self.0.lock();
        if table.waiting.len() >= MAX_WAITING {
            table.waiting.retain(|_, waiting| !waiting.withdrawn().is_cancelled());
        }
        if table.waiting.len() >= MAX_WAITING {
            drop(table);
            request.refuse();
            return Bytes::new();
        }
        table.last_id += 1;
        let id = table.last_id;
        let params = request.params().map_or(&b"{}"[..], |params| params);
        let message = encode::request(id, request.method(), params).into();
        table.waiting.insert(id.into(), request);
        message
    }

    /// Takes the client's answer to the server that waits for it. An answer to nothing is nothing.
    pub(crate) fn answer(&self, Response { id, body }: Response) {
        let request = id.and_then(|id| self.0.lock().waiting.remove(&id));
        if let Some(request) = request {
            request.answer(body);
        }
    }
}

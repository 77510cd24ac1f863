//! What a fake HTTP server was asked and what it noticed, for tests to wait for and to count.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

/// One HTTP request, as it arrived.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// The HTTP method.
    pub verb: String,
    /// The headers, by lower-case name; values of a repeated one are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl SeenRequest {
    /// Reads the body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Tells whether this is a call of `tool`.
    pub fn calls(&self, tool: &str) -> bool {
        let message = self.json();
        message["method"] == "tools/call" && message["params"]["name"] == tool
    }
}

/// The record of one fake server.
#[derive(Debug)]
pub struct Seen {
    kept: Mutex<Kept>,
    /// Grows with every entry.
    entries: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: Vec<SeenRequest>,
    connections: usize,
    marks: Vec<String>,
    cancelled: Vec<Value>,
    abandoned: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { kept: Mutex::default(), entries: watch::Sender::new(0) }
    }
}

impl Seen {
    /// Returns all requests so far.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.read(|kept| kept.requests.clone())
    }

    /// Returns how often `tool` was called.
    pub fn calls(&self, tool: &str) -> usize {
        self.read(|kept| kept.requests.iter().filter(|request| request.calls(tool)).count())
    }

    /// Returns how many connections were accepted.
    pub fn connections(&self) -> usize {
        self.read(|kept| kept.connections)
    }

    /// Returns the marks of the executed `write` calls, in their order.
    pub fn marks(&self) -> Vec<String> {
        self.read(|kept| kept.marks.clone())
    }

    /// Returns the ids of requests that were cancelled by a notification.
    pub fn cancelled(&self) -> Vec<Value> {
        self.read(|kept| kept.cancelled.clone())
    }

    /// Returns how many calls lost their caller before they were answered.
    pub fn abandoned(&self) -> usize {
        self.read(|kept| kept.abandoned)
    }

    /// Waits until `holds`. The test's own limit bounds it.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut entries = self.entries.subscribe();
        while !holds(self) {
            // The sender lives in `self`, so waiting cannot fail.
            let _ = entries.changed().await;
        }
    }

    /// Forgets the requests; they are many under load.
    pub fn forget_requests(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).requests.clear();
    }

    pub(crate) fn request(&self, request: SeenRequest) {
        self.note(|kept| kept.requests.push(request));
    }

    pub(crate) fn connection(&self) {
        self.note(|kept| kept.connections += 1);
    }

    pub(crate) fn mark(&self, mark: &str) {
        self.note(|kept| kept.marks.push(mark.to_owned()));
    }

    pub(crate) fn cancellation(&self, id: Value) {
        self.note(|kept| kept.cancelled.push(id));
    }

    pub(crate) fn abandonment(&self) {
        self.note(|kept| kept.abandoned += 1);
    }

    fn note(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        self.entries.send_modify(|entries| *entries += 1);
    }

    fn read<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

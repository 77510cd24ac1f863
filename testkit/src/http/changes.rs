//! What a fake HTTP server says of its own accord: changes, and floods of log messages.

use std::sync::Arc;
use std::time::Duration;

use protocol::Era;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::body::Sink;
use crate::asked::Asked;
use crate::said;

/// Messages of a flood that may wait to be taken, so that nobody who reads misses one.
const FLOOD_WAITING: usize = 256;
/// Between two looks at how many wait.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Something to tell those who listen.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Another list of tools.
    Tools,
    /// Another state of a resource.
    Resource(String),
    /// Another state of a task, as either era has it.
    Task {
        /// Its id.
        id: String,
        /// The legacy session that began it.
        session: Option<String>,
        legacy: Value,
        modern: Value,
    },
    /// A log message.
    Log {
        /// The legacy session in which it is said.
        session: Option<String>,
        params: Arc<Value>,
    },
}

impl Change {
    /// Writes the notification, with these parameters beside its own.
    pub(super) fn told(&self, era: Era, params: &Value) -> Vec<u8> {
        let mut params = params.clone();
        match self {
            Self::Task { legacy, .. } if era == Era::Legacy => {
                said::notification("notifications/tasks/status", legacy)
            }
            Self::Task { modern, .. } => {
                let mut task = modern.clone();
                task["_meta"] = params["_meta"].take();
                said::notification("notifications/tasks", &task)
            }
            Self::Log { params, .. } => said::notification("notifications/message", params),
            Self::Tools => said::notification("notifications/tools/list_changed", &params),
            Self::Resource(uri) => {
                params["uri"] = json!(uri);
                said::notification("notifications/resources/updated", &params)
            }
        }
    }
}

/// Waits for a change; `None` when nobody listens any more. One who is far behind is told of the list again.
pub(super) async fn next_change(changes: &mut broadcast::Receiver<Change>, sink: &Sink) -> Option<Change> {
    tokio::select! {
        changed = changes.recv() => match changed {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::Tools),
            Err(broadcast::error::RecvError::Closed) => None,
        },
        () = sink.gone() => None,
    }
}

/// `flood`: says `count` log messages of `size` bytes on the streams of the session, numbered on from `first`, no faster
/// than they are taken.
pub(super) async fn flood(changes: &broadcast::Sender<Change>, session: Option<String>, asked: &Asked) {
    let size = usize::try_from(asked.number("size")).unwrap_or_default();
    let filler = "x".repeat(size);
    let first = asked.number("first");
    for number in first..first + asked.number("count") {
        let params = Arc::new(json!({"level": "info", "data": {"number": number, "filler": filler}}));
        while changes.len() >= FLOOD_WAITING {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        // Nobody may listen.
        let _ = changes.send(Change::Log { session: session.clone(), params });
    }
}

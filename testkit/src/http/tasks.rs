//! Tasks of a fake HTTP server, as either era has them (2025-11-25, tasks; extension `io.modelcontextprotocol/tasks`).
//! `work` begins one: in the legacy era if the call wants that, in the modern one always, whatever the client declares.
//! It ends when `finish` is called with its id; `report` tells `count` states before that.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use protocol::Era;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::changes::Change;
use crate::asked::Asked;
use crate::said::{self, Said};

/// The tools that tasks are made of.
pub(crate) const TOOLS: [&str; 3] = ["work", "report", "finish"];

/// The tasks of one server.
pub(super) struct Tasks {
    all: Mutex<BTreeMap<String, Task>>,
    changes: broadcast::Sender<Change>,
    /// Grows with every change.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Clone)]
struct Task {
    /// The legacy session that began it.
    session: Option<String>,
    status: &'static str,
    message: String,
}

impl Tasks {
    pub(super) fn new(changes: broadcast::Sender<Change>) -> Self {
        Self { all: Mutex::default(), changes, changed: watch::Sender::new(0) }
    }

    /// Answers the methods about tasks; `None` for others.
    pub(super) async fn answer(&self, asked: &Asked) -> Option<Said> {
        let era = asked.era;
        let id = asked.params["taskId"].as_str().unwrap_or_default();
        Some(match (&*asked.method, era) {
            ("tasks/list", Era::Legacy) => {
                let all = self.lock().clone();
                let tasks: Vec<Value> = all.iter().map(|(id, task)| task.legacy(id)).collect();
                Said::result(&json!({ "tasks": tasks }))
            }
            ("tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update", _)
                if self.find(id).is_none() =>
            {
                Said::Error { code: -32602, message: format!("no task {id}") }
            }
            ("tasks/get", Era::Legacy) => Said::result(&self.find(id)?.legacy(id)),
            ("tasks/get", Era::Modern) => Said::result(&said::complete(era, self.find(id)?.modern(id))),
            ("tasks/cancel", _) => {
                self.set(id, "cancelled", "");
                let task = self.find(id)?.legacy(id);
                Said::result(&if era == Era::Legacy { task } else { said::complete(era, json!({})) })
            }
            ("tasks/update", Era::Modern) => {
                self.set(id, "working", "updated");
                Said::result(&said::complete(era, json!({})))
            }
            ("tasks/result", Era::Legacy) => {
                let mut changed = self.changed.subscribe();
                while self.find(id)?.status == "working" {
                    // The sender lives in `self`, so waiting cannot fail.
                    let _ = changed.changed().await;
                }
                Said::result(&self.find(id)?.result())
            }
            _ => return None,
        })
    }

    /// Answers the tools that begin tasks and move them on; `None` for others, and for work that is to be no task.
    pub(super) fn tool(&self, asked: &Asked, session: Option<&str>) -> Option<Said> {
        let id = asked.text("task");
        Some(match asked.tool() {
            "work" if asked.era == Era::Legacy && asked.params.get("task").is_none() => return None,
            "work" => self.begin(asked.era, session),
            "report" => {
                for count in 1..=asked.number("count").max(1) {
                    self.set(id, "working", &count.to_string());
                }
                said::text(asked.era, "reported")
            }
            "finish" => {
                self.set(id, "completed", "done");
                said::text(asked.era, "finished")
            }
            _ => return None,
        })
    }

    /// Returns those of the named tasks that there are.
    pub(super) fn known(&self, asked: &Asked) -> Vec<String> {
        let named = asked.params["notifications"]["taskIds"].as_array().into_iter().flatten();
        let all = self.lock();
        named.filter_map(Value::as_str).filter(|id| all.contains_key(*id)).map(str::to_owned).collect()
    }

    fn begin(&self, era: Era, session: Option<&str>) -> Said {
        let mut all = self.lock();
        let id = format!("fake-task-{}", all.len() + 1);
        let task = Task { session: session.map(str::to_owned), status: "working", message: String::new() };
        let said = match era {
            Era::Legacy => json!({ "task": task.legacy(&id) }),
            Era::Modern => {
                let mut said = task.modern(&id);
                said["resultType"] = json!("task");
                said
            }
        };
        all.insert(id, task);
        Said::result(&said)
    }

    fn set(&self, id: &str, status: &'static str, message: &str) {
        let mut all = self.lock();
        let Some(task) = all.get_mut(id) else { return };
        (task.status, task.message) = (status, message.to_owned());
        let (id, session) = (id.to_owned(), task.session.clone());
        let (legacy, modern) = (task.legacy(&id), task.modern(&id));
        drop(all);
        self.changed.send_modify(|changed| *changed += 1);
        let _ = self.changes.send(Change::Task { id, session, legacy, modern });
    }

    fn find(&self, id: &str) -> Option<Task> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Task>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    fn legacy(&self, id: &str) -> Value {
        let mut task = self.plain(id);
        task["ttl"] = json!(60_000);
        task
    }

    /// The same as the modern era has it: with the result, once there is one.
    fn modern(&self, id: &str) -> Value {
        let mut task = self.plain(id);
        task["ttlMs"] = json!(60_000);
        if self.status == "completed" {
            task["result"] = self.result();
        }
        task
    }

    fn plain(&self, id: &str) -> Value {
        let at = "2026-01-01T00:00:00Z";
        json!({
            "taskId": id,
            "status": self.status,
            "statusMessage": self.message,
            "createdAt": at,
            "lastUpdatedAt": at,
        })
    }

    fn result(&self) -> Value {
        json!({"content": [{"type": "text", "text": self.message}]})
    }
}

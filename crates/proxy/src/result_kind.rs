//! What a server's result is: complete, a question back, or a task that goes on. A result of a kind that client and
//! server did not agree on is no result (specification 2026-07-28, basic: extensions).

use std::sync::LazyLock;

use memchr::memmem::Finder;
use protocol::{Era, MethodRow, Object, Params, TASKS_EXTENSION, meta};

/// What the client can take as a result of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// A question back (`input_required`).
    input: bool,
    /// A task.
    task: bool,
}

/// What a whole result is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ResultKind {
    /// An answer.
    Complete,
    /// The server wants to know more first.
    InputRequired,
    /// The server goes on by itself; this is the task's id.
    Task(String),
    /// Nothing that the client can make something of; this is what the server calls it.
    Foreign(String),
}

impl Expected {
    /// Reads what the client of this request can take.
    pub(crate) fn of(row: &MethodRow, params: &Params, era: Era) -> Self {
        let is_call = row.name == "tools/call";
        let task = is_call
            && match era {
                // Asked for with the request itself (specification 2025-11-25, tasks).
                Era::Legacy => {
                    Object::parse(params.raw(), &[]).is_ok_and(|object| object.get("task").is_some())
                }
                Era::Modern => declares_tasks(params),
            };
        Self { input: row.may_require_input && era == Era::Modern, task }
    }

    /// Tells whether the client can take anything else than an answer.
    pub(crate) const fn is_open(self) -> bool {
        self.input || self.task
    }

    /// Finds out what a result of a server of `era` is.
    pub(crate) fn judge(self, result: &[u8], era: Era) -> ResultKind {
        match era {
            Era::Legacy if self.task => legacy_task(result).map_or(ResultKind::Complete, ResultKind::Task),
            Era::Legacy => ResultKind::Complete,
            Era::Modern => self.modern(result),
        }
    }

    fn modern(self, result: &[u8]) -> ResultKind {
        static RESULT_TYPE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("resultType"));
        if RESULT_TYPE.find(result).is_none() {
            return ResultKind::Complete;
        }
        let Ok(object) = Object::parse(result, &["resultType"]) else {
            return ResultKind::Foreign("unreadable".to_owned());
        };
        match object.string("resultType").as_deref() {
            None | Some("complete") => ResultKind::Complete,
            Some("input_required") if self.input => ResultKind::InputRequired,
            Some("task") if self.task => match object.string("taskId") {
                Some(id) => ResultKind::Task(id.into_owned()),
                None => ResultKind::Foreign("task".to_owned()),
            },
            Some(other) => ResultKind::Foreign(other.to_owned()),
        }
    }
}

fn declares_tasks(params: &Params) -> bool {
    let members = params.meta().and_then(|text| meta::parse(text).ok());
    let declared = members.as_ref().and_then(|members| members.get(meta::CLIENT_CAPABILITIES));
    declared.is_some_and(|declared| declared.contains(TASKS_EXTENSION))
}

fn legacy_task(result: &[u8]) -> Option<String> {
    let object = Object::parse(result, &[]).ok()?;
    let task = Object::parse(object.get("task")?.as_bytes(), &[]).ok()?;
    task.string("taskId").map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::method;

    use super::*;

    fn expected(name: &str, params: &'static str, era: Era) -> Expected {
        let row = method(name).unwrap();
        Expected::of(row, &Params::parse(Some(Bytes::from_static(params.as_bytes())), row).unwrap(), era)
    }

    const WITH_TASKS: &str = r#"{"name":"x","_meta":{"io.modelcontextprotocol/clientCapabilities":
        {"extensions":{"io.modelcontextprotocol/tasks":{}}}}}"#;

    #[test]
    fn modern_results() {
        let plain = expected("tools/call", r#"{"name":"x"}"#, Era::Modern);
        let tasks = expected("tools/call", WITH_TASKS, Era::Modern);
        let task = br#"{"resultType":"task","taskId":"7"}"#;
        assert_eq!(plain.judge(br#"{"content":[]}"#, Era::Modern), ResultKind::Complete);
        assert_eq!(
            plain.judge(br#"{"resultType":"input_required"}"#, Era::Modern),
            ResultKind::InputRequired
        );
        assert_eq!(plain.judge(task, Era::Modern), ResultKind::Foreign("task".into()));
        assert_eq!(tasks.judge(task, Era::Modern), ResultKind::Task("7".into()));
        assert_eq!(tasks.judge(br#"{"resultType":"x/y"}"#, Era::Modern), ResultKind::Foreign("x/y".into()));
        let nested = br#"{"structuredContent":{"resultType":"task"},"resultType":"complete"}"#;
        assert_eq!(plain.judge(nested, Era::Modern), ResultKind::Complete);
        let doubled = br#"{"resultType":"complete","resultType":"input_required"}"#;
        assert_eq!(plain.judge(doubled, Era::Modern), ResultKind::Foreign("unreadable".into()));
        let completion = r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{}}"#;
        let completion = expected("completion/complete", completion, Era::Modern);
        let asks = completion.judge(br#"{"resultType":"input_required"}"#, Era::Modern);
        assert_eq!(asks, ResultKind::Foreign("input_required".into()));
    }

    #[test]
    fn legacy_tasks_are_asked_for() {
        let task = br#"{"task":{"taskId":"7","status":"working"}}"#;
        let asked = expected("tools/call", r#"{"name":"x","task":{"ttl":1000}}"#, Era::Legacy);
        let plain = expected("tools/call", r#"{"name":"x"}"#, Era::Legacy);
        assert_eq!(asked.judge(task, Era::Legacy), ResultKind::Task("7".into()));
        assert_eq!(plain.judge(task, Era::Legacy), ResultKind::Complete);
    }
}

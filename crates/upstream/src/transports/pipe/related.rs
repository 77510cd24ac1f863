//! Which task a message of a server is about (specification 2025-11-25, tasks): a task goes on when the call that
//! started it has its answer, and what is said or asked for its sake is for nobody but its caller. Who that is tells
//! the request about the same task that is in flight (`pipe/pending`).

use bytes::Bytes;
use memchr::memmem;
use protocol::Object;

use super::super::Exchange;

/// The member of `_meta` that names the task for whose sake a message is sent.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
/// Longest id of a task that is remembered; ids are made to be short.
const MAX_ID_BYTES: usize = 1_024;

/// What a message of a server says of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// It names no task.
    Anything,
    /// It is for the sake of this task.
    Task(Box<str>),
    /// It may name a task, but not so that one could tell which.
    Unclear,
}

/// Tells which task a message with these parameters is for.
pub(super) fn about(params: Option<&Bytes>) -> About {
    let Some(params) = params else { return About::Anything };
    let inner = member(params, "_meta").and_then(|meta| match meta {
        Some(meta) => member(meta.as_bytes(), RELATED_TASK),
        None => Ok(None),
    });
    match inner {
        Ok(None) => About::Anything,
        Ok(Some(related)) => id_in(related).map_or(About::Unclear, About::Task),
        Err(Unreadable) => About::Unclear,
    }
}

/// Returns the id of the task that a request of a client is about; `None` for requests that are about none.
pub(super) fn of_request(exchange: &Exchange<'_>) -> Option<Box<str>> {
    if !exchange.method.starts_with("tasks/") {
        return None;
    }
    let mut params = Vec::with_capacity(exchange.params.size_hint());
    exchange.params.write(&mut params, None).ok()?;
    id_in(std::str::from_utf8(&params).ok()?)
}

/// Returns the id of the task that a call was answered by, in either era; `None` for an answer that is final. Of an id
/// that is too long, or cannot be read, nothing is left but that there may be a task.
pub(super) fn started_by(result: &Bytes) -> Option<Box<str>> {
    memmem::find(result, b"\"task\"")?;
    let Ok(object) = Object::parse(result, &[]) else { return Some(Box::default()) };
    let id = match object.get("task") {
        Some(task) if task.starts_with('{') => id_in(task),
        _ if object.string("resultType").as_deref() == Some("task") => {
            object.string("taskId").map(Into::into)
        }
        Some(_) | None => return None,
    };
    Some(id.filter(|id| id.len() <= MAX_ID_BYTES).unwrap_or_default())
}

struct Unreadable;

/// Returns the JSON text of a member; `null` is none.
fn member<'a>(object: &'a [u8], name: &str) -> Result<Option<&'a str>, Unreadable> {
    let object = Object::parse(object, &[name]).map_err(|_| Unreadable)?;
    Ok(object.get(name).filter(|value| *value != "null"))
}

fn id_in(task: &str) -> Option<Box<str>> {
    Object::parse(task.as_bytes(), &["taskId"]).ok()?.string("taskId").map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_task_or_none_or_is_unclear() {
        let check = |params: &str, expected: About| {
            assert_eq!(about(Some(&Bytes::from(params.to_owned()))), expected, "{params}");
        };
        assert_eq!(about(None), About::Anything);
        for params in ["{}", r#"{"_meta":null}"#, r#"{"_meta":{"a":1},"taskId":"T"}"#] {
            check(params, About::Anything);
        }
        check(&format!(r#"{{"_meta":{{"{RELATED_TASK}":{{"taskId":"T"}}}}}}"#), About::Task("T".into()));
        check(&format!(r#"{{"_meta":{{"{RELATED_TASK}":null}}}}"#), About::Anything);
        check(&format!(r#"{{"_meta":{{"{RELATED_TASK}":{{"taskId":7}}}}}}"#), About::Unclear);
        check(&format!(r#"{{"_meta":{{"{RELATED_TASK}":"T"}}}}"#), About::Unclear);
        for params in ["[]", r#"{"_meta":[]}"#, r#"{"_meta":{},"_meta":{}}"#, r#"{"_Meta":{}}"#] {
            check(params, About::Unclear);
        }
    }

    #[test]
    fn an_answer_is_a_task_or_final() {
        let check = |result: &str, expected: Option<&str>| {
            assert_eq!(started_by(&Bytes::from(result.to_owned())).as_deref(), expected, "{result}");
        };
        check(r#"{"task":{"taskId":"T","status":"working"}}"#, Some("T"));
        check(r#"{"resultType":"task","taskId":"T"}"#, Some("T"));
        check(r#"{"task":{"taskId":7}}"#, Some(""));
        check(r#"{"task":{"taskId":"T"},"task":1}"#, Some(""));
        check(r#"{"structuredContent":{"task":{"taskId":"T"}}}"#, None);
        check(r#"{"resultType":"complete","taskId":"T","task":7}"#, None);
        check(r#"{"taskId":"T","status":"working"}"#, None);
        check(&format!(r#"{{"task":{{"taskId":"{}"}}}}"#, "T".repeat(MAX_ID_BYTES + 1)), Some(""));
    }
}

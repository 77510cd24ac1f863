//! A list of tasks as its caller may see it: where callers have tokens, a server that all of them share tells each of
//! everybody's tasks, so that those of others are left out.

use bytes::Bytes;
use guardrails::Cleared;
use policy::Permit;
use protocol::{Edit, MethodRow, Object, splice};
use serde_json::value::RawValue;
use upstream::{CallError, Event, Payload};

use crate::{
    Proxy,
    admission::Admission,
    error::Failure,
    tasks::{Company, Tasks},
};

/// The method whose result is looked through.
const LIST: &str = "tasks/list";

/// What of a result the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// All that the server tells.
    Everything,
    /// Of a list of tasks, its own.
    OwnTasks,
}

impl Listed {
    /// Decides for a request. A caller who is the only one there is sees every task, also those that it did not start
    /// through this gateway.
    pub(super) fn of(proxy: &Proxy, admission: &Admission, row: &MethodRow) -> Self {
        let is_filtered = row.name == LIST && admission.company(&proxy.identity) == Company::Others;
        if is_filtered { Self::OwnTasks } else { Self::Everything }
    }
}

/// Returns the event with none but the caller's own tasks, if those are all that it sees.
///
/// # Errors
/// [`Failure`] when the list cannot be read.
pub(super) fn only(
    tasks: &Tasks,
    admission: &Admission,
    listed: Listed,
    permit: &Permit,
    event: Cleared<Event>,
) -> Result<Cleared<Event>, Failure> {
    let (server, owner) = (&permit.subject().server, admission.owner().key());
    let listed = match event.get() {
        Event::Result(Payload::Whole(result)) if listed == Listed::OwnTasks => {
            let is_own = |id: &str| tasks.is_own(&owner, server, id);
            filtered(result, is_own).ok_or_else(|| CallError::Protocol {
                server: server.clone(),
                what: "its list of tasks cannot be read".to_owned(),
            })?
        }
        _ => return Ok(event),
    };
    Ok(event.map(|_| Event::Result(Payload::Whole(listed))))
}

/// Leaves tasks out of a list; every other byte stays.
fn filtered(result: &Bytes, is_own: impl Fn(&str) -> bool) -> Option<Bytes> {
    let object = Object::parse(result, &["tasks"]).ok()?;
    let (text, at) = object.get("tasks").zip(object.span("tasks"))?;
    let tasks: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    let is_own = |task: &&&RawValue| {
        let id = Object::parse(task.get().as_bytes(), &[])
            .ok()
            .and_then(|task| Some(task.string("taskId")?.into_owned()));
        id.is_some_and(|id| is_own(&id))
    };
    let own: Vec<&str> = tasks.iter().filter(is_own).map(|task| task.get()).collect();
    let mut out = Vec::with_capacity(result.len());
    splice(&mut out, result, &[Edit { at, with: format!("[{}]", own.join(",")).as_bytes() }]);
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_tasks_are_left_out() {
        let listed = |text: &'static str| {
            let listed = filtered(&Bytes::from_static(text.as_bytes()), |id| id == "1");
            listed.map(|listed| String::from_utf8(listed.to_vec()).unwrap())
        };
        let all = r#"{ "tasks" : [{"taskId":"1", "x":1.0},{"taskId":"2"},{"taskId":3},7], "nextCursor":"n"}"#;
        assert_eq!(listed(all).unwrap(), r#"{ "tasks" : [{"taskId":"1", "x":1.0}], "nextCursor":"n"}"#);
        assert_eq!(listed(r#"{"tasks":[]}"#).unwrap(), r#"{"tasks":[]}"#);
        assert_eq!(listed(r#"{"tasks":{}}"#), None);
        assert_eq!(listed("{}"), None);
    }
}

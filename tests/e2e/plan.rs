//! What a foreign client is to do, and what it saw. Every driver takes the same plan and answers in the same shape,
//! with results as they stood on the wire, so that one check serves all clients.

use std::path::Path;

use serde_json::{Value, json};

use crate::environment::word;

/// Steps for a client, each with a label under which its outcome is found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(Vec<Value>);

/// What a client saw.
#[derive(Debug)]
pub(crate) struct Seen {
    plan: Plan,
    /// `protocol_version`, `server`, `capabilities`, one entry in `steps` per step of the plan, and `stderr`.
    report: Value,
}

/// What a client saw in one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a>(&'a Value);

// === impl Plan ===

impl Plan {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends the steps of another plan.
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }

    /// Lists `tools`, `resources`, `templates` or `prompts`, all pages; the label is the same word.
    pub(crate) fn list(self, what: &str) -> Self {
        self.step(what, json!({ "do": "list", "what": what }))
    }

    pub(crate) fn call(self, label: &str, tool: &str, arguments: Value) -> Self {
        self.step(label, json!({ "do": "call", "name": tool, "arguments": arguments }))
    }

    /// Calls a tool and asks for progress.
    pub(crate) fn watch(self, label: &str, tool: &str, arguments: Value) -> Self {
        self.step(label, json!({ "do": "call", "name": tool, "arguments": arguments, "progress": true }))
    }

    /// Calls a tool and gives the call up once it has reported progress.
    pub(crate) fn cancel(self, label: &str, tool: &str, arguments: Value) -> Self {
        self.step(label, json!({ "do": "cancel", "name": tool, "arguments": arguments }))
    }

    /// Calls a tool and gives the call up once it has reported progress or made a file.
    pub(crate) fn cancel_once(self, label: &str, tool: &str, arguments: Value, file: &Path) -> Self {
        self.step(
            label,
            json!({ "do": "cancel", "name": tool, "arguments": arguments, "once_file": word(file) }),
        )
    }

    /// Waits for a file while the connection stays open.
    pub(crate) fn await_file(self, label: &str, file: &Path) -> Self {
        self.step(label, json!({ "do": "await_file", "path": word(file) }))
    }

    /// Asks for log messages of this level and above, with this and all later calls.
    pub(crate) fn log_level(self, label: &str, level: &str) -> Self {
        self.step(label, json!({ "do": "log_level", "level": level }))
    }

    /// Wants to hear when a resource is updated and when the list of tools changes.
    pub(crate) fn listen(self, label: &str, uri: &str) -> Self {
        self.step(label, json!({ "do": "listen", "uri": uri }))
    }

    /// Waits for a number of notifications of one method, and takes all that have come.
    pub(crate) fn hear(self, label: &str, method: &str, count: usize) -> Self {
        self.step(label, json!({ "do": "hear", "method": method, "count": count }))
    }

    /// Lists whenever the server has said that the list changed, until an item with a name is there. A gateway that gets to
    /// know its servers may have said so before.
    pub(crate) fn find(self, what: &str, name: &str) -> Self {
        let method = format!("notifications/{what}/list_changed");
        self.step(what, json!({ "do": "find", "what": what, "name": name, "method": method, "count": 1 }))
    }

    /// Calls a tool without arguments until it answers with a text.
    pub(crate) fn repeat(self, label: &str, tool: &str, text: &str) -> Self {
        self.step(label, json!({ "do": "repeat", "name": tool, "text": text }))
    }

    pub(crate) fn read(self, label: &str, uri: &str) -> Self {
        self.step(label, json!({ "do": "read", "uri": uri }))
    }

    pub(crate) fn prompt(self, label: &str, name: &str, arguments: Value) -> Self {
        self.step(label, json!({ "do": "prompt", "name": name, "arguments": arguments }))
    }

    /// Returns the steps as the drivers take them.
    pub(crate) fn steps(&self) -> &[Value] {
        &self.0
    }

    fn step(mut self, label: &str, mut step: Value) -> Self {
        step["label"] = json!(label);
        self.0.push(step);
        self
    }
}

// === impl Seen ===

impl Seen {
    /// Joins a plan with the report of the driver that walked it.
    #[track_caller]
    pub(crate) fn new(plan: &Plan, report: Value) -> Self {
        let walked = report["steps"].as_array().map_or(0, Vec::len);
        assert_eq!(walked, plan.0.len(), "the driver did not walk the whole plan: {report:#}");
        Self { plan: plan.clone(), report }
    }

    /// Returns the revision that client and gateway agreed on; not every SDK tells.
    pub(crate) fn protocol_version(&self) -> Option<&str> {
        self.report["protocol_version"].as_str()
    }

    /// Returns what the client wrote to standard error, with what the gateway wrote if the client launched it.
    pub(crate) fn said(&self) -> &str {
        self.report["stderr"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn step(&self, label: &str) -> Outcome<'_> {
        let place = self.plan.0.iter().position(|step| step["label"] == label);
        Outcome(&self.report["steps"][place.unwrap_or_else(|| panic!("the plan has no step {label}"))])
    }

    /// Returns one member of every item of a listing, for example the names of all tools.
    #[track_caller]
    pub(crate) fn listed(&self, what: &str, member: &str) -> Vec<&str> {
        let result = self.step(what).result();
        let items = if what == "templates" { &result["resourceTemplates"] } else { &result[what] };
        let items = items.as_array().unwrap_or_else(|| panic!("no {what} in {result:#}"));
        items
            .iter()
            .map(|item| item[member].as_str().unwrap_or_else(|| panic!("no {member} in {item:#}")))
            .collect()
    }
}

// === impl Outcome ===

impl<'a> Outcome<'a> {
    /// Returns the result of the step, which must not have ended in an error of the protocol.
    #[track_caller]
    pub(crate) fn result(self) -> &'a Value {
        let result = self.0.get("result").filter(|result| !result.is_null());
        result.unwrap_or_else(|| panic!("no result: {:#}", self.0))
    }

    /// Returns all text of a tool's, a resource's or a prompt's answer.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        let result = self.result();
        let parts = ["content", "contents", "messages"].iter().find_map(|member| result[*member].as_array());
        let parts = parts.unwrap_or_else(|| panic!("no content in {result:#}"));
        let text = |part: &Value| {
            part["text"].as_str().or_else(|| part["content"]["text"].as_str()).map(str::to_owned)
        };
        parts.iter().filter_map(text).collect()
    }

    /// Returns the notifications that a step waited for.
    #[track_caller]
    pub(crate) fn news(self) -> &'a [Value] {
        self.result()["news"].as_array().unwrap_or_else(|| panic!("no news in {:#}", self.0))
    }

    /// Asserts that the tool answered, and that its answer is no failure.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_ne!(self.result()["isError"], true, "{:#}", self.0);
        self
    }

    /// Asserts that the tool answered that it failed.
    #[track_caller]
    pub(crate) fn failed(self) -> Self {
        assert_eq!(self.result()["isError"], true, "{:#}", self.0);
        self
    }

    /// Asserts that the client's call ended when it was given up, and not by an answer.
    #[track_caller]
    pub(crate) fn was_cancelled(self) {
        assert_eq!(self.result()["cancelled"], true, "{:#}", self.0);
    }

    /// Returns the progress that had arrived when the result did, lowest first, as it must have come.
    #[track_caller]
    pub(crate) fn progress_before_result(self) -> Vec<f64> {
        let events = self.0["progress"].as_array().map_or(&[][..], Vec::as_slice);
        let before = usize::try_from(self.0["finished_after"].as_u64().unwrap_or(0)).expect("few events");
        let values: Vec<f64> =
            events[..before].iter().filter_map(|event| event["progress"].as_f64()).collect();
        assert!(values.is_sorted(), "progress must grow: {:#}", self.0);
        values
    }
}

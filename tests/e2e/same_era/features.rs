//! What each client does with the server of `tests/fixtures`, and what it must have seen.

use serde_json::json;

use crate::plan::{Plan, Seen};

/// The resource that the client subscribes to.
const WATCHED: &str = "test://watched-resource";
/// What the server logs, in this order.
const LOGGED: [&str; 3] = ["Tool execution started", "Tool processing data", "Tool execution completed"];

/// One of the things that a client does; the table has a column for each.
pub(super) struct Feature {
    pub(super) name: &'static str,
    /// Returns the steps; tools are named with the prefix.
    pub(super) plan: fn(prefix: &str) -> Plan,
    /// Panics when something else was seen than should have been.
    pub(super) check: fn(&Seen, prefix: &str),
}

/// The columns of the table, in the order in which clients do these things.
pub(super) const FEATURES: [Feature; 9] = [
    Feature { name: "elicit", plan: elicit, check: elicited },
    Feature { name: "sample", plan: sample, check: sampled },
    Feature { name: "roots", plan: roots, check: rooted },
    Feature { name: "ask twice", plan: ask_twice, check: asked_twice },
    Feature { name: "progress", plan: progress, check: progressed },
    Feature { name: "logs", plan: logs, check: logged },
    Feature { name: "cancel", plan: cancel, check: cancelled },
    Feature { name: "update", plan: update, check: updated },
    Feature { name: "list change", plan: change, check: changed },
];

fn elicit(prefix: &str) -> Plan {
    Plan::new().call("elicit", &format!("{prefix}test_elicitation"), json!({ "message": "Who is it?" }))
}

fn elicited(seen: &Seen, _prefix: &str) {
    let text = seen.step("elicit").succeeded().text();
    assert_eq!(text, r#"User response: action=accept, content={"answer":"elicited"}"#);
}

fn sample(prefix: &str) -> Plan {
    Plan::new().call("sample", &format!("{prefix}test_sampling"), json!({ "prompt": "Say something" }))
}

fn sampled(seen: &Seen, _prefix: &str) {
    assert_eq!(seen.step("sample").succeeded().text(), "LLM response: sampled");
}

fn roots(prefix: &str) -> Plan {
    Plan::new().call("roots", &format!("{prefix}test_roots"), json!({}))
}

fn rooted(seen: &Seen, _prefix: &str) {
    let text = seen.step("roots").succeeded().text();
    assert!(text.contains("file:///rooted"), "{text}");
}

/// A modern server asks anew when it has the first answer, and knows by its state which one it is.
fn ask_twice(prefix: &str) -> Plan {
    Plan::new().call("ask twice", &format!("{prefix}test_input_required_result_multi_round"), json!({}))
}

fn asked_twice(seen: &Seen, _prefix: &str) {
    let text = seen.step("ask twice").succeeded().text();
    assert!(text.contains("step2") && text.contains("elicited"), "{text}");
}

fn progress(prefix: &str) -> Plan {
    Plan::new().watch("progress", &format!("{prefix}test_tool_with_progress"), json!({}))
}

fn progressed(seen: &Seen, _prefix: &str) {
    assert_eq!(seen.step("progress").succeeded().progress_before_result(), [0.0, 50.0, 100.0]);
}

fn logs(prefix: &str) -> Plan {
    Plan::new()
        .log_level("log level", "info")
        .call("logging", &format!("{prefix}test_tool_with_logging"), json!({}))
        .hear("logs", "notifications/message", LOGGED.len())
}

fn logged(seen: &Seen, _prefix: &str) {
    seen.step("logging").succeeded();
    let data: Vec<_> = seen.step("logs").news().iter().map(|message| &message["data"]).collect();
    assert_eq!(data, LOGGED);
}

fn cancel(prefix: &str) -> Plan {
    Plan::new().cancel("given up", &format!("{prefix}slow"), json!({})).repeat(
        "ended",
        &format!("{prefix}was_cancelled"),
        "1",
    )
}

fn cancelled(seen: &Seen, _prefix: &str) {
    seen.step("given up").was_cancelled();
    seen.step("ended").succeeded();
}

fn update(prefix: &str) -> Plan {
    Plan::new()
        .listen("subscribe", WATCHED)
        .call("touch", &format!("{prefix}touch"), json!({ "uri": WATCHED }))
        .hear("updated", "notifications/resources/updated", 1)
}

fn updated(seen: &Seen, _prefix: &str) {
    seen.step("touch").succeeded();
    let told: Vec<_> = seen.step("updated").news().iter().map(|news| &news["uri"]).collect();
    assert_eq!(told, [WATCHED]);
}

/// What was told when the gateway got to know its server is forgotten first: `hear` takes it.
fn change(prefix: &str) -> Plan {
    Plan::new()
        .hear("earlier", "notifications/tools/list_changed", 0)
        .call("grow", &format!("{prefix}grow"), json!({}))
        .find("tools", &format!("{prefix}grown_0"))
        .call("new tool", &format!("{prefix}grown_0"), json!({}))
}

fn changed(seen: &Seen, prefix: &str) {
    seen.step("grow").succeeded();
    let tools = seen.listed("tools", "name");
    assert!(tools.contains(&format!("{prefix}grown_0").as_str()), "the new tool is missing: {tools:?}");
    assert_eq!(seen.step("new tool").succeeded().text(), "I was added");
}

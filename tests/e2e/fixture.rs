//! What a client does with the fixture of `tests/servers` and must see: the same behind the gateway and without it.
//! Each client also does it without the gateway, so that a failure elsewhere is known to be the gateway's.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::driver::{Driver, Era};
use crate::foreign::{Fastmcp, Listening};
use crate::plan::{Plan, Seen};

/// Returns what every client can do.
pub(crate) fn plan(prefix: &str) -> Plan {
    let named = |name: &str| format!("{prefix}{name}");
    Plan::new()
        .list("tools")
        .call("echo", &named("echo"), json!({ "text": "grüße" }))
        .call("add", &named("add"), json!({ "a": 2, "b": 3 }))
        .call("fail", &named("fail"), json!({ "reason": "because" }))
        .list("resources")
        .list("templates")
        .read("greeting", "fixture://greeting")
        .read("greeting to", "fixture://greeting/Ada")
        .list("prompts")
        .prompt("greet", &named("greet"), json!({ "name": "Ada" }))
}

/// Returns what only clients do that can watch a call and give it up; `folder` is where a hanging tool leaves its marks.
pub(crate) fn following(folder: &Path, prefix: &str) -> Plan {
    let named = |name: &str| format!("{prefix}{name}");
    Plan::new()
        .watch("countdown", &named("countdown"), json!({ "steps": 3 }))
        .cancel_once("given up", &named("hang"), json!({ "folder": folder }), &folder.join("started"))
        .await_file("ended upstream", &folder.join("cancelled"))
        .call("afterwards", &named("echo"), json!({ "text": "still here" }))
}

/// Checks what came of [`plan`].
#[track_caller]
pub(crate) fn check(seen: &Seen, prefix: &str) {
    let named = |name: &str| format!("{prefix}{name}");
    let tools = seen.listed("tools", "name");
    for name in ["echo", "add", "fail", "countdown", "hang"] {
        assert!(tools.contains(&named(name).as_str()), "no {name} among {tools:?}");
    }
    assert_eq!(seen.step("echo").succeeded().text(), "grüße");
    assert_eq!(seen.step("add").succeeded().result()["structuredContent"]["result"], 5);
    assert_eq!(seen.step("fail").failed().text(), "because");
    assert_eq!(seen.listed("resources", "uri"), ["fixture://greeting"]);
    assert_eq!(seen.listed("templates", "uriTemplate"), ["fixture://greeting/{name}"]);
    assert_eq!(seen.step("greeting").text(), "hello from the fixture");
    assert_eq!(seen.step("greeting to").text(), "hello Ada");
    assert_eq!(seen.listed("prompts", "name"), [named("greet")]);
    assert_eq!(seen.step("greet").text(), "Please greet Ada.");
}

/// Checks what came of [`following`].
#[track_caller]
pub(crate) fn check_following(seen: &Seen) {
    assert!(!seen.step("countdown").succeeded().progress_before_result().is_empty(), "no progress came");
    seen.step("given up").was_cancelled();
    seen.step("ended upstream").result();
    assert_eq!(seen.step("afterwards").succeeded().text(), "still here");
}

#[track_caller]
fn check_without_gateway(driver: Driver, era: Era) {
    let server = Listening::fixture(Fastmcp::V4);
    let folder = TempDir::new().expect("a temp folder can be made");
    let mut steps = plan("");
    if driver.follows_calls() {
        steps = steps.and(following(folder.path(), ""));
    }
    let seen = driver.run(era, &server.target(), folder.path(), &steps);
    check(&seen, "");
    if driver.follows_calls() {
        check_following(&seen);
    }
}

#[test]
fn python_sdk_1_without_a_gateway() {
    check_without_gateway(Driver::PythonSdk1, Era::Legacy);
}

#[test]
fn python_sdk_2_without_a_gateway() {
    check_without_gateway(Driver::PythonSdk2, Era::Legacy);
    check_without_gateway(Driver::PythonSdk2, Era::Modern);
}

#[test]
fn fastmcp_3_without_a_gateway() {
    check_without_gateway(Driver::Fastmcp3, Era::Legacy);
}

#[test]
fn fastmcp_4_without_a_gateway() {
    check_without_gateway(Driver::Fastmcp4, Era::Legacy);
    check_without_gateway(Driver::Fastmcp4, Era::Modern);
}

#[test]
fn typescript_sdk_1_without_a_gateway() {
    check_without_gateway(Driver::TypescriptSdk1, Era::Legacy);
}

#[test]
fn typescript_sdk_2_without_a_gateway() {
    check_without_gateway(Driver::TypescriptSdk2, Era::Legacy);
    check_without_gateway(Driver::TypescriptSdk2, Era::Modern);
}

#[test]
fn inspector_without_a_gateway() {
    check_without_gateway(Driver::Inspector, Era::Legacy);
    check_without_gateway(Driver::Inspector, Era::Modern);
}

#[test]
fn rmcp_without_a_gateway() {
    check_without_gateway(Driver::Rmcp, Era::Legacy);
    check_without_gateway(Driver::Rmcp, Era::Modern);
}

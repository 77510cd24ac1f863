//! Foreign clients against the gateway's demo, over HTTP and as the child of the client: each does the same things.
//! Names of the demo's tools come qualified on `/mcp` and over stdio, plain on `/mcp/demo`.

use serde_json::json;

use crate::driver::{Driver, Era, Target};
use crate::gateway::Place;
use crate::plan::{Plan, Seen};

/// Runs the client against a gateway that listens.
#[track_caller]
fn over_http(driver: Driver, era: Era) {
    let place = Place::unconfigured();
    let gateway = place.serve();
    check(driver, era, &gateway.all(), &place, "demo__");
}

/// Lets the client launch the gateway.
#[track_caller]
fn over_stdio(driver: Driver, era: Era) {
    let place = Place::unconfigured().saying(&["--exposure", "direct"]);
    check(driver, era, &place.stdio(), &place, "demo__");
}

#[track_caller]
fn check(driver: Driver, era: Era, target: &Target, place: &Place, prefix: &str) {
    let seen = driver.run(era, target, place.folder(), &plan(driver, prefix));
    if let Some(version) = seen.protocol_version() {
        assert_eq!(version, era.expected_version());
    }
    check_simple_steps(&seen, prefix);
    if driver.follows_calls() {
        assert!(!seen.step("countdown").succeeded().progress_before_result().is_empty(), "no progress came");
        seen.step("given up").was_cancelled();
        assert_eq!(seen.step("afterwards").succeeded().text(), "still here");
        // The Inspector connects anew for each step, over stdio to a gateway without this note.
        assert_eq!(seen.step("read").succeeded().text(), "milk");
    }
}

fn plan(driver: Driver, prefix: &str) -> Plan {
    let tool = |name: &str| format!("{prefix}{name}");
    let plan = Plan::new()
        .list("tools")
        .call("echo", &tool("echo"), json!({ "text": "grüße" }))
        .call("add", &tool("add"), json!({ "a": 2, "b": 3 }))
        .call("write", &tool("note_write"), json!({ "name": "shopping", "text": "milk" }))
        .call("read", &tool("note_read"), json!({ "name": "shopping" }))
        .call("missing", &tool("note_read"), json!({ "name": "no such note" }))
        .call("fail", &tool("fail"), json!({}))
        .list("resources")
        .list("templates")
        .read("welcome", "note://welcome")
        .list("prompts")
        .prompt("greeting", &tool("greet"), json!({ "name": "Ada" }));
    if !driver.follows_calls() {
        return plan;
    }
    plan.watch("countdown", &tool("countdown"), json!({ "from": 3, "interval_ms": 50 }))
        .cancel("given up", &tool("countdown"), json!({ "from": 50, "interval_ms": 1000 }))
        .call("afterwards", &tool("echo"), json!({ "text": "still here" }))
}

#[track_caller]
fn check_simple_steps(seen: &Seen, prefix: &str) {
    let tools = seen.listed("tools", "name");
    for name in ["echo", "add", "note_write", "note_read", "countdown", "slow"] {
        assert!(tools.contains(&format!("{prefix}{name}").as_str()), "no {name} among {tools:?}");
    }
    assert_eq!(seen.step("echo").succeeded().text(), "grüße");
    assert_eq!(seen.step("add").succeeded().text(), "5");
    seen.step("write").succeeded();
    seen.step("missing").failed();
    seen.step("fail").failed();
    assert_eq!(seen.listed("resources", "uri"), ["note://welcome"]);
    assert_eq!(seen.listed("templates", "uriTemplate"), ["note://{name}"]);
    assert!(seen.step("welcome").text().contains("Toolgate is running"));
    assert_eq!(seen.listed("prompts", "name"), [format!("{prefix}greet")]);
    assert!(seen.step("greeting").text().contains("Ada"));
}

#[test]
fn python_sdk_1_over_http() {
    over_http(Driver::PythonSdk1, Era::Legacy);
}

#[test]
fn python_sdk_1_over_stdio() {
    over_stdio(Driver::PythonSdk1, Era::Legacy);
}

#[test]
fn python_sdk_2_legacy_over_http() {
    over_http(Driver::PythonSdk2, Era::Legacy);
}

#[test]
fn python_sdk_2_legacy_over_stdio() {
    over_stdio(Driver::PythonSdk2, Era::Legacy);
}

#[test]
fn python_sdk_2_auto_over_http() {
    over_http(Driver::PythonSdk2, Era::Auto);
}

#[test]
fn python_sdk_2_auto_over_stdio() {
    over_stdio(Driver::PythonSdk2, Era::Auto);
}

#[test]
fn python_sdk_2_modern_over_http() {
    over_http(Driver::PythonSdk2, Era::Modern);
}

#[test]
fn python_sdk_2_modern_over_stdio() {
    over_stdio(Driver::PythonSdk2, Era::Modern);
}

#[test]
fn fastmcp_3_over_http() {
    over_http(Driver::Fastmcp3, Era::Legacy);
}

#[test]
fn fastmcp_3_over_stdio() {
    over_stdio(Driver::Fastmcp3, Era::Legacy);
}

#[test]
fn fastmcp_4_legacy_over_http() {
    over_http(Driver::Fastmcp4, Era::Legacy);
}

#[test]
fn fastmcp_4_legacy_over_stdio() {
    over_stdio(Driver::Fastmcp4, Era::Legacy);
}

#[test]
fn fastmcp_4_auto_over_http() {
    over_http(Driver::Fastmcp4, Era::Auto);
}

#[test]
fn fastmcp_4_auto_over_stdio() {
    over_stdio(Driver::Fastmcp4, Era::Auto);
}

#[test]
fn typescript_sdk_1_over_http() {
    over_http(Driver::TypescriptSdk1, Era::Legacy);
}

#[test]
fn typescript_sdk_1_over_stdio() {
    over_stdio(Driver::TypescriptSdk1, Era::Legacy);
}

#[test]
fn typescript_sdk_2_legacy_over_http() {
    over_http(Driver::TypescriptSdk2, Era::Legacy);
}

#[test]
fn typescript_sdk_2_legacy_over_stdio() {
    over_stdio(Driver::TypescriptSdk2, Era::Legacy);
}

#[test]
fn typescript_sdk_2_auto_over_http() {
    over_http(Driver::TypescriptSdk2, Era::Auto);
}

#[test]
fn typescript_sdk_2_auto_over_stdio() {
    over_stdio(Driver::TypescriptSdk2, Era::Auto);
}

#[test]
fn typescript_sdk_2_modern_over_http() {
    over_http(Driver::TypescriptSdk2, Era::Modern);
}

#[test]
fn typescript_sdk_2_modern_over_stdio() {
    over_stdio(Driver::TypescriptSdk2, Era::Modern);
}

#[test]
fn inspector_legacy_over_http() {
    over_http(Driver::Inspector, Era::Legacy);
}

#[test]
fn inspector_modern_over_http() {
    over_http(Driver::Inspector, Era::Modern);
}

#[test]
fn inspector_legacy_over_stdio() {
    over_stdio(Driver::Inspector, Era::Legacy);
}

#[test]
fn inspector_modern_over_stdio() {
    over_stdio(Driver::Inspector, Era::Modern);
}

#[test]
fn rmcp_legacy_over_http() {
    over_http(Driver::Rmcp, Era::Legacy);
}

#[test]
fn rmcp_legacy_over_stdio() {
    over_stdio(Driver::Rmcp, Era::Legacy);
}

#[test]
fn rmcp_auto_over_http() {
    over_http(Driver::Rmcp, Era::Auto);
}

#[test]
fn rmcp_auto_over_stdio() {
    over_stdio(Driver::Rmcp, Era::Auto);
}

#[test]
fn one_server_alone_has_its_own_names() {
    let place = Place::unconfigured();
    let gateway = place.serve();
    for (driver, era) in [(Driver::TypescriptSdk1, Era::Legacy), (Driver::TypescriptSdk2, Era::Auto)] {
        check(driver, era, &gateway.only("demo"), &place, "");
    }
}

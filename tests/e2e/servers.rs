//! Foreign servers behind the gateway: their tools, resources and prompts come through, progress comes before the result,
//! and a call that the client gives up ends at the server. The client is one that other tests have proved.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::driver::{Driver, Era};
use crate::fixture;
use crate::foreign::{self, Fastmcp, Listening};
use crate::gateway::Place;
use crate::plan::{Plan, Seen};
use crate::process::run;

/// Serves these servers and walks the plan with a modern client over HTTP.
#[track_caller]
fn through_gateway(servers: &Value, plan: &Plan) -> Seen {
    let place = Place::with_servers(servers);
    let gateway = place.serve();
    Driver::TypescriptSdk2.run(Era::Auto, &gateway.all(), place.folder(), plan)
}

#[track_caller]
fn assert_tools(seen: &Seen, expected: &[&str]) {
    let tools = seen.listed("tools", "name");
    for name in expected {
        assert!(tools.contains(name), "no {name} among {tools:?}");
    }
}

fn scratch() -> TempDir {
    TempDir::new().expect("a temp folder can be made")
}

#[test]
fn everything_over_stdio() {
    check_everything(&foreign::everything());
}

#[test]
fn everything_over_http() {
    let server = Listening::everything();
    check_everything(&server.entry());
}

#[track_caller]
fn check_everything(entry: &Value) {
    let document = "demo://resource/static/document/architecture.md";
    let plan = Plan::new()
        .list("tools")
        .call("echo", "all__echo", json!({ "message": "hi" }))
        .call("sum", "all__get-sum", json!({ "a": 2, "b": 3 }))
        .call("structured", "all__get-structured-content", json!({ "location": "New York" }))
        .watch("long", "all__trigger-long-running-operation", json!({ "duration": 0.6, "steps": 3 }))
        .list("resources")
        .list("templates")
        .read("document", document)
        .read("dynamic", "demo://resource/dynamic/text/1")
        .list("prompts")
        .prompt("simple", "all__simple-prompt", json!({}))
        .prompt("with arguments", "all__args-prompt", json!({ "city": "Oslo" }));
    let seen = through_gateway(&json!({ "all": entry }), &plan);
    assert_tools(
        &seen,
        &["all__echo", "all__get-sum", "all__trigger-long-running-operation", "all__get-tiny-image"],
    );
    assert_eq!(seen.step("echo").succeeded().text(), "Echo: hi");
    assert_eq!(seen.step("sum").succeeded().text(), "The sum of 2 and 3 is 5.");
    assert!(seen.step("structured").succeeded().result()["structuredContent"].is_object());
    assert!(!seen.step("long").succeeded().progress_before_result().is_empty(), "no progress came");
    assert!(seen.listed("resources", "uri").contains(&document));
    assert!(seen.listed("templates", "uriTemplate").contains(&"demo://resource/dynamic/text/{resourceId}"));
    assert!(seen.step("document").text().contains("Architecture"));
    assert!(!seen.step("dynamic").text().is_empty());
    assert!(seen.listed("prompts", "name").contains(&"all__simple-prompt"));
    assert!(seen.step("simple").text().contains("simple prompt"));
    assert!(seen.step("with arguments").text().contains("Oslo"));
}

#[test]
fn filesystem() {
    let folder = scratch();
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a temp folder can be written");
    let folder_path = folder.path().canonicalize().expect("the folder is there");
    let file = |name: &str| json!({ "path": folder_path.join(name) });
    let plan = Plan::new()
        .list("tools")
        .call("read", "files__read_text_file", file("hello.txt"))
        .call("list", "files__list_directory", file(""))
        .call("outside", "files__read_text_file", json!({ "path": "/etc/hostname" }));
    let seen = through_gateway(&json!({ "files": foreign::filesystem(&folder_path) }), &plan);
    assert_tools(&seen, &["files__read_text_file", "files__write_file", "files__directory_tree"]);
    assert_eq!(seen.step("read").succeeded().text(), "hello\n");
    assert!(seen.step("list").succeeded().text().contains("hello.txt"));
    assert!(seen.step("outside").failed().text().contains("denied"));
}

#[test]
fn memory() {
    let folder = scratch();
    let entity = json!({ "name": "Ada", "entityType": "person", "observations": ["likes numbers"] });
    let plan = Plan::new()
        .list("tools")
        .call("create", "memory__create_entities", json!({ "entities": [entity] }))
        .call("read", "memory__read_graph", json!({}));
    let seen =
        through_gateway(&json!({ "memory": foreign::memory(&folder.path().join("graph.jsonl")) }), &plan);
    assert_tools(&seen, &["memory__create_entities", "memory__read_graph", "memory__search_nodes"]);
    seen.step("create").succeeded();
    assert_eq!(seen.step("read").succeeded().result()["structuredContent"]["entities"][0], entity);
}

#[test]
fn git() {
    let folder = scratch();
    let repository = folder.path().canonicalize().expect("the folder is there");
    make_repository(&repository);
    let arguments = json!({ "repo_path": repository });
    let plan = Plan::new()
        .list("tools")
        .call("log", "git__git_log", arguments.clone())
        .call("status", "git__git_status", arguments)
        .call("elsewhere", "git__git_status", json!({ "repo_path": "/" }));
    let seen = through_gateway(&json!({ "git": foreign::git(&repository) }), &plan);
    assert_tools(&seen, &["git__git_log", "git__git_status", "git__git_commit"]);
    assert!(seen.step("log").succeeded().text().contains("the first commit"));
    assert!(seen.step("status").succeeded().text().contains("clean"));
    seen.step("elsewhere").failed();
}

fn make_repository(folder: &Path) {
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"];
        let mut command = Command::new("git");
        let ended = run(command.args(identity).args(arguments).current_dir(folder), Duration::from_secs(20));
        assert!(ended.status.success(), "{ended}");
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "the first commit"]);
}

#[test]
fn time() {
    let conversion =
        json!({ "source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo" });
    let plan = Plan::new()
        .list("tools")
        .call("now", "time__get_current_time", json!({ "timezone": "Asia/Tokyo" }))
        .call("convert", "time__convert_time", conversion)
        .call("nowhere", "time__get_current_time", json!({ "timezone": "Nowhere/None" }));
    let seen = through_gateway(&json!({ "time": foreign::time() }), &plan);
    assert_tools(&seen, &["time__get_current_time", "time__convert_time"]);
    assert!(seen.step("now").succeeded().text().contains("Asia/Tokyo"));
    assert!(seen.step("convert").succeeded().text().contains("+09:00"));
    seen.step("nowhere").failed();
}

#[test]
fn several_servers_at_once() {
    let folder = scratch();
    let servers = json!({
        "all": foreign::everything(),
        "files": foreign::filesystem(&folder.path().canonicalize().expect("the folder is there")),
        "memory": foreign::memory(&folder.path().join("graph.jsonl")),
        "time": foreign::time(),
        "new": foreign::fixture(Fastmcp::V4),
    });
    let plan = Plan::new()
        .list("tools")
        .call("all", "all__echo", json!({ "message": "hi" }))
        .call("files", "files__list_allowed_directories", json!({}))
        .call("memory", "memory__read_graph", json!({}))
        .call("time", "time__get_current_time", json!({ "timezone": "Asia/Tokyo" }))
        .call("new", "new__add", json!({ "a": 2, "b": 3 }));
    let seen = through_gateway(&servers, &plan);
    assert_tools(
        &seen,
        &["all__echo", "files__read_text_file", "memory__read_graph", "time__convert_time", "new__echo"],
    );
    for server in ["all", "files", "memory", "time", "new"] {
        seen.step(server).succeeded();
    }
}

/// Everything the gateway passes through, with a server on fastmcp and a client of either era.
#[track_caller]
fn check_fixture(entry: &Value, era: Era) {
    let folder = scratch();
    let place = Place::with_servers(&json!({ "fixture": entry }));
    let gateway = place.serve();
    let plan = fixture::plan("fixture__").and(fixture::following(folder.path(), "fixture__"));
    let seen = Driver::PythonSdk2.run(era, &gateway.all(), place.folder(), &plan);
    fixture::check(&seen, "fixture__");
    fixture::check_following(&seen);
    assert_eq!(seen.step("countdown").progress_before_result(), [1.0, 2.0, 3.0]);
}

#[test]
fn fastmcp_3_over_stdio_for_a_legacy_client() {
    check_fixture(&foreign::fixture(Fastmcp::V3), Era::Legacy);
}

#[test]
fn fastmcp_3_over_stdio_for_a_modern_client() {
    check_fixture(&foreign::fixture(Fastmcp::V3), Era::Auto);
}

#[test]
fn fastmcp_3_over_http_for_a_legacy_client() {
    let server = Listening::fixture(Fastmcp::V3);
    check_fixture(&server.entry(), Era::Legacy);
}

#[test]
fn fastmcp_3_over_http_for_a_modern_client() {
    let server = Listening::fixture(Fastmcp::V3);
    check_fixture(&server.entry(), Era::Auto);
}

#[test]
fn fastmcp_4_over_stdio_for_a_legacy_client() {
    check_fixture(&foreign::fixture(Fastmcp::V4), Era::Legacy);
}

#[test]
fn fastmcp_4_over_stdio_for_a_modern_client() {
    check_fixture(&foreign::fixture(Fastmcp::V4), Era::Auto);
}

#[test]
fn fastmcp_4_over_http_for_a_legacy_client() {
    let server = Listening::fixture(Fastmcp::V4);
    check_fixture(&server.entry(), Era::Legacy);
}

#[test]
fn fastmcp_4_over_http_for_a_modern_client() {
    let server = Listening::fixture(Fastmcp::V4);
    check_fixture(&server.entry(), Era::Auto);
}

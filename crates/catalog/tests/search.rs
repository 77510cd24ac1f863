//! What search promises whatever the tools are: updates in place, the filter, misspelled words, any text at all.

use bytes::Bytes;
use catalog::{Listing, SearchIndex};
use domain::{ServerId, ToolName};
use proptest::prelude::*;
use protocol::Version;
use serde_json::{Value, json};

fn server(name: &str) -> ServerId {
    ServerId::new(name).expect("a sound name")
}

fn listing(tools: impl IntoIterator<Item = Value>) -> Listing {
    let mut listing = Listing::empty(Version::LATEST_MODERN, Bytes::from_static(b"{}"));
    listing.tools = tools.into_iter().map(|tool| Bytes::from(tool.to_string())).collect();
    listing
}

fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description})
}

/// Three servers as there may be.
fn servers() -> SearchIndex {
    let mut index = SearchIndex::default();
    let code = [
        tool("create_pull_request", "Open a pull request from one branch to another"),
        tool("list_pull_requests", "List the pull requests of a repository"),
        tool("delete_branch", "Delete a branch of a repository"),
        tool("search_code", "Search the code of all repositories"),
    ];
    let files = [
        tool("read_file", "Read the whole text of a file"),
        tool("write_file", "Write text to a file, new or not"),
        tool("listDirectory", "Show what a folder holds"),
    ];
    let queue = [
        tool("purge_queue", "Remove all messages of a RabbitMQ queue"),
        tool("list_queues", "List all queues"),
    ];
    index.update(&server("code-hub"), &listing(code));
    index.update(&server("files"), &listing(files));
    index.update(&server("rabbitmq"), &listing(queue));
    index
}

fn names(index: &SearchIndex, query: &str) -> Vec<String> {
    index.search(query, 10, |_, _| true).into_iter().map(|hit| hit.tool.to_string()).collect()
}

#[test]
fn tools_are_found_by_what_they_are_for() {
    let index = servers();
    let cases = [
        ("open a pull request", "create_pull_request"),
        ("please could you remove the branch", "delete_branch"),
        ("pullrequest list", "list_pull_requests"),
        ("craete a pul reqest", "create_pull_request"),
        ("direcotry", "listDirectory"),
        ("what is in this folder", "listDirectory"),
        ("empty the rabbit queue", "purge_queue"),
        ("read ~/notes/todo.txt", "read_file"),
        ("PURGE QUEUE", "purge_queue"),
    ];
    for (query, expected) in cases {
        assert_eq!(names(&index, query).first().map(String::as_str), Some(expected), "{query}");
    }
}

#[test]
fn scores_fall_and_tell_how_much_fits() {
    let index = servers();
    let hits = index.search("delete a branch of the repository", 10, |_, _| true);
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
    let strange = index.search("delete the galaxy of purple unicorn marmalade", 10, |_, _| true);
    assert!(strange[0].score < hits[0].score / 2.0, "{strange:?} {hits:?}");
    assert_eq!(index.search("qqqq zzzz", 10, |_, _| true), []);
    assert_eq!(index.search("", 10, |_, _| true), []);
}

#[test]
fn equal_tools_stand_in_the_order_of_their_names() {
    let mut index = SearchIndex::default();
    for name in ["c", "a", "b"] {
        index.update(&server(name), &listing([tool("ping_y", "Ping"), tool("ping_x", "Ping")]));
    }
    let hits = index.search("ping", 10, |_, _| true);
    let order: Vec<String> = hits.iter().map(|hit| format!("{}.{}", hit.server, hit.tool)).collect();
    assert_eq!(order, ["a.ping_x", "a.ping_y", "b.ping_x", "b.ping_y", "c.ping_x", "c.ping_y"]);
}

#[test]
fn what_the_filter_hides_is_not_found_and_takes_no_place() {
    let index = servers();
    let sees = |_: &ServerId, tool: &ToolName| tool.as_str() != "create_pull_request";
    let hits = index.search("pull request", 1, sees);
    assert_eq!(hits[0].tool.as_str(), "list_pull_requests");
    assert_eq!(index.search("pull request", 10, |_, _| false), []);
    assert_eq!(index.search("pull request", 0, |_, _| panic!("nothing is looked for")), []);
}

#[test]
fn a_caller_of_one_server_among_many_finds_its_tools() {
    let mut index = servers();
    for number in 0..300 {
        index.update(&server(&format!("s{number}")), &listing([tool("read_file", "Read a file")]));
    }
    let hits = index.search("read a file", 3, |server, _| server.as_str() == "files");
    assert!(hits.iter().any(|hit| hit.tool.as_str() == "read_file"), "{hits:?}");
    assert!(hits.iter().all(|hit| hit.server.as_str() == "files"));
}

#[test]
fn a_removed_server_is_forgotten() {
    let mut index = servers();
    assert_eq!(index.tools(), 9);
    index.remove(&server("code-hub"));
    index.remove(&server("unknown"));
    assert_eq!((index.tools(), names(&index, "branch request")), (5, Vec::new()));
    index.update(&server("files"), &listing([]));
    index.remove(&server("rabbitmq"));
    assert_eq!((index.tools(), names(&index, "file queue")), (0, Vec::new()));
}

#[test]
fn what_is_no_tool_is_left_out() {
    let mut index = SearchIndex::default();
    let mut odd = listing([json!({"name": ""}), json!({"name": 7}), json!([]), tool("ping", "Ping")]);
    odd.tools.push(Bytes::from_static(b"{not json"));
    odd.tools.push(Bytes::from(tool("ping", "Twice").to_string()));
    index.update(&server("odd"), &odd);
    assert_eq!((index.tools(), names(&index, "twice")), (1, Vec::new()));
}

#[test]
fn an_endless_description_takes_bounded_memory() {
    let mut index = SearchIndex::default();
    let words: Vec<String> = (0..50_000).map(|number| format!("w{number}x")).collect();
    let properties: Value = words
        .iter()
        .map(|word| (word.clone(), json!({"description": words.join(" ")})))
        .take(2_000)
        .collect::<serde_json::Map<_, _>>()
        .into();
    let tool =
        json!({"name": "t", "description": words.join(" "), "inputSchema": {"properties": properties}});
    index.update(&server("s"), &listing([tool]));
    assert!(index.memory_bytes() < 128 * 1024, "{}", index.memory_bytes());
}

fn any_tool() -> impl Strategy<Value = Value> {
    let word =
        prop_oneof![Just("list"), Just("files"), Just("queue"), Just("delete"), Just("readAll"), Just("é")];
    let text = prop_oneof![prop::collection::vec(word, 0..6).prop_map(|words| words.join(" ")), ".{0,40}",];
    (text.clone(), text.clone(), text).prop_map(|(name, description, parameter)| {
        let properties = json!({parameter.clone(): {"description": parameter, "enum": ["on", 1]}});
        json!({"name": name, "description": description, "inputSchema": {"properties": properties}})
    })
}

fn any_servers() -> impl Strategy<Value = Vec<(String, Vec<Value>)>> {
    let name = prop_oneof![Just("a"), Just("b"), Just("files"), Just("gitHub-mcp")].prop_map(str::to_owned);
    prop::collection::vec((name, prop::collection::vec(any_tool(), 0..5)), 0..12)
}

proptest! {
    #[test]
    fn an_index_that_was_changed_equals_one_that_was_built(changes in any_servers(), query in "(list|delete|queue|fil|reed|all| ){1,5}") {
        let mut changed = SearchIndex::default();
        let mut last = std::collections::BTreeMap::new();
        for (name, tools) in changes {
            changed.update(&server(&name), &listing(tools.clone()));
            last.insert(name, tools);
        }
        let mut built = SearchIndex::default();
        for (name, tools) in last {
            built.update(&server(&name), &listing(tools));
        }
        prop_assert_eq!(changed.tools(), built.tools());
        prop_assert_eq!(changed.search(&query, 50, |_, _| true), built.search(&query, 50, |_, _| true));
    }

    #[test]
    fn any_text_is_a_query(text in ".{0,200}", long in "(\\PC| |\"|/){0,2000}") {
        let index = servers();
        for query in [text, long] {
            let hits = index.search(&query, 3, |_, _| true);
            prop_assert!(hits.len() <= 3);
            prop_assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
        }
    }
}

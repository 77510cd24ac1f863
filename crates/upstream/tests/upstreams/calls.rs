//! Calls that go well, and callers that go away.

use protocol::Version;
use serde_json::json;
use upstream::{Event, Payload};

use crate::stage::{Test, call_on, finish, open, with_stub};

pub(crate) const TESTS: &[Test] = &[
    ("a_call_reaches_a_child_and_comes_back", a_call_reaches_a_child_and_comes_back),
    ("line_ends_in_parameters_stay_out_of_the_framing", line_ends_in_parameters_stay_out_of_the_framing),
    ("large_messages_pass_both_ways_at_once", large_messages_pass_both_ways_at_once),
    ("a_result_keeps_its_bytes", a_result_keeps_its_bytes),
    ("a_caller_that_reads_slowly_keeps_the_newest_progress", slow_readers_keep_the_newest_progress),
    ("progress_comes_first_and_under_the_clients_token", progress_comes_first_and_under_the_clients_token),
];

fn a_call_reaches_a_child_and_comes_back() {
    with_stub(&[], async |stage| {
        let arguments = json!({"text": "hällo", "number": 1.50});
        assert_eq!(stage.call("echo", arguments.clone()).await.unwrap(), arguments);
        let refused = stage.call("nosuch", json!({})).await.unwrap();
        assert_eq!(refused["error"]["code"], -32602);
        assert_eq!(stage.call("depth", json!({})).await.unwrap(), json!({"depth": "1"}));
    });
}

fn line_ends_in_parameters_stay_out_of_the_framing() {
    with_stub(&[], async |stage| {
        let params = "{\r\n\"name\":\n\"echo\",\"arguments\":{\n\"a\":\"x\\ny\"\r}}".to_owned();
        let reply =
            call_on(&stage.upstreams, "a", ("stub", "echo"), params, Version::V2025_11_25).await.unwrap();
        assert_eq!(finish(reply).await.unwrap().1, json!({"a": "x\ny"}));
    });
}

fn progress_comes_first_and_under_the_clients_token() {
    with_stub(&[], async |stage| {
        for token in [json!("mine"), json!(7), json!("7")] {
            let params = json!({"name": "count", "_meta": {"progressToken": token}});
            let (progress, last) = finish(stage.start("stub", "count", params).await.unwrap()).await.unwrap();
            let expected =
                [1, 2, 3].map(|step| json!({"vendor": 1.50, "progressToken": token, "progress": step}));
            assert_eq!((progress, last), (expected.to_vec(), json!({"done": true})));
        }
    });
}

fn large_messages_pass_both_ways_at_once() {
    with_stub(&[], async |stage| {
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..8 {
            let upstreams = stage.upstreams.clone();
            callers.spawn(async move {
                let arguments = json!({"caller": caller, "text": "y".repeat(300_000 * (caller + 1))});
                let params = json!({"name": "echo", "arguments": arguments}).to_string();
                let reply = call_on(&upstreams, "a", ("stub", "echo"), params, Version::V2025_11_25).await;
                assert_eq!(finish(reply.unwrap()).await.unwrap().1, arguments);
            });
        }
        callers.join_all().await;
    });
}

fn a_result_keeps_its_bytes() {
    let filler = "z".repeat(1 << 20);
    let odd = format!(r#"{{ "z":1.00e+02,"a" :-0,"vendor/x":{{"b":[ ],"b":"\u0041\/"}},"fill":"{filler}"}}"#);
    with_stub(&[], async |stage| {
        let params = json!({"name": "verbatim", "arguments": {"json": odd}});
        let mut reply = stage.start("stub", "verbatim", params).await.unwrap();
        let Event::Result(Payload::Whole(result)) = open(reply.next().await.unwrap()) else {
            panic!("no result")
        };
        assert!(result == odd, "the bytes differ");
    });
}

fn slow_readers_keep_the_newest_progress() {
    with_stub(&[], async |stage| {
        let params = json!({"name": "chatter", "arguments": {"steps": 1000}, "_meta": {"progressToken": 1}});
        let reply = stage.start("stub", "chatter", params).await.unwrap();
        // By the answer to this call all progress of the other has arrived.
        stage.call("echo", json!({})).await.unwrap();
        let (progress, _) = finish(reply).await.unwrap();
        assert_eq!(progress.len(), 256);
        assert_eq!(progress.last().unwrap()["progress"], 1000);
        assert_eq!(stage.state("stub").counters.dropped_notifications, 1000 - 256 + 3);
    });
}

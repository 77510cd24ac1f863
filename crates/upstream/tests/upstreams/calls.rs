//! Calls that go well, and callers that go away.

use protocol::Version;
use serde_json::json;

use crate::stage::{Test, call_on, finish, with_stub};

pub(crate) const TESTS: &[Test] = &[
    ("a_call_reaches_a_child_and_comes_back", a_call_reaches_a_child_and_comes_back),
    ("line_ends_in_parameters_stay_out_of_the_framing", line_ends_in_parameters_stay_out_of_the_framing),
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

//! Children that write what they should not (R06, R14): everything bad is dropped and counted, every good answer
//! arrives, and no call gets two.

use serde_json::{Value, json};
use upstream::{CallError, Health};

use crate::stage::{Stage, Test, finish, stub_config, with_settings, with_stub};

pub(crate) const TESTS: &[Test] = &[
    ("r06_garbage_between_200_calls_harms_none", r06_garbage_between_200_calls_harms_none),
    ("r06_a_line_without_end_ends_the_child", r06_a_line_without_end_ends_the_child),
    ("r06_two_answers_on_one_line_are_both_delivered", r06_two_answers_on_one_line_are_both_delivered),
    ("r14_a_repeated_answer_is_counted", r14_a_repeated_answer_is_counted),
    ("r14_a_late_answer_is_counted", r14_a_late_answer_is_counted),
    ("r14_answers_to_ids_of_every_kind_go_nowhere", r14_answers_to_ids_of_every_kind_go_nowhere),
    ("a_deaf_child_is_not_fed_for_ever", a_deaf_child_is_not_fed_for_ever),
    ("deep_nesting_and_doubled_members_are_garbage", deep_nesting_and_doubled_members_are_garbage),
];

/// Lines of garbage, each with its end.
const GARBAGE: [&[u8]; 9] = [
    b"Server listening on stdio\n",
    b"{\"jsonrpc\":\"2.0\",\"id\":1,\"resu\n",
    b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\xfe\",\"result\":{}}\n",
    b"\0\0\0\n",
    b"\xef\xbb\xbfhello\r\n",
    b"[1,2,3]\n",
    b"null\n",
    b"{\"id\":1}\n",
    b"\n\r\n  \n",
];

async fn say(stage: &Stage, raw: &[u8]) {
    assert_eq!(stage.call("say", json!({"raw": raw})).await.unwrap(), json!({"said": true}));
}

fn r06_garbage_between_200_calls_harms_none() {
    with_stub(&[], async |stage| {
        for call in 0..200 {
            let garbage = say(stage, GARBAGE[call % GARBAGE.len()]);
            let echo = async { stage.call("echo", json!({"call": call})).await.unwrap() };
            let (_, echoed) = tokio::join!(garbage, echo);
            assert_eq!(echoed, json!({"call": call}));
        }
        let state = stage.state("stub");
        assert_eq!(state.health, Health::Ready);
        // Blank lines are no garbage.
        assert_eq!(state.counters.garbage, (0..200).filter(|call| call % GARBAGE.len() != 8).count() as u64);
        assert_eq!(state.findings.len(), 3, "{:?}", state.findings);
        assert!(state.findings[0].contains("Server listening on stdio"));
    });
}

fn r06_a_line_without_end_ends_the_child() {
    with_settings(
        |settings| settings.line_bytes = 1 << 20,
        async |stage| {
            stage.apply(&[("stub", stub_config(&[]))]);
            stage.listed("stub").await;
            let lost = stage.call("flood", json!({"mib": 50})).await.unwrap_err();
            let CallError::Lost { reason, .. } = &lost else { panic!("{lost:?}") };
            assert_eq!(reason, "it wrote a line of more than 1048576 bytes");
            stage.listed("stub").await;
            assert_eq!(stage.call("echo", json!({})).await.unwrap(), json!({}));
        },
    );
}

fn r06_two_answers_on_one_line_are_both_delivered() {
    with_stub(&[], async |stage| {
        let hanging = stage.start("stub", "hang", json!({"name": "hang"})).await.unwrap();
        let joined = stage.call("join", json!({})).await.unwrap();
        let hung = finish(hanging).await.unwrap().1;
        assert!(joined["joined"].is_number() && hung["joined"].is_number() && joined != hung);
    });
}

fn r14_a_repeated_answer_is_counted() {
    with_stub(&[], async |stage| {
        for _ in 0..100 {
            assert_eq!(stage.call("twice", json!({})).await.unwrap(), json!({"n": 1}));
        }
        // The last repetition has arrived before the answer to a later call.
        stage.call("echo", json!({})).await.unwrap();
        assert_eq!(stage.state("stub").counters.stray_answers, 100);
    });
}

fn r14_a_late_answer_is_counted() {
    with_stub(&[], async |stage| {
        let hanging = stage.start("stub", "hang", json!({"name": "hang"})).await.unwrap();
        drop(hanging);
        let seen = stage.seen().await;
        let cancelled: Vec<&Value> =
            seen.iter().filter(|message| message["method"] == "notifications/cancelled").collect();
        let hung = seen.iter().find(|message| message["params"]["name"] == "hang").unwrap();
        assert_eq!(cancelled.len(), 1);
        assert_eq!(cancelled[0]["params"]["requestId"], hung["id"]);
        let counters = stage.state("stub").counters;
        assert_eq!((counters.cancelled, counters.stray_answers), (1, 1));
    });
}

fn r14_answers_to_ids_of_every_kind_go_nowhere() {
    with_stub(&[], async |stage| {
        let ids = ["999999", "0", "-1", "1.5", "\"1\"", "18446744073709551616"];
        for id in ids {
            let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"for\":\"nobody\"}}}}\n");
            say(stage, answer.as_bytes()).await;
        }
        assert_eq!(stage.state("stub").counters.stray_answers, ids.len() as u64);
        say(stage, b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"?\"}}\n")
            .await;
        assert_eq!(stage.state("stub").counters.stray_answers, ids.len() as u64 + 1);
    });
}

fn a_deaf_child_is_not_fed_for_ever() {
    with_stub(&[], async |stage| {
        let deaf = stage.start("stub", "deaf", json!({"name": "deaf"})).await.unwrap();
        let text = "x".repeat(1 << 20);
        let mut waiting = Vec::new();
        let refused = loop {
            let params = json!({"name": "echo", "arguments": {"text": text}});
            match stage.start("stub", "echo", params).await {
                Ok(reply) => waiting.push(reply),
                Err(error) => break error,
            }
            assert!(waiting.len() < 40, "the queue is bounded");
        };
        assert!(
            matches!(&refused, CallError::Unavailable { reason, .. } if reason.contains("does not read"))
        );
        drop((deaf, waiting));
        assert_eq!(stage.state("stub").in_flight, 0);
    });
}

fn deep_nesting_and_doubled_members_are_garbage() {
    with_stub(&[], async |stage| {
        let deep = format!("{}\n", "[".repeat(10_000));
        say(stage, deep.as_bytes()).await;
        say(stage, b"{\"jsonrpc\":\"2.0\",\"id\":3,\"id\":4,\"result\":{}}\n").await;
        say(stage, b"{\"jsonrpc\":\"2.0\",\"ID\":3,\"result\":{}}\n").await;
        let counters = stage.state("stub").counters;
        assert_eq!((counters.garbage, counters.stray_answers), (3, 0));
    });
}

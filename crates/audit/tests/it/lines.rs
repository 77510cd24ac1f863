//! What stands in a line, whatever is put in, and that no line is lost when many call at once.

use std::{fs, path::PathBuf};

use audit::{ArgumentsKept, Begin, Detail, End, Event, Mode, Outcome, SessionTag, Settings, Trail, verify};
use domain::{AgentId, TokenId, UserId};
use proptest::prelude::*;
use serde_json::{Value, json, value::RawValue};
use tempfile::TempDir;

use crate::support::{begin, principal};

fn opened(arguments: ArgumentsKept) -> (TempDir, PathBuf, Trail) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let trail = Trail::open(&Settings::at(&file).with_arguments(arguments)).unwrap();
    (folder, file, trail)
}

/// Closes the trail, verifies it, and returns its lines without what differs from run to run.
fn recorded(trail: &Trail) -> Vec<Value> {
    trail.close().unwrap();
    let text = fs::read_to_string(trail.path()).unwrap();
    verify(text.as_bytes()).unwrap();
    let stable = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for varying in ["timestamp", "prev", "hash", "latency_ms"] {
            assert!(line.as_object_mut().unwrap().remove(varying).is_some() || varying == "latency_ms");
        }
        line
    };
    text.lines().map(stable).collect()
}

#[tokio::test]
async fn a_call_is_two_lines_joined_by_its_id() {
    let (_folder, _file, trail) = opened(ArgumentsKept::Hash);
    let mut who = principal();
    who.user = Some(UserId::new("ada").unwrap());
    who.token = Some(TokenId::new("t1").unwrap());
    let (session, arguments) =
        (SessionTag::of("secret-session"), RawValue::from_string("{}".into()).unwrap());
    let call = trail
        .begin(Begin { session: Some(&session), arguments: Some(&arguments), ..begin(&who) })
        .await
        .unwrap();
    let id = call.id().to_string();
    let metadata = [("note", Detail::Text("x"))];
    call.finish(End {
        code: Some("DENIED_BY_POLICY"),
        rule: Some("agents.research.deny[0]"),
        result_bytes: Some(12),
        metadata: &metadata,
        ..End::of(Outcome::Denied)
    });
    let session_hash_start = session.as_str();
    assert_eq!(session_hash_start.len(), 16);
    assert_eq!(
        recorded(&trail),
        [
            json!({
                "phase": "begin", "call": id, "agent_id": "research", "operation": "execute_tool",
                "server": "notes", "target": "read", "agent_source": "claimed", "user": "ada", "token_id": "t1",
                "method": "tools/call", "transport": "http", "era": "modern", "session": session_hash_start,
                "revision": "7", "guardrails": "none", "seq": 1,
                "arguments_sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            }),
            json!({
                "phase": "end", "call": id, "agent_id": "research", "operation": "execute_tool",
                "server": "notes", "target": "read", "revision": "7", "decision": "DENY", "outcome": "denied",
                "code": "DENIED_BY_POLICY", "rule": "agents.research.deny[0]", "result_bytes": 12,
                "metadata": { "note": "x" }, "seq": 2,
            }),
        ]
    );
}

#[tokio::test]
async fn a_dropped_call_ends_as_cancelled_or_once_sent_as_unknown() {
    let (_folder, _file, trail) = opened(ArgumentsKept::Hash);
    let who = principal();
    drop(trail.begin(begin(&who)).await.unwrap());
    let mut sent = trail.begin(begin(&who)).await.unwrap();
    sent.mark_sent();
    drop(sent);
    let outcomes: Vec<_> = recorded(&trail).iter().filter_map(|line| line.get("outcome").cloned()).collect();
    assert_eq!(outcomes, ["cancelled", "unknown"]);
}

#[tokio::test]
async fn s73_whatever_is_put_in_one_event_is_one_line() {
    let nasty = [
        "a\nb\r\nc".to_owned(),
        "\u{1b}[2J\u{9b}31m\0\u{7f}".to_owned(),
        r#"x","decision":"ALLOW","hash":"0000"}"#.to_owned(),
        "}\n{\"phase\":\"end\",\"outcome\":\"ok\"}\n".to_owned(),
        "\u{2028}\u{2029}\u{85}\u{202e}".to_owned(),
        "\n".repeat(10 * 1024 * 1024),
    ];
    let with_arguments = |text: &String| {
        let arguments =
            serde_json::value::to_raw_value(&json!({ text: [text], "k": { "x": text } })).unwrap();
        (text.clone(), arguments)
    };
    let nasty = nasty.each_ref().map(with_arguments);
    for kept in [ArgumentsKept::Hash, ArgumentsKept::Redacted, ArgumentsKept::Full] {
        let (_folder, file, trail) = opened(kept);
        let who = principal();
        for (text, arguments) in &nasty {
            let call = Begin {
                method: text,
                operation: Some(text),
                server: Some(text),
                target: Some(text),
                revision: text,
                guardrails: text,
                arguments: Some(arguments),
                ..begin(&who)
            };
            let metadata = [(text.as_str(), Detail::Text(text))];
            let end =
                End { code: Some(text), rule: Some(text), metadata: &metadata, ..End::of(Outcome::Error) };
            trail.begin(call).await.unwrap().finish(end);
            trail.event(Event { name: text, details: &metadata }).unwrap();
        }
        trail.close().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let report = verify(text.as_bytes()).unwrap();
        assert_eq!((report.lines, report.calls, report.events), (18, 6, 6), "{kept:?}");
        assert!(text.chars().all(|sign| sign == '\n' || !sign.is_control()));
        assert!(!text.contains(['\u{2028}', '\u{2029}', '\u{202e}']));
        assert!(text.contains("…[+"), "cut text says so");
        assert!(text.lines().all(|line| line.len() < audit::MAX_LINE_BYTES));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_callers_at_once_no_line_is_lost() {
    const CALLERS: u64 = 64;
    const CALLS: u64 = 50;
    for mode in [Mode::Written, Mode::Durable] {
        let folder = tempfile::tempdir().unwrap();
        let trail = Trail::open(&Settings::at(folder.path().join("audit.jsonl")).with_mode(mode)).unwrap();
        let callers: Vec<_> =
            (0..CALLERS).map(|caller| tokio::spawn(call_often(trail.clone(), caller, CALLS))).collect();
        for caller in callers {
            caller.await.unwrap();
        }
        trail.close().unwrap();
        let report = verify(&fs::read(trail.path()).unwrap()[..]).unwrap();
        assert_eq!((report.calls, report.open_calls), (CALLERS * CALLS, Some(0)));
        assert_eq!((report.lines, report.head.seq), (2 * CALLERS * CALLS, 2 * CALLERS * CALLS));
    }
}

async fn call_often(trail: Trail, caller: u64, calls: u64) {
    let mut who = principal();
    who.agent = AgentId::new(format!("agent-{caller}")).unwrap();
    for _ in 0..calls {
        let call = trail.begin(begin(&who)).await.unwrap();
        tokio::task::yield_now().await;
        call.finish(End::of(Outcome::Ok));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))] // each case syncs a file; the texts in it are the samples

    #[test]
    fn any_text_reads_back_as_it_was_sent(texts in prop::collection::vec(any::<String>(), 32)) {
        let (_folder, _file, trail) = opened(ArgumentsKept::Hash);
        for text in &texts {
            trail.event(Event { name: "said", details: &[("text", Detail::Text(text))] }).unwrap();
        }
        let lines = recorded(&trail);
        prop_assert_eq!(lines.len(), texts.len());
        for (line, text) in lines.iter().zip(&texts) {
            let said = line["details"]["text"].as_str().unwrap();
            prop_assert!(said == text || said.contains("…[+"));
        }
    }
}

#[tokio::test]
async fn calls_that_are_not_alone_share_a_write_and_keep_their_order() {
    let (_folder, path, trail) = opened(ArgumentsKept::Hash);
    let principal = principal();
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(trail.begin(begin(&principal)).await.unwrap());
    }
    let together = futures_util::future::join_all((0..8).map(|_| trail.begin(begin(&principal)))).await;
    open.extend(together.into_iter().map(Result::unwrap));
    // The kernel has every begin line now, whatever still waits.
    let begun =
        std::fs::read_to_string(&path).unwrap().lines().filter(|line| line.contains("\"begin\"")).count();
    assert_eq!(begun, 16);
    drop(open);
    trail.close().unwrap();
    let report = audit::verify(std::fs::read(&path).unwrap().as_slice()).unwrap();
    assert_eq!((report.calls, report.open_calls, report.ends_without_begin), (16, Some(0), Some(0)));
}

#[tokio::test]
async fn a_begin_that_is_dropped_while_it_waits_for_others_ends_as_cancelled() {
    let (_folder, path, trail) = opened(ArgumentsKept::Hash);
    let principal = principal();
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(trail.begin(begin(&principal)).await.unwrap());
    }
    {
        let mut waiting = Box::pin(trail.begin(begin(&principal)));
        let first_poll = futures_util::poll!(waiting.as_mut());
        assert!(first_poll.is_pending(), "it lets others run first");
    }
    drop(open);
    trail.close().unwrap();
    let report = audit::verify(std::fs::read(&path).unwrap().as_slice()).unwrap();
    assert_eq!((report.calls, report.open_calls, report.ends_without_begin), (9, Some(0), Some(0)));
}

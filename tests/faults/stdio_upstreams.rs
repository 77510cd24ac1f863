//! Children that write garbage, answer too much, twice, late, or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::json;

use crate::client::{failure, outcome, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, scaled, within};
use crate::process;

/// What the gateway's memory may grow by for a line beyond the bound of 16 MiB: a few times that bound, as a buffer grows,
/// and not the line's size.
const HELD_KIB: u64 = 96 * 1024;
/// How long the first listing waits for servers that do not answer.
const STARTUP: Duration = Duration::from_secs(3);
/// What waits for nobody may take this long on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn serve(place: Place) -> Gateway {
    let gateway = place.serve().await;
    gateway.ready().await;
    gateway
}

#[test]
fn r06_garbage_on_a_childs_output_loses_no_good_answer() {
    within(USUAL, async {
        let kinds =
            ["text", "partial", "utf8", "nul", "bom", "crlf", "deep", "doubled", "stray", "request", "two"];
        for era in ["legacy", "modern"] {
            let gateway =
                serve(Place::new(json!({"one": child(&["--speaks", era, "--prelude", "text"])}))).await;
            let mut tasks = Vec::new();
            for number in 0..4 {
                let mut client =
                    gateway.client(if number % 2 == 0 { Era::Legacy } else { Era::Modern }).await;
                tasks.push(tokio::spawn(async move {
                    for call in 0..scaled(50) {
                        let mark = format!("{number}/{call}");
                        let answer = client
                            .call("one__garbage", json!({"kind": kinds[call % kinds.len()], "text": mark}))
                            .await;
                        assert_eq!(text(&answer), mark);
                    }
                }));
            }
            for task in tasks {
                task.await.expect("every good answer is delivered");
            }
            let server = gateway.server("one").await;
            assert_eq!((&server["state"], &server["restarts"]), (&json!("ready"), &json!(0)), "{server}");
            assert!(
                server["findings"].to_string().contains("Listening on stdio"),
                "a sample is shown: {server}"
            );
            assert!(!server["findings"].to_string().contains('\u{1b}'));
        }
    });
}

#[test]
fn r06_a_line_beyond_all_bounds_ends_the_child_with_a_reason() {
    within(USUAL, async {
        let gateway = serve(Place::new(json!({"one": child(&[]), "other": child(&[])}))).await;
        let mut client = gateway.client(Era::Modern).await;
        for server in ["one", "other"] {
            client.until_answered(server).await;
        }
        process::reset_peak(gateway.pid());
        let before = process::memory_kib(gateway.pid(), "VmRSS");
        // 150 MB without a line end, against 16 MiB.
        let answer = client.call("one__garbage", json!({"kind": "long"})).await;
        assert_eq!((failure(&answer), outcome(&answer)), ("SERVER_LOST", "unknown"), "{answer}");
        assert!(answer.to_string().contains("16777216"), "the reason names the bound: {answer}");
        let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!("{grown} KiB more at the peak");
        assert!(grown < HELD_KIB, "{grown} KiB");
        assert_eq!(text(&client.call("other__echo", json!({"text": "x"})).await), "x");
        client.until_answered("one").await;
    });
}

#[test]
fn r07_a_childs_message_of_150_mb_is_an_error_for_its_call_alone() {
    within(USUAL, async {
        let gateway = serve(Place::new(json!({"one": child(&[]), "other": child(&[])}))).await;
        let mut large = gateway.client(Era::Modern).await;
        let mut other = gateway.client(Era::Modern).await;
        // The program's own pages, which a first call brings in, are not what is measured.
        large.call("one__echo", json!({"text": "x"})).await;
        other.call("other__echo", json!({"text": "x"})).await;
        process::reset_peak(gateway.pid());
        let before = process::memory_kib(gateway.pid(), "VmRSS");
        let is_answered = AtomicBool::new(false);
        let calling = async {
            let answer = large.call("one__bytes", json!({"size": 150_000_000})).await;
            is_answered.store(true, Ordering::Relaxed);
            answer
        };
        // Others are not kept until the large one is over, however long that takes.
        let meanwhile = async {
            let mut calls = 0;
            while !is_answered.load(Ordering::Relaxed) {
                assert_eq!(text(&other.call("other__echo", json!({"text": "x"})).await), "x");
                calls += 1;
            }
            calls
        };
        let (answer, calls) = tokio::join!(calling, meanwhile);
        println!("{calls} calls of others meanwhile");
        assert!(calls >= 10, "others were kept waiting: {calls} calls");
        assert!(matches!(failure(&answer), "SERVER_LOST" | "RESPONSE_TOO_LARGE"), "{answer}");
        assert_eq!(outcome(&answer), "unknown");
        let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!("{grown} KiB more at the peak");
        assert!(grown < HELD_KIB, "{grown} KiB");
        // What fits is delivered.
        let answer = eventually(|| async {
            let answer =
                gateway.client(Era::Modern).await.call("one__bytes", json!({"size": 10_000_000})).await;
            failure(&answer).is_empty().then_some(answer)
        })
        .await;
        assert!(text(&answer).len() > 9_999_000);
    });
}

#[test]
fn r14_a_child_that_answers_twice_or_late_answers_once() {
    within(USUAL, async {
        let mut one = child(&["--speaks", "legacy"]);
        one["timeout_ms"] = json!(2_000);
        let gateway = serve(Place::new(json!({"one": one}))).await;
        let mut pipe = Place::new(json!({"one": child(&[])})).launch();
        for era in [Era::Legacy, Era::Modern] {
            let mut client = gateway.client(era).await;
            for call in 0..scaled(100) {
                let answer = client.call("one__twice", json!({"text": call.to_string()})).await;
                assert_eq!(text(&answer), call.to_string());
            }
            let late = client.call("one__echo", json!({"text": "late", "delay_ms": 2_300})).await;
            assert_eq!((failure(&late), outcome(&late)), ("TIMEOUT", "unknown"), "{late}");
            // The late answer comes while the next call is under way.
            let next = client.call("one__echo", json!({"text": "next", "delay_ms": 600})).await;
            assert_eq!(text(&next), "next");
            // On the pipe a second answer would show as a line too many.
            for call in 0..scaled(50) {
                let id = pipe
                    .begin(
                        era,
                        "tools/call",
                        json!({"name": "one__twice", "arguments": {"text": call.to_string()}}),
                    )
                    .await;
                assert_eq!(text(&pipe.answer(&id).await), call.to_string());
            }
        }
        assert!(pipe.end().await.0.success());
    });
}

#[test]
fn r04_a_child_that_does_not_answer_is_told_that_nobody_waits() {
    within(USUAL, async {
        let mut one = child(&[]);
        one["timeout_ms"] = json!(2_000);
        let gateway = serve(Place::new(json!({"one": one}))).await;
        let mut client = gateway.client(Era::Modern).await;
        let started = Instant::now();
        let answer = client.call("one__hang", json!({})).await;
        assert_eq!((failure(&answer), outcome(&answer)), ("TIMEOUT", "unknown"), "{answer}");
        assert!(started.elapsed() < Duration::from_millis(3_900), "{:?}", started.elapsed());
        let seen = eventually(|| async {
            let seen = gateway.client(Era::Modern).await.call("one__seen", json!({})).await;
            let cancelled = seen["result"]["structuredContent"]["cancelled"].as_array()?.len();
            (cancelled > 0).then_some(cancelled)
        })
        .await;
        assert_eq!(seen, 1);
        gateway.until_server("one", |server| server["in_flight"] == 0).await;
    });
}

#[test]
fn r10_a_mute_child_delays_nobody() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"mute": child(&["--mute"]), "slow": child(&["--greeting-delay-ms", "300"]), "good": child(&[])},
            "startup_wait_ms": STARTUP.as_millis(),
        }));
        let gateway = place.serve().await;
        let mut client = gateway.client(Era::Modern).await;
        // A call does not wait for the others' start.
        gateway.until_server("good", |server| server["state"] == "ready").await;
        assert_eq!(text(&client.call("good__echo", json!({"text": "x"})).await), "x");
        let started = Instant::now();
        let tools = client.tools().await;
        assert!(started.elapsed() < STARTUP + AT_ONCE, "{:?}", started.elapsed());
        assert!(
            tools.contains(&"good__echo".to_owned()) && !tools.iter().any(|tool| tool.starts_with("mute"))
        );
        gateway.until_server("slow", |server| server["state"] == "ready").await;
        assert_eq!(text(&client.call("slow__echo", json!({"text": "x"})).await), "x");
        let (status, _) = gateway.stop().await;
        assert!(status.success());
    });
}

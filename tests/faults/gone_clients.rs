//! Clients that go away, are many, or send what nobody asked for.

use std::time::Duration;

use protocol::Era;
use serde_json::json;
use testkit::{FakeServer, Script, Seen, Speaks};

use crate::client::{Client, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, eventually, scaled, within};
use crate::process;
use crate::wire::Event;

/// The battery's bound for an idle session.
const SESSION_KIB: f64 = 20.0;

/// How long calls run of which all must have begun before the first ends.
const RUNNING_MS: u64 = 5_000;

/// So many notifications come before memory is looked at for the first time.
const WARMING: usize = 500;

/// Waits until no call runs in the gateway.
async fn nothing_runs(gateway: &Gateway) {
    eventually(|| async { (gateway.metric("toolgate_calls_running", "").await == 0.0).then_some(()) }).await;
}

#[test]
fn r16_a_modern_client_that_goes_cancels_its_call() {
    within(USUAL, async {
        for speaks in [Speaks::Legacy, Speaks::Modern] {
            let upstream = FakeServer::start(Script::new(speaks)).await;
            let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
            gateway.ready().await;
            // Scaled down from 1,000, some at a time.
            for round in 0..scaled(10) {
                let mut clients = Vec::new();
                for _ in 0..10 {
                    let mut client = gateway.client(Era::Modern).await;
                    let call = client.call_request("1", "one__hang", json!({"at": "head"}));
                    client.wire().send(&call.bytes(gateway.address)).await.expect("sent");
                    clients.push(client);
                }
                let called = (round + 1) * 10;
                upstream.seen().until(|seen| seen.calls("hang") == called).await;
                drop(clients);
                let told = |seen: &Seen| match speaks {
                    Speaks::Legacy => seen.cancelled().len() == called,
                    Speaks::Modern | Speaks::Both => seen.abandoned() == called,
                };
                upstream.seen().until(told).await;
            }
            nothing_runs(&gateway).await;
            let counted = gateway.metric("toolgate_calls_total", "cancelled").await;
            assert_eq!(counted as usize, scaled(10) * 10);
            let trail = gateway.trail.clone();
            gateway.stop().await;
            let ends = trail.ends();
            assert_eq!(ends.len(), scaled(10) * 10);
            assert!(ends.iter().all(|end| end["outcome"] == "cancelled"), "{ends:?}");
        }
    });
}

#[test]
fn r16_a_legacy_client_that_goes_does_not_cancel_its_call() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let place = Place::new(json!({"one": http(&upstream), "two": child(&["--record", "marks"])}));
        let gateway = place.serve().await;
        gateway.ready().await;
        let count = scaled(40);
        let mut opened = Vec::new();
        for _ in 0..count {
            opened.push(gateway.client(Era::Legacy).await);
        }
        let mut clients = Vec::new();
        for (number, mut client) in opened.into_iter().enumerate() {
            let arguments = json!({"mark": number.to_string(), "delay_ms": RUNNING_MS, "text": "x"});
            let tool = if number % 2 == 0 { "one__write" } else { "two__write" };
            let call = client.call_request("1", tool, arguments);
            client.wire().send(&call.bytes(gateway.address)).await.expect("sent");
            clients.push(client);
        }
        eventually(|| async {
            (gateway.metric("toolgate_calls_running", "").await as usize == count).then_some(())
        })
        .await;
        drop(clients);
        nothing_runs(&gateway).await;
        assert!(upstream.seen().cancelled().is_empty() && upstream.seen().abandoned() == 0);
        let trail = gateway.trail.clone();
        gateway.stop().await;
        let ends = trail.ends();
        assert_eq!(ends.len(), count);
        assert!(ends.iter().all(|end| end["outcome"] == "ok"), "{ends:?}");
    });
}

#[test]
fn r16_a_cancellation_ends_the_call_at_the_upstream() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let place = Place::new(json!({"one": http(&upstream), "two": child(&[])}));
        let gateway = place.serve().await;
        gateway.ready().await;
        // Over HTTP: the notification comes on another connection of the same session.
        let mut client = gateway.client(Era::Legacy).await;
        let mut second = gateway.client(Era::Legacy).await;
        second.session.clone_from(&client.session);
        let call = client.call_request("\"c\"", "one__hang", json!({"at": "head"}));
        let cancelling = async {
            upstream.seen().until(|seen| seen.calls("hang") == 1).await;
            let mut note = second.request("1", "notifications/cancelled", json!({"requestId": "c"}));
            note.body = String::from_utf8(note.body).expect("JSON").replace("\"id\":1,", "").into();
            assert_eq!(second.send(&note).await.head.status, 202);
            upstream.seen().until(|seen| seen.abandoned() == 1).await;
        };
        let (response, ()) = tokio::join!(client.send(&call), cancelling);
        let answers = response.messages();
        assert!(
            answers.is_empty() || answers[0].get("error").is_some(),
            "no result for a cancelled call: {answers:?}"
        );
        // On the pipe, at a child.
        let mut pipe = place.launch();
        pipe.initialize().await;
        let id = pipe.begin(Era::Legacy, "tools/call", json!({"name": "two__hang", "arguments": {}})).await;
        loop {
            let seen = pipe.call_passing_over(Era::Legacy, "two__seen", &id).await;
            if seen["result"]["structuredContent"]["hanging"] == 1 {
                break;
            }
        }
        let note = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        );
        pipe.send(note.as_bytes()).await;
        loop {
            let seen = pipe.call_passing_over(Era::Legacy, "two__seen", &id).await;
            if seen["result"]["structuredContent"]["cancelled"].as_array().is_some_and(|all| all.len() == 1) {
                break;
            }
        }
        assert!(pipe.end().await.0.success());
    });
}

/// How a legacy client ends its call from another connection of its session.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Notifies,
    Deletes,
}

#[test]
fn r16_a_call_that_has_begun_to_answer_is_cancelled_all_the_same() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let gateway = Place::new(json!({"one": http(&upstream), "two": child(&[])})).serve().await;
        gateway.ready().await;
        let cases = [
            ("one", Ends::Notifies),
            ("two", Ends::Notifies),
            ("one", Ends::Deletes),
            ("two", Ends::Deletes),
        ];
        for (server, ends) in cases {
            let client = gateway.client(Era::Legacy).await;
            let mut second = gateway.client(Era::Legacy).await;
            second.session.clone_from(&client.session);
            let call = client.request(
                "\"c\"",
                "tools/call",
                json!({
                    "name": format!("{server}__progress"),
                    "arguments": {"count": 1_000_000, "pause_ms": 5},
                    "_meta": {"progressToken": "p"},
                }),
            );
            let mut events = client.listen(&call).await;
            assert_eq!(events.next().await.expect("progress")["method"], "notifications/progress");
            let mut note = second.request("1", "notifications/cancelled", json!({"requestId": "c"}));
            let status = match ends {
                Ends::Notifies => {
                    note.body = String::from_utf8(note.body).expect("JSON").replace("\"id\":1,", "").into();
                    second.send(&note).await.head.status
                }
                Ends::Deletes => {
                    note.verb = "DELETE";
                    note.body.clear();
                    second.send(&note).await.head.status
                }
            };
            assert!(matches!(status, 202 | 204), "{server} {ends:?}: {status}");
            let last = loop {
                let message = events.next().await.expect("an end that says so");
                if message.get("method").is_none() {
                    break message;
                }
            };
            assert!(last.get("error").is_some(), "{server} {ends:?}: {last}");
            nothing_runs(&gateway).await;
        }
        let trail = gateway.trail.clone();
        gateway.stop().await;
        let ends = trail.ends();
        assert_eq!(ends.len(), cases.len());
        assert!(ends.iter().all(|end| end["outcome"] == "cancelled"), "{ends:?}");
    });
}

#[test]
fn r18_idle_sessions_and_streams_cost_little_and_stay() {
    within(Duration::from_secs(120), async {
        // Scaled down from 10,000 sessions and ten minutes.
        let (sessions, streams) = (scaled(2_000), scaled(300));
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        gateway.ready().await;
        let mut warm = gateway.client(Era::Modern).await;
        for _ in 0..200 {
            warm.call("one__echo", json!({"text": "x"})).await;
        }
        let before = process::memory_kib(gateway.pid(), "VmRSS");
        let mut idle = Vec::new();
        for _ in 0..sessions {
            // One connection after another: only the session stays.
            idle.push(gateway.client(Era::Legacy).await.session.expect("a session"));
        }
        let after = process::memory_kib(gateway.pid(), "VmRSS");
        let each = after.saturating_sub(before) as f64 / sessions as f64;
        println!("{each:.2} KiB for each of {sessions} idle sessions");
        assert!(each < SESSION_KIB, "{each:.1} KiB a session");
        let mut open = Vec::new();
        for number in 0..streams {
            let era = if number % 2 == 0 { Era::Legacy } else { Era::Modern };
            open.push(gateway.client(era).await.changes().await);
        }
        let with_streams = process::memory_kib(gateway.pid(), "VmRSS");
        println!(
            "{:.2} KiB for each of {streams} streams",
            with_streams.saturating_sub(after) as f64 / streams as f64
        );
        for _ in 0..scaled(500) {
            assert_eq!(text(&warm.call("one__echo", json!({"text": "x"})).await), "x");
        }
        assert_eq!(gateway.status().await["sessions"], sessions + streams.div_ceil(2));
        // All are alive: a session answers, and a change reaches every stream.
        let mut client = gateway.client(Era::Legacy).await;
        for session in idle.iter().step_by(sessions.div_ceil(50)) {
            client.session = Some(session.clone());
            assert_eq!(client.ask("ping", json!({})).await["result"], json!({}));
        }
        warm.call("one__relist", json!({})).await;
        for stream in &mut open {
            loop {
                let message = stream.next().await.expect("the stream is alive");
                if message["method"] == "notifications/tools/list_changed" {
                    break;
                }
            }
        }
        let (status, said) = gateway.stop().await;
        assert!(status.success(), "{said}");
    });
}

#[test]
fn r20_a_flood_of_notifications_costs_no_memory() {
    within(Duration::from_secs(120), async {
        // Scaled down from a million.
        let count = scaled(30_000);
        let place = Place::new(json!({"one": child(&[])}));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Legacy).await;
        assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x");
        let methods = [
            "notifications/cancelled",
            "notifications/progress",
            "notifications/roots/list_changed",
            "notifications/no_such",
        ];
        let note = |client: &Client, number: usize| {
            let params =
                json!({"requestId": format!("unknown-{number}"), "progressToken": number, "progress": 1});
            let mut note = client.request("0", methods[number % methods.len()], params);
            note.body = String::from_utf8(note.body).expect("JSON").replace("\"id\":0,", "").into();
            note
        };
        // What the first ones bring in is not what is measured.
        for number in 0..WARMING {
            let note = note(&client, number);
            assert_eq!(client.send(&note).await.head.status, 202);
        }
        let before = process::memory_kib(gateway.pid(), "VmRSS");
        for number in 0..count / 3 {
            let note = note(&client, number);
            assert_eq!(client.send(&note).await.head.status, 202);
        }
        let grown = process::memory_kib(gateway.pid(), "VmRSS").saturating_sub(before);
        println!("{grown} KiB over HTTP");
        assert!(grown < 8 * 1024, "{grown} KiB over HTTP");
        assert_eq!(text(&client.call("one__echo", json!({"text": "still"})).await), "still");

        let mut pipe = place.launch();
        pipe.initialize().await;
        let note = |number: usize| {
            format!(
                r#"{{"jsonrpc":"2.0","method":"{}","params":{{"requestId":"unknown-{number}"}}}}"#,
                methods[number % methods.len()]
            )
        };
        for number in 0..WARMING {
            pipe.send(note(number).as_bytes()).await;
        }
        pipe.call(Era::Legacy, "one__echo", json!({"text": "x"})).await;
        let before = process::memory_kib(pipe.pid(), "VmRSS");
        for number in 0..count {
            pipe.send(note(number).as_bytes()).await;
        }
        let answer = pipe.call(Era::Legacy, "one__echo", json!({"text": "still"})).await;
        assert_eq!(text(&answer), "still");
        let grown = process::memory_kib(pipe.pid(), "VmRSS").saturating_sub(before);
        println!("{grown} KiB on the pipe");
        assert!(grown < 8 * 1024, "{grown} KiB on the pipe");
        assert!(pipe.end().await.0.success());
    });
}

#[test]
fn r18_a_quiet_stream_is_kept_alive_by_comments() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"one": child(&[])},
            "limits": {"sse_keep_alive_ms": 150},
        }));
        let gateway = place.serve().await;
        gateway.ready().await;
        for era in [Era::Legacy, Era::Modern] {
            let mut stream = gateway.client(era).await.changes().await;
            let mut comments = 0;
            while comments < 3 {
                if stream.next_block().await.expect("the stream is sound").expect("it goes on")
                    == Event::Comment
                {
                    comments += 1;
                }
            }
        }
    });
}

//! A full disk under the audit trail: no call without its line, no crash, and back by itself.
//! The disk is played by a limit on the size of the gateway's files, which its writes meet as they would meet the end
//! of a disk; the limit can be lifted while the gateway runs.

use std::time::{Duration, Instant};

use protocol::Era;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tokio::process::Command;

use crate::client::{failure, text};
use crate::environment;
use crate::gateway::{Gateway, Place, child, text_of};
use crate::limit::{USUAL, scaled, within};

/// What the gateway does by itself and without a pause of seconds may take this long on a busy machine.
const SOON: Duration = Duration::from_secs(15);

async fn serve(place: &Place) -> Gateway {
    // The signal that comes with a write beyond the limit must not end the gateway; a full disk sends none.
    let mut command = Command::new("sh");
    let program = environment::gateway();
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", text_of(&program)]).args(place.serve_arguments());
    let gateway = place.start(command).await;
    gateway.ready().await;
    gateway
}

/// Leaves `room` bytes behind what the trail has; `None` lifts the limit.
fn leave(gateway: &Gateway, room: Option<u64>) {
    let length = std::fs::metadata(&gateway.trail.file).expect("the trail").len();
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).expect("a pid")).expect("a pid");
    let limit = Rlimit { current: room.map(|room| length + room), maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).expect("the limit of a process of ours can be set");
}

fn place(mode: &str) -> Place {
    Place::configured(json!({"servers": {"one": child(&["--record", "marks"])}, "audit": {"mode": mode}}))
}

fn ran(place: &Place) -> usize {
    std::fs::read_to_string(place.file("marks")).unwrap_or_default().lines().count()
}

#[test]
fn r28_a_full_disk_refuses_calls_and_recovers_by_itself() {
    within(Duration::from_secs(100), async {
        for mode in ["written", "durable"] {
            let place = place(mode);
            let gateway = serve(&place).await;
            let mut client = gateway.client(Era::Modern).await;
            assert!(failure(&client.call("one__write", json!({"mark": "before"})).await).is_empty());
            // Room for a few lines, the last of them not whole.
            leave(&gateway, Some(3_000));
            let mut refused = 0;
            let mut answered = 1;
            for _ in 0..scaled(100) {
                let answer = client.call("one__write", json!({"mark": "full"})).await;
                match failure(&answer) {
                    "" => answered += 1,
                    "AUDIT_UNAVAILABLE" => {
                        assert_eq!(answer["result"]["structuredContent"]["retryable"], true, "{answer}");
                        refused += 1;
                    }
                    other => panic!("{mode}: {other}: {answer}"),
                }
            }
            assert!(refused > 50, "{mode}: {refused}");
            assert_eq!(ran(&place), answered, "{mode}: what was refused did not run");
            // What needs no record still works.
            assert!(client.tools().await.contains(&"one__write".to_owned()));
            leave(&gateway, None);
            let started = Instant::now();
            client.until_answered("one").await;
            assert!(started.elapsed() < SOON, "{mode}: {:?}", started.elapsed());
            assert!(failure(&client.call("one__write", json!({"mark": "after"})).await).is_empty());
            let trail = gateway.trail.clone();
            let (status, said) = gateway.stop().await;
            assert!(status.success() && !said.contains("panicked"), "{said}");
            trail.verify().await;
            let begun = trail
                .calls()
                .values()
                .filter(|call| {
                    call.begin.as_ref().is_some_and(|begin| {
                        begin["target"].as_str().is_some_and(|target| target.contains("write"))
                    })
                })
                .count();
            assert!(begun >= ran(&place), "{mode}: {begun} lines for {} calls", ran(&place));
        }
    });
}

#[test]
fn r28_best_effort_goes_on_and_says_how_much_it_dropped() {
    within(2 * USUAL, async {
        let place = place("best_effort");
        let gateway = serve(&place).await;
        let mut client = gateway.client(Era::Modern).await;
        assert!(failure(&client.call("one__write", json!({"mark": "before"})).await).is_empty());
        // The line of the first call is written by a thread of its own.
        crate::limit::soon("the first lines are written", SOON, || gateway.trail.ends().len() == 1).await;
        leave(&gateway, Some(0));
        // More than the queue of 1 MiB holds.
        let calls = 3_000;
        for _ in 0..calls {
            assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x");
        }
        leave(&gateway, None);
        client.until_answered("one").await;
        crate::limit::soon("what was dropped is told", SOON, || !gateway.trail.events("dropped").is_empty())
            .await;
        let trail = gateway.trail.clone();
        let (status, _) = gateway.stop().await;
        assert!(status.success());
        trail.verify().await;
        let lines: Vec<_> = trail.lines();
        let dropped: u64 =
            trail.events("dropped").iter().filter_map(|event| event["details"]["lines"].as_u64()).sum();
        let kept = lines.iter().filter(|line| line["phase"] != "event").count() as u64;
        let due = 2 * (1 + calls + 1);
        assert_eq!(kept + dropped, due, "kept {kept}, dropped {dropped}");
    });
}

#[test]
fn r28_a_trail_that_cannot_be_opened_refuses_to_start() {
    within(USUAL, async {
        let place = Place::configured(
            json!({"servers": {"one": child(&[])}, "audit": {"file": "/proc/no/such/audit.jsonl"}}),
        );
        let mut command = place.command(&place.serve_arguments());
        let output = command.stdin(std::process::Stdio::null()).output().await.expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("audit"), "{said}");
    });
}

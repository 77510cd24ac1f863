//! Child processes: what they inherit, how their deaths are felt, and that none is left behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::Era;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{failure, outcome, text};
use crate::gateway::{Gateway, Place, child, text_of};
use crate::limit::{USUAL, eventually, scaled, soon, within};
use crate::process;

/// What a caller may be kept waiting between a child's death and the error of its call: at best, and on a busy machine.
const ERROR_WITHIN: Duration = Duration::from_secs(1);
const ERROR_AT_LAST_WITHIN: Duration = Duration::from_secs(6);
/// What every child gets beside what is declared for it, and the counter that stops loops of gateways.
const INHERITED: [&str; 9] =
    ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER", "TOOLGATE_DEPTH"];

/// Reads the process ids that children left in a file.
fn pids(file: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

async fn no_zombies(gateway: &Gateway) {
    let pid = gateway.pid();
    soon("no zombie below the gateway", Duration::from_secs(10), || {
        process::descendants(pid).iter().all(|process| process.state != 'Z')
    })
    .await;
}

#[test]
fn s62_a_child_inherits_only_what_is_declared() {
    within(USUAL, async {
        let mut server = child(&[]);
        server["env"] = json!({"DECLARED": "yes"});
        server["cwd"] = json!("folder");
        let place = Place::new(json!({"one": server}))
            .with_variable("AWS_SECRET_ACCESS_KEY", "aws-secret")
            .with_variable("TOOLGATE_SECRET", "gateway-secret")
            .with_variable("LD_LIBRARY_PATH", "/nowhere")
            .with_variable("LC_TIME", "C")
            .with_variable("MY_TOKEN", "token-secret");
        std::fs::create_dir(place.file("folder")).expect("a folder");
        let gateway = place.serve().await;
        // Connections of clients are descriptors of the gateway: none may reach a child that starts later.
        let mut client = gateway.client(Era::Legacy).await;
        client.call("one__exit", json!({"code": 0})).await;
        gateway.until_server("one", |server| server["state"] == "ready").await;
        let told = client.call("one__environ", json!({})).await;
        let told = &told["result"]["structuredContent"];

        let variables = told["variables"].as_object().expect("variables");
        assert_eq!(variables["DECLARED"], "yes", "{variables:?}");
        let leaked: Vec<&String> = variables
            .keys()
            .filter(|name| {
                *name != "DECLARED" && !INHERITED.contains(&name.as_str()) && !name.starts_with("LC_")
            })
            .collect();
        assert!(leaked.is_empty(), "{leaked:?}");
        assert!(!told.to_string().contains("-secret"));
        let descriptors: BTreeSet<&str> =
            told["descriptors"].as_object().expect("descriptors").keys().map(String::as_str).collect();
        assert_eq!(descriptors, BTreeSet::from(["0", "1", "2"]), "{told}");
        let folder = std::fs::canonicalize(place.file("folder")).expect("the folder");
        assert_eq!(told["folder"], text_of(&folder));
        assert_eq!(told["group"], told["pid"].to_string(), "a group of its own");
        assert_eq!(told["terminal"], "0");
    });
}

#[test]
fn s64_a_flood_on_stderr_is_bounded_cleaned_and_in_nobodys_way() {
    within(USUAL, async {
        // Scaled down from 1 GB.
        let flood = scaled(64_000_000);
        let mut server = child(&[]);
        server["env"] = json!({"API_KEY": "sk-very-secret-0123456789"});
        let place =
            Place::new(json!({"loud": server, "calm": child(&[])})).with_variable("TOOLGATE_LOG", "debug");
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut loud = gateway.client(Era::Modern).await;
        let mut calm = gateway.client(Era::Modern).await;
        let said = "key sk-very-secret-0123456789 \u{1b}[31mred\u{1b}[0m \r\u{7}\u{2028} end";
        // What the first lines and calls bring in is not what is measured.
        assert_eq!(
            text(&loud.call("loud__stderr", json!({"bytes": 100_000, "text": said})).await),
            "flooded"
        );
        assert_eq!(text(&calm.call("calm__echo", json!({"text": "x"})).await), "x");
        process::reset_peak(gateway.pid());
        let before = process::memory_kib(gateway.pid(), "VmRSS");
        let flooding = loud.call("loud__stderr", json!({"bytes": flood, "text": said}));
        let meanwhile = async {
            for _ in 0..50 {
                assert_eq!(text(&calm.call("calm__echo", json!({"text": "x"})).await), "x");
            }
        };
        let (flooded, ()) = tokio::join!(flooding, meanwhile);
        assert_eq!(text(&flooded), "flooded");
        let grown = process::memory_kib(gateway.pid(), "VmHWM").saturating_sub(before);
        println!("{grown} KiB more at the peak");
        assert!(grown < 16 * 1024, "{grown} KiB");
        let (_, log) = gateway.stop().await;
        assert!(log.contains("[secret]") && log.contains("suppressed"), "the log has a sample and a count");
        assert!(!log.contains("sk-very-secret"), "a secret in the log");
        assert!(
            !log.contains('\u{1b}')
                && !log.contains('\r')
                && !log.contains('\u{7}')
                && !log.contains('\u{2028}')
        );
        assert!(log.len() < 1_000_000, "{} bytes of log", log.len());
    });
}

#[test]
fn r12_a_child_killed_in_a_call_costs_one_error_and_the_next_call_works() {
    within(USUAL, async {
        // A gateway for each: a child that dies often in a row is restarted ever later.
        for era in [Era::Modern, Era::Legacy] {
            let place = Place::new(json!({"one": child(&["--pids", "pids"]), "other": child(&[])}));
            let gateway = place.serve().await;
            gateway.ready().await;
            let mut quickest = Duration::MAX;
            for signal in [Signal::KILL, Signal::ABORT, Signal::TERM] {
                let took = kill_in_a_call(&gateway, &place.file("pids"), era, signal).await;
                assert!(took < ERROR_AT_LAST_WITHIN, "{era:?} {signal:?}: {took:?}");
                quickest = quickest.min(took);
            }
            assert!(quickest < ERROR_WITHIN, "{era:?}: {quickest:?}");
            no_zombies(&gateway).await;
            let trail = gateway.trail.clone();
            gateway.stop().await;
            assert_eq!(trail.ends().iter().filter(|end| end["outcome"] == "unknown").count(), 3);
            for pid in pids(&place.file("pids")) {
                assert!(!process::runs(pid), "{pid} is left");
            }
        }
    });
}

/// Kills a child in a call; returns how long it took until the caller knew.
async fn kill_in_a_call(gateway: &Gateway, pids_file: &Path, era: Era, signal: Signal) -> Duration {
    let mut client = gateway.client(era).await;
    let call = client.call_request("5", "one__hang", json!({}));
    let killing = async {
        eventually(|| async { hanging_is(gateway, 1).await }).await;
        let pid = *pids(pids_file).last().expect("a child");
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("the child runs");
        Instant::now()
    };
    let (response, killed) = tokio::join!(client.send(&call), killing);
    let took = killed.elapsed();
    let messages = response.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!((failure(&messages[0]), outcome(&messages[0])), ("SERVER_LOST", "unknown"), "{messages:?}");
    // The very next call, without waiting for the restart.
    assert_eq!(text(&client.call("one__echo", json!({"text": "next"})).await), "next");
    took
}

/// Tells whether so many calls hang at the child that runs now.
async fn hanging_is(gateway: &Gateway, count: u64) -> Option<()> {
    let seen = gateway.client(Era::Modern).await.call("one__seen", json!({})).await;
    (seen["result"]["structuredContent"]["hanging"] == count).then_some(())
}

#[test]
fn r12_every_way_to_exit_is_one_error_for_each_call_in_flight() {
    within(USUAL, async {
        let ends = [
            json!({"code": 0}),
            json!({"code": 1}),
            json!({"signal": "SEGV"}),
            json!({"signal": "ABRT"}),
            json!({"signal": "KILL"}),
        ];
        // A gateway for each: a child that dies often in a row is restarted ever later.
        for end in ends {
            let gateway = Place::new(json!({"one": child(&[]), "other": child(&[])})).serve().await;
            gateway.ready().await;
            // Three in flight, the fourth ends the process.
            let mut calls = Vec::new();
            for _ in 0..3 {
                let mut client = gateway.client(Era::Modern).await;
                calls.push(tokio::spawn(async move { client.call("one__hang", json!({})).await }));
            }
            eventually(|| async { hanging_is(&gateway, 3).await }).await;
            let mut client = gateway.client(Era::Modern).await;
            let ended = client.call("one__exit", end.clone()).await;
            assert_eq!((failure(&ended), outcome(&ended)), ("SERVER_LOST", "unknown"), "{end}: {ended}");
            for call in calls {
                let answer = call.await.expect("the task ends");
                assert_eq!(
                    (failure(&answer), outcome(&answer)),
                    ("SERVER_LOST", "unknown"),
                    "{end}: {answer}"
                );
            }
            assert_eq!(text(&client.call("other__echo", json!({"text": "x"})).await), "x");
            assert_eq!(text(&client.call("one__echo", json!({"text": "x"})).await), "x", "{end}");
            no_zombies(&gateway).await;
        }
    });
}

#[test]
fn r12_a_child_that_exits_at_its_start_is_named_and_disturbs_nobody() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"broken": child(&["--exit-at-start", "7"]), "good": child(&[])},
            "startup_wait_ms": 12_000,
        }));
        let gateway = place.serve().await;
        let mut client = gateway.client(Era::Modern).await;
        let started = Instant::now();
        let tools = client.tools().await;
        assert!(tools.contains(&"good__echo".to_owned()), "{tools:?}");
        println!("listed after {:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        let broken = gateway.until_server("broken", |server| server["restarts"].as_u64() >= Some(3)).await;
        assert!(matches!(broken["state"].as_str(), Some("restarting" | "failed")), "{broken}");
        assert!(broken["reason"].as_str().is_some_and(|reason| reason.contains('7')), "{broken}");
        assert!(broken["stderr"].to_string().contains("exit 7 at start"), "its last words: {broken}");
        let answer = client.call("broken__echo", json!({})).await;
        assert!(failure(&answer) == "SERVER_UNAVAILABLE" || answer["error"]["code"] == -32602, "{answer}");
        assert_eq!(text(&client.call("good__echo", json!({"text": "x"})).await), "x");
        no_zombies(&gateway).await;
    });
}

#[test]
fn two_hundred_children_come_and_go_and_none_is_left() {
    within(Duration::from_secs(150), async {
        let (children, at_once) = (scaled(200), 40);
        for round in 0..children.div_ceil(at_once) {
            let servers: serde_json::Map<String, Value> =
                (0..at_once).map(|number| (format!("s{number}"), child(&["--pids", "pids"]))).collect();
            let place = Place::new(Value::Object(servers));
            let gateway = place.serve().await;
            gateway.ready().await;
            let before = pids(&place.file("pids"));
            assert_eq!(before.len(), at_once, "round {round}");
            let (status, said) = gateway.stop().await;
            assert!(status.success(), "{said}");
            let left: Vec<u32> = before.into_iter().filter(|pid| process::runs(*pid)).collect();
            assert!(left.is_empty(), "round {round}: {left:?}");
        }
    });
}

#[test]
fn r24_a_killed_gateway_leaves_no_process() {
    within(USUAL, async {
        let stubborn = child(&["--pids", "pids", "--outlives-stdin"]);
        let place = Place::new(json!({"one": child(&["--pids", "pids"]), "stubborn": stubborn}));
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        let mut expected = pids(&place.file("pids"));
        for server in ["one", "stubborn"] {
            let forked = client.call(&format!("{server}__fork"), json!({})).await;
            let pid = forked["result"]["structuredContent"]["pid"].as_u64().expect("a pid");
            expected.push(u32::try_from(pid).expect("a pid"));
        }
        let below = process::descendants(gateway.pid());
        expected.extend(below.iter().map(|process| process.pid));
        assert!(expected.len() >= 4 && expected.iter().all(|pid| process::runs(*pid)));
        gateway.kill().await;
        soon("every process below the killed gateway is gone", Duration::from_secs(15), || {
            expected.iter().all(|pid| !process::runs(*pid))
        })
        .await;
    });
}

//! How servers start, fail, come back and go (R12), and that nobody else notices.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::{Credential, ServerId};
use protocol::{Params, Version, method};
use serde_json::json;
use upstream::{CallError, Caller, Health, Outgoing, UpstreamEvent};

use crate::stage::{
    PATIENCE, Stage, Test, call_on, cleared, finish, open, parse, permit, stub_config, with_settings,
    with_stub,
};

/// What nothing is waited for may take so long: at best, and on a busy machine.
const AT_BEST: Duration = Duration::from_secs(1);
const AT_LAST: Duration = Duration::from_secs(10);

pub(crate) const TESTS: &[Test] = &[
    ("r12_a_child_that_ends_mid_call_gives_one_error_and_comes_back", ends_mid_call),
    ("r12_a_child_that_ends_while_idle_comes_back", ends_while_idle),
    ("r12_a_crash_loop_is_surfaced_and_others_live_on", crash_loop),
    ("a_missing_program_says_what_is_missing", missing_program),
    ("unchanged_servers_keep_their_connections", unchanged_servers_keep_their_connections),
    ("lazy_servers_wait_to_be_needed", lazy_servers_wait_to_be_needed),
    ("more_calls_than_allowed_are_refused", more_calls_than_allowed_are_refused),
    ("nothing_is_sent_to_unknown_servers_or_with_foreign_credentials", refusals_before_sending),
    ("a_changed_list_is_listed_again_once", a_changed_list_is_listed_again_once),
    ("notifications_find_their_way", notifications_find_their_way),
    ("requests_of_the_server_are_answered", requests_of_the_server_are_answered),
    ("twenty_callers_get_their_own_answers", twenty_callers_get_their_own_answers),
    ("shutdown_leaves_no_child", shutdown_leaves_no_child),
];

/// Waits until some server is not to be offered any more.
async fn gone(stage: &mut Stage) -> String {
    let gone = |event| match event {
        UpstreamEvent::Gone { server } => Some(server.to_string()),
        _ => None,
    };
    stage.expect(gone).await
}

fn ends_mid_call() {
    with_stub(&[], async |stage| {
        let mut quickest = Duration::MAX;
        for (tool, expected) in
            [("die", "it exited with code 7"), ("abort", "it was ended by SIGABRT (abort)")]
        {
            let hanging = stage.start("stub", "hang", json!({"name": "hang"})).await.unwrap();
            let pid = stage.state("stub").pid;
            let begun = Instant::now();
            let lost = stage.call(tool, json!({"code": 7})).await.unwrap_err();
            assert!(begun.elapsed() < AT_LAST, "{:?}", begun.elapsed());
            quickest = quickest.min(begun.elapsed());
            assert!(matches!(&lost, CallError::Lost { reason, .. } if reason == expected), "{lost:?}");
            assert!(matches!(finish(hanging).await, Err(CallError::Lost { .. })));
            // At once, while the server is being started again.
            assert_eq!(stage.call("echo", json!({"a": 1})).await.unwrap(), json!({"a": 1}));
            assert_ne!(stage.state("stub").pid, pid);
        }
        assert!(quickest < AT_BEST, "{quickest:?}");
        assert_eq!(stage.state("stub").counters.restarts, 2);
    });
}

fn ends_while_idle() {
    with_stub(&[], async |stage| {
        let pid = stage.state("stub").pid.unwrap();
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        stage.listed("stub").await;
        assert_eq!(stage.call("echo", json!({})).await.unwrap(), json!({}));
    });
}

fn crash_loop() {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[("broken", stub_config(&["crash"])), ("stub", stub_config(&[]))]);
            tokio::time::timeout(PATIENCE, stage.upstreams.settled()).await.unwrap();
            assert_eq!(stage.call("echo", json!({})).await.unwrap(), json!({}));
            assert_eq!(gone(stage).await, "broken");
            let state = stage.state("broken");
            assert_eq!(state.health, Health::Failed);
            assert_eq!((state.failures_in_a_row, state.pid), (5, None));
            assert_eq!(state.reason.as_deref(), Some("it exited with code 3"));
            assert_eq!(state.stderr, ["cannot find my configuration"]);
            assert_eq!(stage.state("stub").health, Health::Ready);
            assert_eq!(stage.state("stub").restarts, 0);
        },
    );
}

fn missing_program() {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[("stub", json!({"command": "surely-not-there"}))]);
            let state = stage.until("stub", |state| state.reason.is_some()).await;
            assert_eq!(state.reason.as_deref(), Some("program `surely-not-there` was not found in PATH"));
            assert!(stage.upstreams.is_settled());
            let begun = Instant::now();
            let refused = stage.call("echo", json!({})).await.unwrap_err();
            assert!(
                matches!(&refused, CallError::Unavailable { reason, .. } if reason.contains("not found"))
            );
            // A server that never answered is waited for much longer.
            assert!(begun.elapsed() < AT_LAST, "{:?}", begun.elapsed());
        },
    );
}

fn unchanged_servers_keep_their_connections() {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[
                ("kept", stub_config(&[])),
                ("stub", stub_config(&[])),
                ("gone", stub_config(&[])),
            ]);
            tokio::time::timeout(PATIENCE, stage.upstreams.settled()).await.unwrap();
            let before = ["kept", "stub"].map(|server| stage.state(server).pid);
            let mut config = stub_config(&[]);
            config["timeout_ms"] = json!(5000);
            stage.apply(&[("kept", stub_config(&[])), ("stub", config)]);
            assert_eq!(gone(stage).await, "gone");
            stage.listed("stub").await;
            let after = ["kept", "stub"].map(|server| stage.state(server).pid);
            assert_eq!(before[0], after[0]);
            assert_ne!(before[1], after[1]);
            let stub = ServerId::new("stub").unwrap();
            assert_eq!(stage.upstreams.timeout(&stub), Duration::from_secs(5));
            assert_eq!(stage.upstreams.states().len(), 2);
        },
    );
}

fn lazy_servers_wait_to_be_needed() {
    with_settings(
        |_| {},
        async |stage| {
            let mut config = stub_config(&[]);
            config["startup"] = json!("lazy");
            stage.apply(&[("stub", config)]);
            assert!(stage.upstreams.is_settled());
            assert_eq!((stage.state("stub").health, stage.state("stub").pid), (Health::Lazy, None));
            let before = stage.upstreams.wakings();
            assert!(stage.upstreams.wake_lazy());
            assert!(!stage.upstreams.is_settled());
            stage.listed("stub").await;
            tokio::time::timeout(PATIENCE, stage.upstreams.settled_anew(Some(before))).await.unwrap();
            assert!(!stage.upstreams.wake_lazy(), "it is woken once");
            assert_eq!(stage.upstreams.wakings(), before + 1);
            assert_eq!(stage.call("echo", json!({})).await.unwrap(), json!({}));
        },
    );
}

fn more_calls_than_allowed_are_refused() {
    with_settings(
        |_| {},
        async |stage| {
            let mut config = stub_config(&[]);
            config["max_in_flight"] = json!(2);
            stage.apply(&[("stub", config)]);
            stage.listed("stub").await;
            let hang = async |stage: &Stage| stage.start("stub", "hang", json!({"name": "hang"})).await;
            let (first, _second) = (hang(stage).await.unwrap(), hang(stage).await.unwrap());
            let busy = hang(stage).await.err().unwrap();
            assert!(matches!(busy, CallError::Busy { limit: 2, .. }));
            drop(first);
            assert_eq!(stage.call("echo", json!({})).await.unwrap(), json!({}));
            assert_eq!(stage.state("stub").counters.busy, 1);
        },
    );
}

fn refusals_before_sending() {
    with_stub(&[], async |stage| {
        let unknown = stage.start("other", "echo", json!({"name": "echo"})).await.err().unwrap();
        assert!(matches!(unknown, CallError::NotConfigured(_)));
        let row = method("tools/call").unwrap();
        let params = Params::parse(Some("{\"name\":\"echo\"}".into()), row).unwrap();
        let caller = Caller { version: Version::V2025_11_25, client_info: None, session: None, passed: 0 };
        let request = cleared(Outgoing { method: row, params, caller });
        let foreign = Credential::new(ServerId::new("other").unwrap(), "", []);
        let refused =
            stage.upstreams.call(&permit("a", "stub", "echo"), &request, &foreign).await.err().unwrap();
        assert!(matches!(refused, CallError::ForeignCredential(_)));
        assert_eq!(stage.state("stub").counters.calls, 0);
    });
}

fn a_changed_list_is_listed_again_once() {
    for manners in [&[][..], &["modern"]] {
        a_change_is_noticed(manners);
    }
}

fn a_change_is_noticed(manners: &[&str]) {
    with_stub(manners, async |stage| {
        let before = stage.state("stub").counters.listings;
        stage.call("change", json!({})).await.unwrap();
        let listing = stage.listed("stub").await;
        let names: Vec<_> = listing.tools.iter().map(|tool| parse(tool)["name"].clone()).collect();
        assert_eq!(names, ["echo", "hang", "last", "extra"]);
        assert!(stage.state("stub").counters.listings - before <= 2);
    });
}

fn notifications_find_their_way() {
    with_stub(&[], async |stage| {
        let reply = stage.start("stub", "log", json!({"name": "log"})).await.unwrap();
        let (notifications, _) = finish(reply).await.unwrap();
        assert_eq!(notifications, [json!({"level": "info", "data": "working"})]);

        // With two calls in flight nobody knows whose it is.
        let hanging = stage.start("stub", "hang", json!({"name": "hang"})).await.unwrap();
        let reply = stage.start("stub", "log", json!({"name": "log"})).await.unwrap();
        assert!(finish(reply).await.unwrap().0.is_empty());
        let notified = |event| match event {
            UpstreamEvent::Notified { method, params, .. } => Some((method, open(params))),
            _ => None,
        };
        assert_eq!(&*stage.expect(notified).await.0, "notifications/message");
        drop(hanging);
    });
}

fn requests_of_the_server_are_answered() {
    with_stub(&[], async |stage| {
        stage.call("ask", json!({})).await.unwrap();
        let seen = stage.seen().await;
        let answer = |id: &str| seen.iter().find(|message| message["id"] == id).unwrap();
        assert_eq!(answer("p")["result"], json!({}));
        assert_eq!(answer("s")["error"]["code"], -32601);
        assert_eq!(stage.state("stub").counters.refused_requests, 1);
    });
}

fn twenty_callers_get_their_own_answers() {
    with_stub(&[], async |stage| {
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..20 {
            let upstreams = stage.upstreams.clone();
            callers.spawn(async move {
                let agent = format!("agent{caller}");
                for call in 0..100 {
                    let arguments = json!({"caller": caller, "call": call, "text": "x".repeat(call * 40)});
                    let params = json!({"name": "echo", "arguments": arguments}).to_string();
                    let reply =
                        call_on(&upstreams, &agent, ("stub", "echo"), params, Version::V2025_11_25).await;
                    assert_eq!(finish(reply.unwrap()).await.unwrap().1, arguments);
                }
            });
        }
        callers.join_all().await;
        let state = stage.state("stub");
        assert_eq!((state.counters.calls, state.in_flight, state.counters.stray_answers), (2_000, 0, 0));
        assert!(state.findings[0].contains("several callers"));
    });
}

fn shutdown_leaves_no_child() {
    with_settings(
        |_| {},
        async |stage| {
            let names: Vec<String> = (0..10).map(|number| format!("stub{number}")).collect();
            let servers: Vec<_> = names.iter().map(|name| (name.as_str(), stub_config(&[]))).collect();
            stage.apply(&servers);
            tokio::time::timeout(PATIENCE, stage.upstreams.settled()).await.unwrap();
            let pids: Vec<u32> = stage.upstreams.states().iter().filter_map(|state| state.pid).collect();
            assert_eq!(pids.len(), 10);
            let hanging = stage.start("stub3", "hang", json!({"name": "hang"})).await.unwrap();
            let begun = Instant::now();
            stage.upstreams.shutdown().await;
            // After 2 s they would be told to end, after 3 s more they would be killed.
            assert!(
                begun.elapsed() < Duration::from_millis(4_800),
                "the stubs end when their input is closed"
            );
            assert!(matches!(finish(hanging).await, Err(CallError::Lost { .. })));
            for pid in pids {
                let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                assert!(rustix::process::test_kill_process(pid).is_err(), "{pid:?} is left");
            }
            stage.upstreams.apply(BTreeMap::new());
        },
    );
}

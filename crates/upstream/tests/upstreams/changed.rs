//! Calls while the configuration changes: none is lost by it, and none shows an old credential to a new address.

use std::time::{Duration, Instant};

use domain::ServerId;
use protocol::Version;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use upstream::{CallError, Reply};

use crate::{
    http::{Era, Server},
    stage::{Stage, Test, call_on, call_with, finish, stub_config, with_settings, with_stub},
};

/// What a call that has to wait for nobody takes at most; far less than what a server is waited for.
const SOON: Duration = Duration::from_secs(10);

pub(crate) const TESTS: &[Test] = &[
    ("a_call_that_waits_goes_to_the_server_that_takes_the_place", waits_for_a_changed_server),
    ("a_call_that_waits_for_a_removed_server_ends_at_once", waits_for_a_removed_server),
    ("a_call_that_runs_ends_at_the_server_where_it_began", ends_where_it_began),
    ("an_old_credential_is_not_shown_to_a_new_address", old_credentials_stay_at_home),
];

/// Starts a call that finds no connection, and waits until it waits for one.
async fn waiting(stage: &mut Stage) -> JoinHandle<Result<Reply, CallError>> {
    let upstreams = stage.upstreams.clone();
    let call = tokio::spawn(async move {
        let params = json!({"name": "echo", "arguments": {"a": 1}}).to_string();
        call_on(&upstreams, "someone", ("stub", "echo"), params, Version::V2025_11_25).await
    });
    while stage.state("stub").in_flight == 0 {
        tokio::task::yield_now().await;
    }
    call
}

/// Runs `test` with a call that waits for a server which never answers.
fn with_a_waiting_call(test: impl AsyncFnOnce(&mut Stage, JoinHandle<Result<Reply, CallError>>)) {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[("stub", stub_config(&["mute"]))]);
            let call = waiting(stage).await;
            test(stage, call).await;
        },
    );
}

fn waits_for_a_changed_server() {
    with_a_waiting_call(async |stage, call| {
        let begun = Instant::now();
        stage.apply(&[("stub", stub_config(&[]))]);
        let reply = call.await.unwrap().expect("the call goes to the new server");
        assert_eq!(finish(reply).await.unwrap().1, json!({"a": 1}));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        assert_eq!(stage.state("stub").in_flight, 0);
    });
}

fn waits_for_a_removed_server() {
    with_a_waiting_call(async |stage, call| {
        let begun = Instant::now();
        stage.apply(&[]);
        let refused = call.await.unwrap().err().expect("there is nobody to call");
        assert!(matches!(refused, CallError::NotConfigured(_)), "{refused:?}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    });
}

fn ends_where_it_began() {
    with_stub(&[], async |stage| {
        let pid = stage.state("stub").pid;
        let hanging = stage.start("stub", "hang", json!({"name": "hang"})).await.unwrap();
        stage.apply(&[("stub", stub_config(&["changed"]))]);
        stage.listed("stub").await;
        assert_eq!(stage.call("echo", json!({"a": 1})).await.unwrap(), json!({"a": 1}));
        assert_ne!(stage.state("stub").pid, pid);
        // The old server goes on for as long as it has a call, and not longer.
        let pid = rustix::process::Pid::from_raw(pid.unwrap().cast_signed()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_ok(), "it still has a call");
        drop(hanging);
        while rustix::process::test_kill_process(pid).is_ok() {
            tokio::task::yield_now().await;
        }
    });
}

fn old_credentials_stay_at_home() {
    with_settings(
        |_| {},
        async |stage| {
            let old = Server::start(Era::Modern, "127.0.0.1:0", 1).await;
            let new = Server::start(Era::Modern, "127.0.0.1:0", 1).await;
            stage.apply(&[("stub", with_token(old.config()))]);
            stage.listed("stub").await;
            let id = ServerId::new("stub").unwrap();
            let credential = stage.upstreams.configured_credential(&id).unwrap();
            assert!(stage.upstreams.accepts(&credential));
            stage.apply(&[("stub", with_token(new.config()))]);
            stage.listed("stub").await;
            assert!(!stage.upstreams.accepts(&credential));
            let params = json!({"name": "echo", "arguments": {}}).to_string();
            let target = ("stub", "echo");
            let refused =
                call_with(&stage.upstreams, &credential, "a", target, params, Version::V2026_07_28).await;
            // To try again is all a caller can do, and it helps.
            let refused = refused.err().expect("it is for another address");
            assert!(matches!(refused, CallError::Unavailable { .. }), "{refused:?}");
            assert!(!new.methods().contains(&"tools/call".to_owned()), "{:?}", new.methods());
        },
    );
}

fn with_token(mut config: Value) -> Value {
    config["headers"] = json!({"Authorization": "Bearer secret"});
    config
}

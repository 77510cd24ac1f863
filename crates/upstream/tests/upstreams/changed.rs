//! Calls while the configuration changes: none is lost by it, and none shows an old credential to a new address.

use std::time::{Duration, Instant};

use domain::{Credential, ServerId};
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
    ("a_call_that_waits_goes_to_the_same_server_with_other_limits", waits_for_a_retimed_server),
    ("a_call_that_waits_is_not_sent_to_a_server_that_is_set_up_otherwise", waits_for_a_changed_server),
    ("a_call_that_waits_for_a_server_that_fails_is_told_why", waits_for_a_failing_server),
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

/// Runs `test` with a call that waits for a server which does not answer, set up like this.
fn with_a_waiting_call(
    config: Value,
    test: impl AsyncFnOnce(&mut Stage, JoinHandle<Result<Reply, CallError>>),
) {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[("stub", config)]);
            let call = waiting(stage).await;
            test(stage, call).await;
        },
    );
}

fn waits_for_a_retimed_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("speak");
    let mut config = stub_config(&[&format!("mute-until={}", file.display())]);
    with_a_waiting_call(config.clone(), async |stage, call| {
        let begun = Instant::now();
        std::fs::write(&file, "").unwrap();
        config["timeout_ms"] = json!(7_000);
        stage.apply(&[("stub", config)]);
        let reply = call.await.unwrap().expect("the call goes to the new server");
        assert_eq!(finish(reply).await.unwrap().1, json!({"a": 1}));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        assert_eq!(stage.state("stub").in_flight, 0);
    });
}

fn waits_for_a_changed_server() {
    with_a_waiting_call(stub_config(&["mute"]), async |stage, call| {
        let begun = Instant::now();
        stage.apply(&[("stub", stub_config(&[]))]);
        let refused = call.await.unwrap().err().expect("it is another server now");
        assert!(matches!(refused, CallError::ForeignCredential(_)), "{refused:?}");
        assert_eq!(stage.call("echo", json!({"a": 1})).await.unwrap(), json!({"a": 1}));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    });
}

fn waits_for_a_failing_server() {
    with_settings(
        |_| {},
        async |stage| {
            let begun = Instant::now();
            stage.apply(&[("stub", stub_config(&["crash"]))]);
            let refused = stage.call("echo", json!({})).await.unwrap_err();
            assert!(
                matches!(&refused, CallError::Unavailable { reason, .. } if reason == "it exited with code 3"),
                "{refused:?}"
            );
            assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        },
    );
}

fn waits_for_a_removed_server() {
    with_a_waiting_call(stub_config(&["mute"]), async |stage, call| {
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
            stage.apply(&[("stub", with_token(&old, "old"))]);
            stage.listed("stub").await;
            let credential = stage.upstreams.configured_credential(&ServerId::new("stub").unwrap()).unwrap();
            stage.apply(&[("stub", with_token(&new, "new"))]);
            stage.listed("stub").await;

            // A call that began before the change goes to the server that is leaving, as long as it is there.
            let reply = call_as_before(stage, &credential).await.expect("the old server is still there");
            finish(reply).await.unwrap();
            assert_eq!((old.calls(), new.calls()), (1, 0));
            while stage.upstreams.accepts(&credential) {
                tokio::task::yield_now().await;
            }
            let refused = call_as_before(stage, &credential).await.err().expect("nobody is there for it");
            assert!(matches!(refused, CallError::ForeignCredential(_)), "{refused:?}");

            stage.call("echo", json!({})).await.unwrap();
            assert_eq!((old.calls(), new.calls()), (1, 1));
            assert!(old.tokens().iter().all(|token| token == "Bearer old"), "{:?}", old.tokens());
            assert!(new.tokens().iter().all(|token| token == "Bearer new"), "{:?}", new.tokens());
        },
    );
}

async fn call_as_before(stage: &Stage, credential: &Credential) -> Result<Reply, CallError> {
    let params = json!({"name": "echo", "arguments": {}}).to_string();
    call_with(&stage.upstreams, credential, "someone", ("stub", "echo"), params, Version::V2025_11_25).await
}

fn with_token(server: &Server, token: &str) -> Value {
    let mut config = server.config();
    config["headers"] = json!({"Authorization": format!("Bearer {token}")});
    config
}

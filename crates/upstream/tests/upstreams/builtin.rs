//! A server inside the process: the same calls, without bytes on a wire.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use catalog::Listing;
use protocol::Version;
use serde_json::{Value, json};
use tokio::sync::Notify;
use upstream::{
    BuiltinError, BuiltinFuture, BuiltinRequest, BuiltinServer, CallError, Health, config::Builtin,
};

use crate::stage::{Stage, Test, finish, with_settings};

pub(crate) const TESTS: &[Test] = &[
    ("a_builtin_server_is_listed_and_called", a_builtin_server_is_listed_and_called),
    ("progress_of_a_builtin_comes_before_its_result", progress_of_a_builtin_comes_before_its_result),
    ("dropping_the_reply_cancels_a_builtin", dropping_the_reply_cancels_a_builtin),
    ("an_unknown_builtin_is_not_available", an_unknown_builtin_is_not_available),
];

#[derive(Default)]
struct Inside {
    begun: Notify,
    running: AtomicUsize,
}

/// Counts a call while it lives.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BuiltinServer for Inside {
    fn listing(&self) -> Listing {
        let mut listing = Listing::empty(Version::V2025_11_25, Bytes::from_static(b"{\"tools\":{}}"));
        listing.tools.push(json!({"name": "tool", "inputSchema": {"type": "object"}}).to_string().into());
        listing
    }

    fn call<'a>(&'a self, request: BuiltinRequest) -> BuiltinFuture<'a> {
        Box::pin(async move {
            let params: Value = serde_json::from_slice(&request.params).unwrap();
            self.running.fetch_add(1, Ordering::Relaxed);
            let _running = Running(&self.running);
            match params["name"].as_str().unwrap() {
                "whose" => Ok(format!("{{\"known\":{}}}", request.principal.is_some()).into()),
                "count" => {
                    for step in 1..=100 {
                        request.progress(step, Some(100), Some("on the way")).await;
                    }
                    Ok(Bytes::from_static(b"{}"))
                }
                "wait" => {
                    self.begun.notify_one();
                    std::future::pending().await
                }
                _ => Err(BuiltinError { code: -32602, message: "unknown tool".to_owned() }),
            }
        })
    }
}

fn with_inside(test: impl AsyncFnOnce(&mut Stage, &Inside)) {
    let inside = Arc::new(Inside::default());
    let server: Arc<dyn BuiltinServer> = Arc::clone(&inside) as _;
    with_settings(
        |settings| settings.builtins.push((Builtin::Demo, server)),
        async |stage| {
            stage.apply(&[("stub", json!({"builtin": "demo"}))]);
            assert_eq!(stage.listed("stub").await.tools.len(), 1);
            test(stage, &inside).await;
        },
    );
}

fn a_builtin_server_is_listed_and_called() {
    with_inside(async |stage, _| {
        assert_eq!(stage.call("whose", json!({})).await.unwrap(), json!({"known": true}));
        assert_eq!(stage.call("other", json!({})).await.unwrap()["error"]["code"], -32602);
        let state = stage.state("stub");
        assert_eq!((state.health, state.transport, state.in_flight), (Health::Ready, "builtin", 0));
    });
}

fn progress_of_a_builtin_comes_before_its_result() {
    with_inside(async |stage, _| {
        let params = json!({"name": "count", "_meta": {"progressToken": "mine"}});
        let (progress, last) = finish(stage.start("stub", "count", params).await.unwrap()).await.unwrap();
        assert_eq!((progress.len(), last), (100, json!({})));
        let expected =
            json!({"progressToken": "mine", "progress": 100, "total": 100, "message": "on the way"});
        assert_eq!(progress[99], expected);
        let (progress, _) =
            finish(stage.start("stub", "count", json!({"name": "count"})).await.unwrap()).await.unwrap();
        assert!(progress.is_empty());
    });
}

fn dropping_the_reply_cancels_a_builtin() {
    with_inside(async |stage, inside| {
        let mut reply = stage.start("stub", "wait", json!({"name": "wait"})).await.unwrap();
        tokio::select! {
            _ = reply.next() => panic!("it never answers"),
            () = inside.begun.notified() => {}
        }
        assert_eq!(inside.running.load(Ordering::Relaxed), 1);
        drop(reply);
        assert_eq!(inside.running.load(Ordering::Relaxed), 0);
    });
}

fn an_unknown_builtin_is_not_available() {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[("stub", json!({"builtin": "demo"}))]);
            let refused = stage.call("any", json!({})).await.unwrap_err();
            assert!(matches!(refused, CallError::Unavailable { .. }), "{refused:?}");
        },
    );
}

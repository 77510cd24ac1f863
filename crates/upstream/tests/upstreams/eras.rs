//! Servers of both eras, and those that do not say which they are.

use protocol::Version;
use serde_json::{Value, json};
use upstream::Health;

use crate::stage::{Stage, Test, call_on, finish, stub_config, with_settings, with_stub};

pub(crate) const TESTS: &[Test] = &[
    ("a_legacy_server_is_asked_and_then_greeted", a_legacy_server_is_asked_and_then_greeted),
    ("a_modern_server_is_not_greeted", a_modern_server_is_not_greeted),
    ("silence_means_legacy", silence_means_legacy),
    ("a_late_modern_answer_counts", a_late_modern_answer_counts),
    ("the_configured_era_is_not_asked_for", the_configured_era_is_not_asked_for),
    ("the_era_is_remembered_over_a_restart", the_era_is_remembered_over_a_restart),
    ("meta_is_translated_between_eras", meta_is_translated_between_eras),
    ("a_circle_of_cursors_is_noticed", a_circle_of_cursors_is_noticed),
    ("a_listing_that_fails_costs_only_itself", a_listing_that_fails_costs_only_itself),
];

async fn methods_seen(stage: &Stage) -> Vec<String> {
    let seen = stage.seen().await;
    seen.iter().map(|message| message["method"].as_str().unwrap().to_owned()).collect()
}

fn with_config(manners: &[&str], key: &str, value: Value, test: impl AsyncFnOnce(&mut Stage)) {
    with_settings(
        |_| {},
        async |stage| {
            let mut config = stub_config(manners);
            config[key] = value;
            stage.apply(&[("stub", config)]);
            stage.listed("stub").await;
            test(stage).await;
        },
    );
}

fn a_legacy_server_is_asked_and_then_greeted() {
    with_settings(
        |_| {},
        async |stage| {
            stage.apply(&[("stub", stub_config(&[]))]);
            let listing = stage.listed("stub").await;
            assert_eq!(listing.version, Version::V2025_06_18);
            assert_eq!(listing.instructions.as_deref(), Some("legacy"));
            assert_eq!((listing.tools.len(), listing.prompts.len()), (3, 0));
            let expected = [
                "server/discover",
                "initialize",
                "notifications/initialized",
                "tools/list",
                "tools/list",
                "prompts/list",
                "tools/call",
            ];
            assert_eq!(methods_seen(stage).await, expected);
            let declared = json!({"roots": {"listChanged": true}, "sampling": {}, "elicitation": {"form": {}, "url": {}}});
            assert_eq!(stage.seen().await[1]["params"]["capabilities"], declared);
        },
    );
}

fn a_modern_server_is_not_greeted() {
    with_stub(&["modern"], async |stage| {
        assert_eq!(stage.state("stub").version, Some(Version::V2026_07_28));
        let seen = stage.seen().await;
        assert!(seen.iter().all(|message| message["method"] != "initialize"));
        for message in &seen[..3] {
            assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
            assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"], "toolgate");
        }
    });
}

fn silence_means_legacy() {
    with_config(&["silent"], "probe_timeout_ms", json!(50), async |stage| {
        assert_eq!(stage.state("stub").version, Some(Version::V2025_06_18));
        // A request that opens a session or asks for the era is not cancelled.
        assert!(!methods_seen(stage).await.contains(&"notifications/cancelled".to_owned()));
    });
}

fn a_late_modern_answer_counts() {
    with_config(&["modern", "slow"], "probe_timeout_ms", json!(50), async |stage| {
        assert_eq!(stage.state("stub").version, Some(Version::V2026_07_28));
        assert_eq!(stage.state("stub").restarts, 0);
    });
}

fn the_configured_era_is_not_asked_for() {
    with_config(&[], "era", json!("legacy"), async |stage| {
        assert_eq!(methods_seen(stage).await[0], "initialize");
    });
    with_settings(
        |_| {},
        async |stage| {
            let mut config = stub_config(&[]);
            config["era"] = json!("modern");
            stage.apply(&[("stub", config)]);
            let state = stage.until("stub", |state| state.health == Health::Restarting).await;
            assert_eq!(state.reason.as_deref(), Some("it does not speak the modern protocol era"));
        },
    );
}

fn the_era_is_remembered_over_a_restart() {
    with_stub(&[], async |stage| {
        stage.call("die", json!({})).await.unwrap_err();
        stage.listed("stub").await;
        assert_eq!(methods_seen(stage).await[0], "initialize");
    });
}

fn meta_is_translated_between_eras() {
    let modern = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "vendor/x": {"b": 1, "a": 2.0}});
    with_stub(&[], async |stage| {
        let params = json!({"name": "echo", "_meta": modern}).to_string();
        let reply =
            call_on(&stage.upstreams, "a", ("stub", "echo"), params, Version::V2026_07_28).await.unwrap();
        finish(reply).await.unwrap();
        let seen = stage.seen().await;
        let call = seen.iter().find(|message| message["params"]["name"] == "echo").unwrap();
        assert_eq!(call["params"]["_meta"], json!({"vendor/x": {"b": 1, "a": 2.0}}));
    });
    with_stub(&["modern"], async |stage| {
        stage.call("echo", json!({})).await.unwrap();
        let seen = stage.seen().await;
        let call = seen.iter().find(|message| message["params"]["name"] == "echo").unwrap();
        let meta = &call["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}));
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "toolgate");
    });
}

fn a_circle_of_cursors_is_noticed() {
    with_stub(&["circle"], async |stage| {
        let state = stage.state("stub");
        assert_eq!(state.health, Health::Ready);
        assert_eq!(state.findings, ["`tools/list`: the same cursor came twice; the rest is not listed"]);
    });
}

fn a_listing_that_fails_costs_only_itself() {
    with_stub(&["clumsy"], async |stage| {
        let state = stage.state("stub");
        assert_eq!(state.health, Health::Ready);
        assert_eq!(state.findings, ["`prompts/list`: answered with error -32603; the rest is not listed"]);
    });
}

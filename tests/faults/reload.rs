//! The configuration changes while the gateway runs: whatever happens to its files, no call fails by it, servers that did
//! not change go on, and what is broken changes nothing.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::Era;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::{failure, text};
use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, within};

/// Writes the configuration in place of the old one, as an editor does: a new file is renamed over it.
fn write(place: &Place, config: &Value) {
    let mut config = config.clone();
    config["version"] = json!(1);
    let next = place.file("toolgate.yaml.next");
    std::fs::write(&next, config.to_string()).expect("the folder can be written");
    std::fs::rename(next, place.file("toolgate.yaml")).expect("the file can be renamed");
}

/// Waits until so many reloads were taken or refused.
async fn until(gateway: &Gateway, event: &str, count: usize) {
    eventually(|| async { (gateway.trail.events(event).len() >= count).then_some(()) }).await;
}

async fn serve(place: &Place) -> Gateway {
    let gateway = place.serve().await;
    gateway.ready().await;
    gateway
}

/// Starts clients that call without end, until they are told to stop; each returns how many calls were answered.
async fn callers(gateway: &Gateway, count: usize, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<usize>> {
    let mut callers = Vec::new();
    for number in 0..count {
        let mut client = gateway.client(if number % 2 == 0 { Era::Modern } else { Era::Legacy }).await;
        let stop = stop.clone();
        callers.push(tokio::spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = client.call("kept__echo", json!({"text": "x"})).await;
                assert_eq!(failure(&answer), "", "{answer}");
                assert_eq!(text(&answer), "x");
                answered += 1;
            }
            answered
        }));
    }
    callers
}

#[test]
fn sixteen_callers_notice_nothing_of_reloads() {
    within(USUAL, async {
        let servers = |more: Value| {
            let mut servers = json!({"kept": child(&[])});
            servers.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
            json!({"servers": servers})
        };
        let place = Place::configured(servers(json!({"changing": child(&[])})));
        let gateway = serve(&place).await;
        let (kept, changing) = (gateway.server("kept").await, gateway.server("changing").await);
        let stop = Arc::new(AtomicBool::new(false));
        let callers = callers(&gateway, 16, &stop).await;
        let worlds = [
            json!({"changing": child(&["--prelude", "text"])}),
            json!({"changing": child(&["--prelude", "text"]), "new": child(&[])}),
            json!({}),
            json!({"changing": child(&[])}),
        ];
        for (index, world) in worlds.into_iter().enumerate() {
            write(&place, &servers(world));
            until(&gateway, "reloaded", index + 1).await;
        }
        gateway.ready().await;
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            assert!(caller.await.expect("no call fails") > 0);
        }
        let after = gateway.server("kept").await;
        assert_eq!((&after["pid"], &after["restarts"]), (&kept["pid"], &json!(0)), "{after}");
        assert_ne!(gateway.server("changing").await["pid"], changing["pid"]);
        let mut client = gateway.client(Era::Modern).await;
        assert!(!client.tools().await.iter().any(|tool| tool.starts_with("new__")));
    });
}

#[test]
fn what_is_broken_changes_nothing_and_says_why() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[])}));
        let gateway = serve(&place).await;
        let good = std::fs::read_to_string(place.file("toolgate.yaml")).expect("it is there");
        let before = gateway.server("kept").await;
        let file = place.file("toolgate.yaml");
        let broken: [&dyn Fn(); 4] = [
            &|| std::fs::write(&file, "version: 1\nservers: [").expect("writable"),
            &|| std::fs::write(&file, &good[..good.len() / 2]).expect("writable"),
            &|| std::fs::write(&file, "version: 1\nsevers: {}\n").expect("writable"),
            &|| {
                std::fs::write(&file, "version: 1\nrules: {agents: {a: {allow: {servers: x}}}}\n")
                    .expect("writable")
            },
        ];
        for (index, break_it) in broken.into_iter().enumerate() {
            break_it();
            until(&gateway, "reload_refused", index + 1).await;
        }
        let mut client = gateway.client(Era::Modern).await;
        assert_eq!(text(&client.call("kept__echo", json!({"text": "x"})).await), "x");
        assert_eq!(gateway.server("kept").await["pid"], before["pid"]);
        let said = gateway.said();
        assert!(said.contains("[HOT RELOAD] ERROR: Failed to reload"), "{said}");
        assert!(said.contains("toolgate.yaml:2:"), "{said}");
        let status = gateway.status().await;
        assert_eq!(status["reload"]["mcp_config"]["attempt_count"], 4, "{status}");
        assert!(status["reload"]["mcp_config"]["last_error"].is_string(), "{status}");
        // Mended, it counts again.
        std::fs::write(&file, good).expect("writable");
        until(&gateway, "reloaded", 1).await;
        let status = gateway.status().await;
        assert_eq!(status["reload"]["mcp_config"]["last_error"], Value::Null, "{status}");
    });
}

#[test]
fn rules_take_effect_without_a_restart_and_survive_their_removal() {
    within(USUAL, async {
        let rules = |servers: &str| json!({"agents": {"default": {"allow": {"servers": [servers]}}}, "defaults": {"deny_on_missing_agent": false}});
        let place = Place::configured(json!({"servers": {"kept": child(&[])}, "rules_file": "r.json"}));
        let file = place.file("r.json");
        std::fs::write(&file, rules("other").to_string()).expect("writable");
        let gateway = serve(&place).await;
        let mut client = gateway.client(Era::Modern).await;
        assert!(client.tools().await.is_empty());
        std::fs::write(&file, rules("kept").to_string()).expect("writable");
        until(&gateway, "reloaded", 1).await;
        assert!(client.tools().await.contains(&"kept__echo".to_owned()));
        // Rules that are gone would open what they closed, so the old ones stay.
        std::fs::remove_file(&file).expect("it is there");
        until(&gateway, "reload_refused", 1).await;
        assert!(client.tools().await.contains(&"kept__echo".to_owned()));
        assert!(gateway.said().contains("Policy changes are now active"), "{}", gateway.said());
    });
}

#[test]
fn a_link_that_is_switched_is_a_change() {
    within(USUAL, async {
        let place = Place::configured(json!({"servers": {"kept": child(&[])}}));
        let config = |name: &str| json!({"version": 1, "servers": {"kept": child(&[]), name: child(&[])}});
        for name in ["one", "two"] {
            std::fs::create_dir(place.file(name)).expect("writable");
            std::fs::write(place.file(name).join("toolgate.yaml"), config(name).to_string())
                .expect("writable");
        }
        symlink("one", place.file("..data")).expect("writable");
        std::fs::remove_file(place.file("toolgate.yaml")).expect("it is there");
        symlink("..data/toolgate.yaml", place.file("toolgate.yaml")).expect("writable");
        let gateway = serve(&place).await;
        symlink("two", place.file("..next")).expect("writable");
        std::fs::rename(place.file("..next"), place.file("..data")).expect("writable");
        until(&gateway, "reloaded", 1).await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        client.until_answered("two").await;
        assert!(!client.tools().await.contains(&"one__echo".to_owned()));
    });
}

#[test]
fn a_call_that_runs_ends_where_it_began() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[]), "changing": child(&[]), "leaving": child(&[])}));
        let gateway = serve(&place).await;
        let mut running = Vec::new();
        for server in ["changing", "leaving"] {
            let mut client = gateway.client(Era::Modern).await;
            running.push(tokio::spawn(async move {
                client.call(&format!("{server}__echo"), json!({"text": "late", "delay_ms": 3_000})).await
            }));
        }
        gateway.until_server("changing", |server| server["in_flight"] == 1).await;
        gateway.until_server("leaving", |server| server["in_flight"] == 1).await;
        write(&place, &json!({"servers": {"kept": child(&[]), "changing": child(&["--prelude", "text"])}}));
        until(&gateway, "reloaded", 1).await;
        // New calls go to the new server while the old one still answers.
        let mut client = gateway.client(Era::Modern).await;
        assert_eq!(text(&client.call("changing__echo", json!({"text": "new"})).await), "new");
        for call in running {
            assert_eq!(text(&call.await.expect("answered")), "late");
        }
    });
}

#[test]
fn a_hang_up_reloads_and_a_faulty_server_disables_only_itself() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[]), "bad": {"command": "${NOT_SET_ANYWHERE}"}}));
        let gateway = place.serve().await;
        gateway.until_server("kept", |server| server["state"] == "ready").await;
        assert_eq!(gateway.server("bad").await["state"], "invalid");
        gateway.signal(Signal::HUP);
        until(&gateway, "reloaded", 1).await;
        assert!(gateway.said().contains("The server `bad` is left out"), "{}", gateway.said());
        write(&place, &json!({"servers": {"kept": child(&[]), "bad": child(&[])}}));
        until(&gateway, "reloaded", 2).await;
        gateway.ready().await;
        gateway.client(Era::Modern).await.until_answered("bad").await;
    });
}

#[test]
fn a_client_is_told_that_its_list_changed() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[])}));
        let gateway = serve(&place).await;
        let mut events = gateway.client(Era::Modern).await.changes().await;
        write(&place, &json!({"servers": {"kept": child(&[]), "more": child(&[])}}));
        let told = tokio::time::timeout(Duration::from_secs(30), async {
            while events.next().await.expect("the stream goes on")["method"]
                != "notifications/tools/list_changed"
            {}
        });
        told.await.expect("the change is told");
    });
}

/// Prints how long a reload takes with many servers, from the change of the file to the revision in force, less the 0.3 s
/// for which a file must be quiet.
#[test]
#[ignore = "a measurement, not a test"]
fn reload_time_with_100_servers() {
    within(USUAL, async {
        let servers = |agent: &str| {
            let servers: serde_json::Map<String, Value> =
                (0..100).map(|n| (format!("s{n}"), json!({"command": "x", "startup": "lazy"}))).collect();
            json!({"servers": servers, "agent": agent})
        };
        let place = Place::configured(servers("a"));
        let gateway = place.serve().await;
        for round in 1..=5 {
            let began = std::time::Instant::now();
            write(&place, &servers(&format!("agent{round}")));
            until(&gateway, "reloaded", round).await;
            println!("reload {round}: {:?}", began.elapsed().saturating_sub(Duration::from_millis(300)));
        }
    });
}

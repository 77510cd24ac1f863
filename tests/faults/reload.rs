//! The configuration changes while the gateway runs: whatever happens to its files, no call fails by it, servers that did
//! not change go on, and what is broken changes nothing.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use protocol::Era;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};
use tokio::task::JoinHandle;

use crate::client::{failure, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{LOOK_AGAIN, USUAL, eventually, within};

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

/// Waits until a new server's tools are offered.
async fn until_offered(gateway: &Gateway, server: &str) {
    let mut client = gateway.client(Era::Modern).await;
    while !client.tools().await.contains(&format!("{server}__echo")) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn serve(place: &Place) -> Gateway {
    let gateway = place.serve().await;
    gateway.ready().await;
    gateway
}

/// Starts clients that call these servers in turn, until they are told to stop; each returns how many calls were answered.
async fn callers(
    gateway: &Gateway,
    count: usize,
    servers: &[&str],
    stop: &Arc<AtomicBool>,
) -> Vec<JoinHandle<usize>> {
    let mut callers = Vec::new();
    for number in 0..count {
        let mut client = gateway.client(if number % 2 == 0 { Era::Modern } else { Era::Legacy }).await;
        let (tool, stop) = (format!("{}__echo", servers[number / 2 % servers.len()]), stop.clone());
        callers.push(tokio::spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = client.call(&tool, json!({"text": "x"})).await;
                assert_eq!(failure(&answer), "", "{tool}: {answer}");
                assert_eq!(text(&answer), "x");
                answered += 1;
            }
            answered
        }));
    }
    callers
}

/// Ends the callers; each must have been answered every time.
async fn all_answered(callers: Vec<JoinHandle<usize>>, stop: &AtomicBool) {
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.expect("no call fails") > 0);
    }
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
        let callers = callers(&gateway, 16, &["kept"], &stop).await;
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
        all_answered(callers, &stop).await;
        let after = gateway.server("kept").await;
        assert_eq!((&after["pid"], &after["restarts"]), (&kept["pid"], &json!(0)), "{after}");
        assert_ne!(gateway.server("changing").await["pid"], changing["pid"]);
        let mut client = gateway.client(Era::Modern).await;
        assert!(!client.tools().await.iter().any(|tool| tool.starts_with("new__")));
    });
}

#[test]
fn callers_of_servers_that_change_and_move_are_all_answered() {
    within(USUAL, async {
        let (one, two) = (
            FakeServer::start(Script::new(Speaks::Modern)).await,
            FakeServer::start(Script::new(Speaks::Modern)).await,
        );
        let at = |server: &FakeServer, token: &str| {
            let mut config = http(server);
            config["headers"] = json!({"Authorization": format!("Bearer {token}")});
            config
        };
        let world = |round: usize| {
            let moving = if round.is_multiple_of(2) { at(&one, "one") } else { at(&two, "two") };
            let changing = child(if round.is_multiple_of(2) { &[] } else { &["--prelude", "text"] });
            json!({"servers": {"moving": moving, "changing": changing, "kept": child(&[])}})
        };
        let place = Place::configured(world(0));
        let gateway = serve(&place).await;
        let stop = Arc::new(AtomicBool::new(false));
        let callers = callers(&gateway, 16, &["moving", "changing", "kept", "moving"], &stop).await;
        for round in 1..=6 {
            write(&place, &world(round));
            until(&gateway, "reloaded", round).await;
        }
        gateway.ready().await;
        all_answered(callers, &stop).await;
        for (server, token) in [(&one, "Bearer one"), (&two, "Bearer two")] {
            assert!(server.seen().calls("echo") > 0);
            for request in server.seen().requests() {
                assert_eq!(request.headers.get("authorization").map(String::as_str), Some(token));
            }
        }
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
        gateway.until_said("[HOT RELOAD] ERROR: Failed to reload").await;
        gateway.until_said("toolgate.yaml:2:").await;
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
        gateway.until_said("Policy changes are now active").await;
    });
}

/// Files that were found by their names would be replaced by what is found next: an open world.
#[test]
fn files_that_are_gone_or_empty_change_nothing() {
    within(USUAL, async {
        let place = Place::new(json!({}));
        std::fs::remove_file(place.file("toolgate.yaml")).expect("it is there");
        let (servers, rules) = (place.file(".mcp.json"), place.file(".mcp-gateway-rules.json"));
        let closed = json!({"agents": {"default": {"allow": {"servers": ["kept"]}, "deny": {"tools": {"kept": ["add"]}}}}, "defaults": {"deny_on_missing_agent": false}});
        std::fs::write(&servers, json!({"mcpServers": {"kept": child(&[])}}).to_string()).expect("writable");
        std::fs::write(&rules, closed.to_string()).expect("writable");
        let gateway = serve(&place).await;
        let mut client = gateway.client(Era::Modern).await;
        let before = client.tools().await;
        assert!(before.contains(&"kept__echo".to_owned()), "{before:?}");
        assert!(!before.contains(&"kept__add".to_owned()), "{before:?}");
        let mut refused = 0;
        for file in [&rules, &servers] {
            let good = std::fs::read(file).expect("it is there");
            for lose in [|file: &_| std::fs::write(file, ""), |file: &_| std::fs::remove_file(file)] {
                lose(file).expect("writable");
                refused += 1;
                until(&gateway, "reload_refused", refused).await;
                assert_eq!(client.tools().await, before);
            }
            std::fs::write(file, good).expect("writable");
            until(&gateway, "reloaded", refused / 2).await;
        }
        assert_eq!(client.tools().await, before);
        let told = gateway.trail.events("reload_refused");
        assert!(told.iter().all(|event| event["details"]["revision"].is_u64()), "{told:?}");
    });
}

#[test]
fn a_file_that_was_missing_is_found_when_it_comes() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[])}));
        let gateway = serve(&place).await;
        std::fs::create_dir(place.file("more")).expect("writable");
        write(&place, &json!({"servers": {"kept": child(&[])}, "include": ["more/servers.json"]}));
        until(&gateway, "reload_refused", 1).await;
        let more = json!({"mcpServers": {"more": child(&[])}}).to_string();
        std::fs::write(place.file("more/servers.json"), more).expect("writable");
        until(&gateway, "reloaded", 1).await;
        assert_eq!(gateway.trail.events("reload_refused").len(), 1, "the same fault is told once");
        until_offered(&gateway, "more").await;
        // From now on it is watched.
        std::fs::write(place.file("more/servers.json"), json!({"mcpServers": {}}).to_string())
            .expect("writable");
        until(&gateway, "reloaded", 2).await;
    });
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_applies() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[])}));
        let gateway = serve(&place).await;
        let servers = json!({"kept": child(&[]), "more": child(&[])});
        write(&place, &json!({"servers": servers, "limits": {"in_flight": 7}, "shutdown_grace_ms": 1}));
        until(&gateway, "reloaded", 1).await;
        until_offered(&gateway, "more").await;
        for key in ["limits", "shutdown_grace_ms"] {
            gateway.until_said(&format!("A change of `{key}` needs a restart")).await;
        }
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
        until_offered(&gateway, "two").await;
        let mut client = gateway.client(Era::Modern).await;
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
        gateway.until_said("The server `bad` is left out").await;
        write(&place, &json!({"servers": {"kept": child(&[]), "bad": child(&[])}}));
        until(&gateway, "reloaded", 2).await;
        until_offered(&gateway, "bad").await;
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

/// A file that reads as whole but lacks its end, and a file that appears and takes the place of others, must not open what
/// rules closed.
#[test]
fn rules_do_not_vanish_by_a_reload() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[])}));
        let file = place.file("toolgate.yaml");
        let program = child(&[])["command"].clone();
        let whole = format!(
            "version: 1\nservers:\n  kept: {{ command: {program} }}\n\
             rules:\n  agents:\n    default: {{ allow: {{ servers: [other] }} }}\n  defaults: {{ deny_on_missing_agent: false }}\n",
        );
        std::fs::write(&file, &whole).expect("writable");
        let gateway = serve(&place).await;
        let mut client = gateway.client(Era::Modern).await;
        assert!(client.tools().await.is_empty());
        let cut = whole.find("rules:").expect("it has rules");
        std::fs::write(&file, &whole[..cut]).expect("writable");
        until(&gateway, "reload_refused", 1).await;
        assert!(client.tools().await.is_empty());
        gateway.until_said("the rules in force would be gone").await;
    });
}

/// A call that waits for its server is judged again when the server is changed before it was sent.
#[test]
fn an_old_permit_does_not_reach_a_changed_server() {
    within(USUAL, async {
        let config = |delay: &str, allowed: &str| {
            json!({
                "servers": {"slow": child(&["--greeting-delay-ms", delay])},
                "rules": {
                    "agents": {"default": {"allow": {"servers": [allowed]}}},
                    "defaults": {"deny_on_missing_agent": false},
                },
            })
        };
        let place = Place::configured(config("0", "slow"));
        let gateway = serve(&place).await;
        let mut client = gateway.client(Era::Modern).await;
        client.until_answered("slow").await;
        // The server is changed to one that takes long to greet; its tools are still listed, so a call waits for it.
        write(&place, &config("1500", "slow"));
        until(&gateway, "reloaded", 1).await;
        let waiting = tokio::spawn(async move { client.call("slow__echo", json!({"text": "x"})).await });
        gateway.until_server("slow", |server| server["in_flight"] == 1).await;
        write(&place, &config("0", "other"));
        let answer = waiting.await.expect("answered");
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    });
}

/// What a person sees of a faulty server and of a refused change.
#[test]
fn the_status_shows_what_is_left_out_and_what_was_refused() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[]), "bad": {"command": "${NOT_SET_ANYWHERE}"}}));
        let gateway = place.serve().await;
        gateway.until_server("kept", |server| server["state"] == "ready").await;
        std::fs::write(place.file("toolgate.yaml"), "version: 1\nsevers: {}\n").expect("writable");
        until(&gateway, "reload_refused", 1).await;
        let address = gateway.operations.to_string();
        let shown = place.command(&["status", "--ops-listen", &address]).output().await.expect("it runs");
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.status.success(), "{text} {}", String::from_utf8_lossy(&shown.stderr));
        assert!(text.contains("bad") && text.contains("NOT_SET_ANYWHERE"), "{text}");
        assert!(
            text.contains("a change of the configuration was refused") && text.contains("severs"),
            "{text}"
        );
    });
}

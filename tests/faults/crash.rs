//! The gateway dies without a warning, at any point. What was recorded stays true, and what ran was recorded.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use protocol::Era;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Place, child};
use crate::limit::{USUAL, eventually, scaled, within};
use crate::trail::{Trail, verify};
use crate::wire::Wire;

/// Between the calls of one client, so that a kill finds calls in every stage.
const CLIENTS: usize = 8;

/// A generator of numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn place(mode: &str) -> Place {
    Place::configured(json!({
        "servers": {"one": child(&["--record", "marks"])},
        "audit": {"mode": mode, "arguments": "full"},
    }))
}

/// Returns the marks of the calls that have a begin line.
fn recorded(trail: &Trail) -> BTreeSet<String> {
    let begun = trail.lines().into_iter().filter(|line| line["phase"] == "begin");
    begun.filter_map(|line| Some(line["arguments"]["mark"].as_str()?.to_owned())).collect()
}

/// Calls without end from several clients; returns the marks whose answers came.
async fn load(gateway: &Gateway, round: usize) -> Vec<tokio::task::JoinHandle<Vec<String>>> {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = gateway.client(Era::Modern).await;
        clients.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for call in 0.. {
                let mark = format!("{round}-{number}-{call}");
                let request = client.call_request("1", "one__write", json!({"mark": mark, "text": "x"}));
                match client.wire().try_ask(&request).await {
                    Ok(response) if response.message().get("result").is_some() => acknowledged.push(mark),
                    Ok(_) | Err(_) => break,
                }
            }
            acknowledged
        }));
    }
    clients
}

/// Counts the calls that ran.
fn marks(place: &Place) -> usize {
    std::fs::read_to_string(place.file("marks")).unwrap_or_default().lines().count()
}

async fn kill_at_random_points(mode: &str, rounds: usize) {
    let place = place(mode);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut acknowledged, mut restarts) = (BTreeSet::new(), Vec::new());
    for round in 0..rounds {
        let gateway = place.serve().await;
        gateway.ready().await;
        let before = marks(&place);
        let clients = load(&gateway, round).await;
        // Some call has begun; the rest is chance.
        eventually(|| async { (marks(&place) > before).then_some(()) }).await;
        tokio::time::sleep(Duration::from_micros(dice.throw(60_000))).await;
        gateway.kill().await;
        for client in clients {
            acknowledged.extend(client.await.expect("the client ends"));
        }
        let report = place.trail().verify().await;
        assert!(report["lines"].as_u64() > Some(0), "{report}");
        let started = Instant::now();
        place.serve().await.kill().await;
        restarts.push(started.elapsed());
    }
    let recorded = recorded(&place.trail());
    let ran = std::fs::read_to_string(place.file("marks")).unwrap_or_default();
    let ran: BTreeSet<String> = ran.lines().map(str::to_owned).collect();
    assert!(ran.len() >= rounds, "the kills came too early: {} calls", ran.len());
    let lost: Vec<&String> = ran.difference(&recorded).collect();
    assert!(lost.is_empty(), "{} of {} calls ran without a begin line: {lost:?}", lost.len(), ran.len());
    let lost: Vec<&String> = acknowledged.difference(&recorded).collect();
    assert!(lost.is_empty(), "{} acknowledged calls are not on record: {lost:?}", lost.len());
    let longest = restarts.iter().max().expect("restarts");
    assert!(*longest < Duration::from_secs(5), "a restart took {longest:?}");
    println!("{mode}: {} calls ran, {} recorded, longest restart {longest:?}", ran.len(), recorded.len());
}

#[test]
fn r24_no_call_that_ran_lacks_its_begin_line_when_the_gateway_is_killed() {
    within(Duration::from_secs(150), kill_at_random_points("written", scaled(15)));
}

#[test]
fn r24_no_acknowledged_call_is_lost_with_a_durable_trail() {
    within(Duration::from_secs(150), kill_at_random_points("durable", scaled(8)));
}

#[test]
fn r26_a_torn_last_line_is_cut_off_at_the_next_start_and_told() {
    within(USUAL, async {
        let place = place("written");
        let gateway = place.serve().await;
        let mut client = gateway.client(Era::Modern).await;
        client.call("one__write", json!({"mark": "before"})).await;
        gateway.stop().await;
        let whole = std::fs::read(&place.trail().file).expect("the trail");
        let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
        // Every way in which the last line can be torn.
        for end in [last + 1, last + 10, whole.len() - 10, whole.len() - 1] {
            std::fs::write(&place.trail().file, &whole[..end]).expect("the trail can be written");
            let report = place.trail().verify().await;
            assert_eq!(report["torn_bytes"], (end - last) as u64, "{report}");
            let gateway = place.serve().await;
            let mut client = gateway.client(Era::Modern).await;
            client.call("one__write", json!({"mark": format!("after {end}")})).await;
            gateway.stop().await;
            let recovered = place.trail().events("recovered");
            assert_eq!(recovered.len(), 1, "{recovered:?}");
            assert_eq!(recovered[0]["details"]["cut_bytes"], (end - last) as u64);
            assert_eq!(place.trail().verify().await["torn_bytes"], 0);
        }
    });
}

#[test]
fn r26_a_killed_token_command_leaves_the_old_tokens_or_the_new_ones() {
    within(USUAL, async {
        let place = place("written");
        let (token, first) = place.token(&["--agent", "first"]).await;
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        for round in 0..scaled(40) {
            let mut creating = place.command(&["token", "create", "--agent", "more"]);
            creating.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let mut creating = creating.spawn().expect("the program");
            tokio::time::sleep(Duration::from_micros(dice.throw(12_000))).await;
            creating.kill().await.expect("it can be killed");
            let listed = place.command(&["token", "list", "-o", "json"]).output().await.expect("the program");
            assert!(listed.status.success(), "round {round}: {}", String::from_utf8_lossy(&listed.stderr));
            let tokens: Value = serde_json::from_slice(&listed.stdout).expect("a list");
            let ids = tokens.as_array().expect("a list").iter().map(|token| token["id"].clone());
            assert!(ids.into_iter().any(|id| id == json!(first)), "round {round}: {tokens}");
        }
        let gateway = place.serve().await;
        let mut client = gateway.door().with_token(&token).open(Era::Modern).await;
        assert!(!client.tools().await.is_empty());
        for entry in std::fs::read_dir(place.state()).expect("the state").filter_map(Result::ok) {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(&token), "{:?} holds a token", entry.path());
        }
    });
}

#[test]
fn a_trail_that_was_edited_shortened_or_reordered_is_found() {
    within(USUAL, async {
        let place = place("written");
        let gateway = place.serve().await;
        let mut client = gateway.client(Era::Modern).await;
        for number in 0..5 {
            client.call("one__write", json!({"mark": format!("call {number}")})).await;
        }
        gateway.stop().await;
        let text = std::fs::read_to_string(&place.trail().file).expect("the trail");
        let lines: Vec<&str> = text.lines().collect();
        assert!(verify(&place.trail().file).await.0);
        let write = |lines: Vec<String>| {
            let file = place.file("changed.jsonl");
            std::fs::write(&file, lines.join("\n") + "\n").expect("a file");
            file
        };
        let owned = || lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let mut changes: Vec<(&str, Vec<String>)> = Vec::new();
        let mut edited = owned();
        edited[4] = edited[4].replace("call", "cell");
        changes.push(("edited", edited));
        let mut edited = owned();
        edited[3] = edited[3].replacen("\"seq\":4", "\"seq\":40", 1);
        changes.push(("seq edited", edited));
        let mut removed = owned();
        removed.remove(3);
        changes.push(("removed", removed));
        let mut first = owned();
        first.remove(0);
        changes.push(("first removed", first));
        let mut swapped = owned();
        swapped.swap(3, 4);
        changes.push(("reordered", swapped));
        let mut repeated = owned();
        repeated.insert(3, lines[3].to_owned());
        changes.push(("repeated", repeated));
        let mut inserted = owned();
        inserted.insert(3, lines[3].replace("\"seq\":4", "\"seq\":5"));
        changes.push(("inserted", inserted));
        let mut blank = owned();
        blank.insert(3, String::new());
        changes.push(("a blank line", blank));
        for (name, lines) in changes {
            let (sound, said) = verify(&write(lines)).await;
            assert!(!sound, "{name} was not found");
            assert!(said.contains("line "), "{name}: {said}");
        }
    });
}

/// A client that is cut off mid-request is not the gateway's death: it goes on.
#[test]
fn a_connection_that_dies_takes_nothing_with_it() {
    within(USUAL, async {
        let place = place("written");
        let gateway = place.serve().await;
        for cut in [1, 30, 200] {
            let request =
                crate::client::modern_call("1", "one__write", json!({"mark": "cut"})).bytes(gateway.address);
            let mut wire = Wire::connect(gateway.address).await;
            wire.send(&request[..cut.min(request.len() - 1)]).await.expect("sent");
        }
        let mut client = gateway.client(Era::Modern).await;
        assert!(client.call("one__write", json!({"mark": "whole"})).await.get("result").is_some());
        assert_eq!(std::fs::read_to_string(place.file("marks")).expect("marks"), "whole\n");
    });
}

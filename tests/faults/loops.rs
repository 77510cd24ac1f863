//! Gateways behind themselves and behind each other: no circle goes on.

use std::net::TcpListener;
use std::time::Duration;

use protocol::Era;
use serde_json::json;

use crate::client::{modern_call, text};
use crate::environment;
use crate::gateway::{Gateway, Place, child, text_of};
use crate::limit::{USUAL, eventually, soon, within};
use crate::process;
use crate::wire::Wire;

/// The longest chain that is allowed.
const MAX_DEPTH: usize = 8;

/// How often a gateway is started for a port that nobody else has taken meanwhile.
const ATTEMPTS: usize = 5;

/// Starts gateways that know the ports of all of them before they have one.
async fn on_known_ports<const COUNT: usize>(
    place: impl Fn([u16; COUNT], usize) -> Place,
) -> [(Place, Gateway); COUNT] {
    let mut said = Vec::new();
    'attempts: for _ in 0..ATTEMPTS {
        let ports = free_ports();
        let mut gateways = Vec::new();
        for (number, port) in ports.iter().enumerate() {
            let place = place(ports, number).listening_on(&format!("127.0.0.1:{port}"));
            match place.try_serve().await {
                Ok(gateway) => gateways.push((place, gateway)),
                Err(error) => {
                    said.push(error);
                    continue 'attempts;
                }
            }
        }
        return gateways.try_into().unwrap_or_else(|_| unreachable!("one for each port"));
    }
    panic!("no gateway starts: {said:?}");
}

/// Returns different ports that were free a moment ago.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

#[test]
fn s39_an_entry_that_is_the_gateway_itself_is_left_out_with_a_warning() {
    within(USUAL, async {
        let program = environment::gateway();
        let [(_place, gateway)] = on_known_ports(|[port], _| {
            Place::new(json!({
                "by_address": {"url": format!("http://127.0.0.1:{port}/mcp")},
                "by_name": {"url": format!("http://localhost:{port}/mcp/good")},
                "by_program": {"command": text_of(&program), "args": ["stdio"]},
                "good": child(&[]),
            }))
        })
        .await;
        gateway.until_server("good", |server| server["state"] == "ready").await;
        let mut client = gateway.client(Era::Modern).await;
        let tools = client.tools().await;
        assert!(tools.iter().all(|tool| tool.starts_with("good__")), "{tools:?}");
        assert_eq!(text(&client.call("good__echo", json!({"text": "x"})).await), "x");
        for name in ["by_address", "by_name", "by_program"] {
            gateway.until_said(name).await;
        }
    });
}

#[test]
fn s39_a_circle_of_two_gateways_ends_after_eight_hops() {
    within(Duration::from_secs(90), async {
        let [(place_a, gateway_a), (_place_b, gateway_b)] = on_known_ports(|ports: [u16; 2], own| {
            let other = ports[1 - own];
            Place::configured(json!({
                "servers": {"peer": {"url": format!("http://127.0.0.1:{other}/mcp"), "timeout_ms": 5_000}, "own": child(&["--record", "marks"])},
                "startup_wait_ms": 1_000,
            }))
        })
        .await;
        gateway_a.until_server("own", |server| server["state"] == "ready").await;
        gateway_b.until_server("own", |server| server["state"] == "ready").await;
        // However long the two look at each other, the listings stay finite and calls go on.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let own_tools = {
            let mut client = gateway_a.door().only("own").open(Era::Modern).await;
            client.tools().await.len()
        };
        for gateway in [&gateway_a, &gateway_b] {
            let mut client = gateway.client(Era::Modern).await;
            let tools = client.tools().await;
            assert!(tools.len() <= own_tools * (MAX_DEPTH + 2), "{} tools", tools.len());
            assert_eq!(text(&client.call("own__echo", json!({"text": "x"})).await), "x");
            // Every tool that is offered can be called, and runs once.
            if let Some(far) = tools.iter().filter(|tool| tool.contains("echo")).max_by_key(|tool| tool.len())
            {
                let answer = client.call(far, json!({"text": "far"})).await;
                assert!(answer.get("result").is_some() || answer.get("error").is_some(), "{answer}");
            }
        }
        // A request that has come too far already is refused, with a reason.
        let deep = modern_call("1", "own__write", json!({"mark": "deep"}))
            .with("Toolgate-Depth", MAX_DEPTH.to_string());
        let response = Wire::connect(gateway_a.address).await.ask(&deep).await;
        let body = String::from_utf8_lossy(&response.body).into_owned();
        assert!(response.head.status >= 400 || body.contains("loop"), "{body}");
        let marks = std::fs::read_to_string(place_a.file("marks")).unwrap_or_default();
        assert!(!marks.contains("deep"), "it ran all the same");
    });
}

#[test]
fn s39_a_gateway_that_starts_itself_through_a_shell_stops_after_eight() {
    within(Duration::from_secs(90), async {
        let place = Place::new(json!({}));
        let config = place.file("loop.yaml");
        let program = environment::gateway();
        let (gateway, config_path, state) = (text_of(&program), text_of(&config), place.file("state"));
        let state = text_of(&state);
        let command = format!("exec '{gateway}' stdio --config '{config_path}' --state-dir '{state}'");
        let servers = json!({"again": {"command": "sh", "args": ["-c", command]}, "good": child(&[])});
        std::fs::write(
            &config,
            json!({"version": 1, "servers": servers, "startup_wait_ms": 500}).to_string(),
        )
        .expect("a file");
        let mut arguments = place.serve_arguments().to_vec();
        let config_text = text_of(&config).to_owned();
        arguments.extend(["--config", &config_text]);
        let mut command = tokio::process::Command::new(&program);
        command.args(arguments);
        let gateway = place.start(command).await;
        gateway.until_server("good", |server| server["state"] == "ready").await;
        let toolgates = |pid| {
            // The launcher and the watchdog of each are copies of the program as well.
            process::descendants(pid).iter().filter(|process| process.name.contains("toolgate")).count()
        };
        // The chain grows to its end and not beyond.
        let pid = gateway.pid();
        eventually(|| async { (toolgates(pid) >= MAX_DEPTH - 1).then_some(()) }).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(toolgates(pid) <= 3 * MAX_DEPTH, "{} processes", toolgates(pid));
        let mut client = gateway.client(Era::Modern).await;
        assert_eq!(text(&client.call("good__echo", json!({"text": "x"})).await), "x");
        let below = process::descendants(pid);
        gateway.kill().await;
        soon("the whole chain is gone", Duration::from_secs(20), || {
            below.iter().all(|process| !process::runs(process.pid))
        })
        .await;
    });
}

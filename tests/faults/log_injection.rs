//! Text from outside in the trail and in the log: one event is one line, whatever stands in it.

use protocol::Era;
use serde_json::{Value, json};

use crate::client::{legacy, modern, modern_call};
use crate::gateway::{Place, child};
use crate::limit::{USUAL, within};
use crate::wire::Wire;

/// What would forge a line, or hide one, if it were written as it is.
const NASTY: [&str; 10] = [
    "a\nb",
    "a\r\n{\"phase\":\"end\",\"outcome\":\"ok\"}",
    "\u{1b}[2J\u{1b}[31mred",
    "nul\0nul",
    "line\u{2028}separator\u{2029}",
    "\",\"agent_id\":\"root\",\"x\":\"",
    "\u{202e}txt.exe",
    "\\u000a\\n",
    "\u{7f}\u{85}\u{9b}31m",
    "level=ERROR msg=\"forged\"",
];

#[test]
fn s73_no_text_from_outside_forges_a_line_of_audit_or_log() {
    within(USUAL, async {
        let place = Place::configured(json!({
            "servers": {"one": child(&[])},
            "audit": {"arguments": "full"},
        }))
        .with_variable("TOOLGATE_LOG", "debug");
        let gateway = place.serve().await;
        gateway.ready().await;
        let large = "L".repeat(1_500_000);
        let mut values: Vec<&str> = NASTY.to_vec();
        values.push(&large);
        let mut calls = 0;
        for value in &values {
            let shown: String = value.chars().take(40).collect();
            // In names, in arguments, in ids, in what the client says of itself.
            let requests = [
                modern_call("1", "one__echo", json!({"text": value, *value: "key"})),
                modern("1", "resources/read", json!({"uri": format!("x://{value}")})),
                modern("1", "prompts/get", json!({"name": value})),
                modern("1", "tools/call", json!({"name": format!("one__{value}"), "arguments": {}})),
            ];
            for request in requests {
                // A name that long cannot stand in a header.
                let oversized =
                    value.len() > 1_000 && request.headers.iter().any(|(_, value)| value.len() > 1_000);
                let response = Wire::connect(gateway.address).await.try_ask(&request).await;
                if oversized {
                    assert!(response.is_err() || response.is_ok_and(|response| response.head.status >= 400));
                } else {
                    assert_eq!(response.expect("an answer").head.status, 200, "{shown:?}");
                    calls += 1;
                }
            }
            // Header values cannot hold line ends: what is left of the value.
            let plain: Vec<u8> =
                value.bytes().filter(|byte| *byte >= 0x20 && *byte != 0x7f).take(4_000).collect();
            let request = modern_call("1", "one__echo", json!({"text": "x"}))
                .with("User-Agent", plain.clone())
                .with("X-Forwarded-For", plain);
            assert_eq!(
                Wire::connect(gateway.address).await.ask(&request).await.head.status,
                200,
                "{shown:?}"
            );
            calls += 1;
            // A refused one.
            let denied =
                modern_call("1", "one__echo", json!({})).with("Origin", "https://evil.example/\u{2028}");
            assert_eq!(Wire::connect(gateway.address).await.ask(&denied).await.head.status, 403);
            let info = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": value, "version": value}});
            assert_eq!(
                Wire::connect(gateway.address).await.ask(&legacy("1", "initialize", &info)).await.head.status,
                200
            );
        }
        let trail = gateway.trail.clone();
        let (_, log) = gateway.stop().await;
        let text = std::fs::read_to_string(&trail.file).expect("the trail is UTF-8");
        assert!(
            !text.chars().any(|sign| sign.is_control() && sign != '\n'),
            "a control character in the trail"
        );
        for sign in ['\u{2028}', '\u{2029}', '\u{202e}', '\u{85}', '\u{9b}'] {
            assert!(!text.contains(sign), "{sign:?} in the trail");
            assert!(!log.contains(sign), "{sign:?} in the log");
        }
        assert!(!log.chars().any(|sign| sign.is_control() && sign != '\n'), "a control character in the log");
        let recorded = trail.calls();
        assert_eq!(recorded.len(), calls, "one call, two lines");
        assert!(recorded.values().all(|call| call.begin.is_some() && call.end.is_some()));
        assert!(!trail.lines().iter().any(|line| line["agent_id"] == "root"), "a forged member");
        let longest = text.lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 200_000, "a line of {longest} bytes");
        assert!(text.contains("\u{2026}[+"), "what was cut is marked");
        let longest = log.lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 20_000, "a log line of {longest} bytes");
        trail.verify().await;
    });
}

#[test]
fn s73_names_that_an_upstream_chooses_forge_nothing_either() {
    within(USUAL, async {
        let place =
            Place::new(json!({"one": child(&["--tools", "tools"])})).with_variable("TOOLGATE_LOG", "debug");
        let names = ["evil\u{1b}[31m", "evil\u{2028}x", "evil \"quoted\"", "evil\u{202e}x", "évil"];
        std::fs::write(place.file("tools"), names.join("\n")).expect("a file");
        let gateway = place.serve().await;
        gateway.ready().await;
        let mut client = gateway.client(Era::Modern).await;
        let tools = client.tools().await;
        for tool in &tools {
            assert!(
                tool.len() <= 64
                    && tool.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
                "{tool:?}"
            );
        }
        let mut unique = tools.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), tools.len(), "names are unique");
        for tool in tools.iter().filter(|tool| tool.contains("evil") || tool.contains("vil")) {
            let answer: Value = client.call(tool, json!({})).await;
            // The fake knows no such tool; that its own name arrived is what counts.
            assert!(answer.get("error").is_some(), "{answer}");
        }
        let trail = gateway.trail.clone();
        let (_, log) = gateway.stop().await;
        let text = std::fs::read_to_string(&trail.file).expect("the trail is UTF-8");
        for sign in ['\u{1b}', '\u{2028}', '\u{202e}'] {
            assert!(!text.contains(sign) && !log.contains(sign), "{sign:?}");
        }
        trail.verify().await;
    });
}

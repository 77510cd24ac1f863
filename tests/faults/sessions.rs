//! Sessions of legacy clients: handles that nobody can guess, lend or bring along.

use std::collections::BTreeSet;

use protocol::Era;
use serde_json::json;

use crate::client::{initialize, legacy, text};
use crate::gateway::{Place, child};
use crate::limit::{USUAL, within};
use crate::wire::{Request, Wire};

#[test]
fn s28_a_session_is_of_use_only_to_the_principal_that_opened_it() {
    within(USUAL, async {
        let place = Place::new(json!({"one": child(&[])}));
        let (ada, _) = place.token(&["--agent", "ada"]).await;
        let (bob, _) = place.token(&["--agent", "bob"]).await;
        let gateway = place.serve().await;
        let door = gateway.door();
        let mut own = door.with_token(&ada).open(Era::Legacy).await;
        let session = own.session.clone().expect("a session");
        assert_eq!(text(&own.call("one__echo", json!({"text": "mine"})).await), "mine");

        let call = || legacy("1", "tools/call", &json!({"name": "one__echo", "arguments": {"text": "x"}}));
        let ask = |request: Request| async move { Wire::connect(gateway.address).await.ask(&request).await };
        let strange = [
            call().bearer(&bob).with("Mcp-Session-Id", session.as_str()),
            call().bearer(&bob).with("Mcp-Session-Id", session.to_uppercase()),
            call().bearer(&ada).with("Mcp-Session-Id", "0".repeat(session.len())),
            call().bearer(&ada).with("Mcp-Session-Id", "1"),
            call().bearer(&ada).with("Mcp-Session-Id", ""),
            call().bearer(&ada).with("Mcp-Session-Id", b"\xff".to_vec()),
            call().bearer(&ada).with("Mcp-Session-Id", &session[..session.len() - 1]),
            call().bearer(&ada).with("Mcp-Session-Id", format!("{session}, {session}")),
            call()
                .bearer(&ada)
                .with("Mcp-Session-Id", session.as_str())
                .with("Mcp-Session-Id", session.as_str()),
            call().bearer(&ada).with("Mcp-Session-Id", session.as_str()).at("/mcp/one"),
            Request::plain("GET", "/mcp")
                .bearer(&bob)
                .with("Accept", "text/event-stream")
                .with("Mcp-Session-Id", session.as_str()),
            Request::plain("DELETE", "/mcp").bearer(&bob).with("Mcp-Session-Id", session.as_str()),
        ];
        for (number, request) in strange.into_iter().enumerate() {
            let response = ask(request).await;
            assert!(matches!(response.head.status, 403 | 404), "{number}: {response:?}");
        }
        assert_eq!(text(&own.call("one__echo", json!({"text": "still"})).await), "still", "nobody ended it");

        let deleted =
            ask(Request::plain("DELETE", "/mcp").bearer(&ada).with("Mcp-Session-Id", session.as_str())).await;
        assert!(matches!(deleted.head.status, 200 | 204), "{deleted:?}");
        let after = ask(call().bearer(&ada).with("Mcp-Session-Id", session.as_str())).await;
        assert_eq!((after.head.status, &after.message()["id"]), (404, &json!(1)), "{after:?}");
        let without = ask(call().bearer(&ada)).await;
        assert_eq!(without.head.status, 400, "{without:?}");
    });
}

#[test]
fn s28_session_ids_are_the_gateways_own_and_long_enough() {
    within(USUAL, async {
        let gateway = Place::new(json!({"one": child(&[])})).serve().await;
        let mut seen = BTreeSet::new();
        let mut wire = Wire::connect(gateway.address).await;
        for _ in 0..100 {
            let fixed =
                legacy("1", "initialize", &initialize()).with("Mcp-Session-Id", "chosen-by-the-client");
            let response = wire.ask(&fixed).await;
            let session = response.head.header("mcp-session-id").expect("a session").to_owned();
            assert_ne!(session, "chosen-by-the-client");
            // Hexadecimal: four bits a digit, at least 128 bits.
            assert!(session.len() >= 32 && session.bytes().all(|byte| byte.is_ascii_hexdigit()), "{session}");
            assert!(seen.insert(session));
        }
        // No position has the same digit in all of them: nothing of an id is a counter's high end or a constant.
        let length = seen.iter().next().expect("ids").len();
        for position in 0..length {
            let digits: BTreeSet<u8> = seen.iter().map(|id| id.as_bytes()[position]).collect();
            assert!(digits.len() > 4, "position {position}: {digits:?}");
        }
        let ping = legacy("1", "ping", &json!({})).with("Mcp-Session-Id", "chosen-by-the-client");
        assert_eq!(wire.ask(&ping).await.head.status, 404);
    });
}

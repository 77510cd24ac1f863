//! Input that no sane peer sends: each kind has a defined answer, and nobody else notices.
//! Stalling bodies, doubled members and floods of stderr are in `bodies` and `children`.

use protocol::Era;
use serde_json::{Value, json};
use testkit::{FakeServer, Script, Speaks};

use crate::client::{modern, modern_call, text};
use crate::gateway::{Gateway, Place, child, http};
use crate::limit::{USUAL, within};
use crate::pipe;
use crate::process;
use crate::wire::{Request, Wire};

/// Far deeper than any JSON reader recurses, and deep enough to end a thread that follows by recursion.
const DEPTHS: [usize; 2] = [10_000, 200_000];

async fn one_child() -> Gateway {
    let gateway = Place::new(json!({"one": child(&[])})).serve().await;
    gateway.ready().await;
    gateway
}

fn with_body(request: &Request, body: impl Into<Vec<u8>>) -> Request {
    Request { body: body.into(), ..request.clone() }
}

#[test]
fn ids_of_every_json_type_are_echoed_or_refused() {
    within(USUAL, async {
        let gateway = one_child().await;
        let mut other = gateway.client(Era::Legacy).await;
        let mut pipe = Place::new(json!({"one": child(&[])})).launch();
        let long = format!("\"{}\"", "i".repeat(500));
        let echoed = [
            "1",
            "0",
            "-1",
            "1.0",
            "1e2",
            "-0.0",
            "123456789012345678901234567890",
            "\"\"",
            "\"a\"",
            "\"1\"",
            "\"\\u0041\"",
            "\"\\\"\\\\\"",
            "\"\u{1f600}\"",
            &long,
        ];
        for id in echoed {
            let response = Wire::connect(gateway.address)
                .await
                .ask(&modern_call(id, "one__echo", json!({"text": "x"})))
                .await;
            let body = String::from_utf8(response.body).expect("JSON");
            assert!(body.contains(&format!("\"id\":{id},")), "{id}: {body}");
            let line = pipe::request(
                Era::Modern,
                id,
                "tools/call",
                json!({"name": "one__echo", "arguments": {"text": "x"}}),
            );
            pipe.send(line.as_bytes()).await;
            let answer = String::from_utf8(pipe.line().await.expect("an answer")).expect("JSON");
            assert!(answer.contains(&format!("\"id\":{id},")), "{id}: {answer}");
        }
        let too_long = format!("\"{}\"", "i".repeat(600));
        for id in ["null", "true", "false", "[]", "[1]", "{}", "{\"a\":1}", &too_long] {
            let response =
                Wire::connect(gateway.address).await.ask(&modern_call(id, "one__echo", json!({}))).await;
            let message = response.message();
            assert_eq!(
                (response.head.status, &message["error"]["code"]),
                (400, &json!(-32600)),
                "{id}: {message}"
            );
            assert!(message["id"].is_null(), "{message}");
            pipe.send(pipe::request(Era::Modern, id, "ping", json!({})).as_bytes()).await;
            let answer = pipe.message().await;
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &Value::Null), "{id}");
        }
        assert_eq!(text(&other.call("one__echo", json!({"text": "others"})).await), "others");
        assert!(pipe.end().await.0.success());
    });
}

#[test]
fn what_is_no_message_is_refused_with_the_code_for_it() {
    within(USUAL, async {
        let gateway = one_child().await;
        let mut pipe = Place::new(json!({"one": child(&[])})).launch();
        let sound = modern("1", "tools/list", json!({}));
        let cases: [(&[u8], i64); 22] = [
            (b"", -32700),
            (b"   ", -32700),
            (b"nonsense", -32700),
            (b"{", -32700),
            (b"{}}", -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"", -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"} trailing", -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"p\xffng\"}", -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\"\xc0\xaf\"}", -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\"\xed\xa0\x80\"}", -32700),
            (b"{'jsonrpc':'2.0'}", -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"ping\"}", -32700),
            (b"{\"jsonrpc\":\"2.0\",\"id\":NaN,\"method\":\"ping\"}", -32700),
            (b"null", -32600),
            (b"7", -32600),
            (b"\"text\"", -32600),
            (b"[]", -32600),
            (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600),
            (b"{}", -32600),
            (b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", -32600),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", -32600),
        ];
        for (body, code) in cases {
            let shown = String::from_utf8_lossy(body).into_owned();
            let response = Wire::connect(gateway.address).await.ask(&with_body(&sound, body)).await;
            assert_eq!(
                (response.head.status, &response.message()["error"]["code"]),
                (400, &json!(code)),
                "{shown}"
            );
            if !body.trim_ascii().is_empty() {
                pipe.send(body).await;
                let answer = pipe.message().await;
                assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
            }
        }
        // The pipe is as good as before.
        assert!(pipe.ask(Era::Modern, "tools/list", json!({})).await.get("result").is_some());
        assert!(pipe.end().await.0.success());
        assert!(gateway.client(Era::Modern).await.tools().await.contains(&"one__echo".to_owned()));
    });
}

#[test]
fn a_message_of_100_mb_is_refused_and_the_connection_of_others_goes_on() {
    within(USUAL, async {
        let gateway = one_child().await;
        let mut other = gateway.client(Era::Legacy).await;
        let mut huge = modern_call("1", "one__echo", json!({}));
        huge.body = vec![b' '; 100_000_000];
        let mut wire = Wire::connect(gateway.address).await;
        // It is refused by its length; the gateway may close before it has taken it all.
        let _ = wire.send(&huge.bytes(gateway.address)).await;
        if let Ok(response) = wire.response().await {
            assert_eq!(response.head.status, 413);
        }
        assert_eq!(text(&other.call("one__echo", json!({"text": "others"})).await), "others");
        let peak = process::memory_kib(gateway.pid(), "VmHWM");
        assert!(peak < 128 * 1024, "{peak} KiB");

        // On the pipe a line ends it: the next line is read again.
        let mut pipe = Place::new(json!({"one": child(&[])})).launch();
        pipe.send(&vec![b'x'; 100_000_000]).await;
        let answer = pipe.message().await;
        assert_eq!(answer["error"]["code"], -32600, "{answer}");
        let peak = process::memory_kib(pipe.pid(), "VmHWM");
        assert!(peak < 192 * 1024, "{peak} KiB");
        assert_eq!(text(&pipe.call(Era::Modern, "one__echo", json!({"text": "next"})).await), "next");
        assert!(pipe.end().await.0.success());
    });
}

#[test]
fn r27_nesting_of_any_depth_ends_no_thread_and_has_an_answer() {
    within(USUAL, async {
        let upstream = FakeServer::start(Script::new(Speaks::Modern)).await;
        let gateway = Place::new(json!({"one": http(&upstream)})).serve().await;
        gateway.ready().await;
        let mut other = gateway.client(Era::Legacy).await;
        let place = Place::new(json!({"one": child(&[])}));
        let mut pipe = place.launch();
        for depth in DEPTHS {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let (opened, closed) = (open.repeat(depth), close.repeat(depth));
                let nested = format!("{opened}1{closed}");
                // In arguments it is forwarded as it is.
                let sound = modern_call("1", "one__echo", json!({"deep": "PLACE"}));
                let body = String::from_utf8(sound.body.clone()).expect("JSON").replace("\"PLACE\"", &nested);
                let response = Wire::connect(gateway.address).await.ask(&with_body(&sound, body)).await;
                assert_eq!(response.head.status, 200, "{depth} {open}: {response:?}");
                let forwarded = upstream.seen().requests().pop().expect("a request").body;
                assert!(String::from_utf8_lossy(&forwarded).contains(&nested), "{depth} {open}");
                // Elsewhere it is read, and refused.
                let bodies = [
                    nested.clone(),
                    opened.clone(),
                    format!(r#"{{"jsonrpc":"2.0","id":{nested},"method":"ping"}}"#),
                    format!(r#"{{"jsonrpc":"2.0","id":1,"method":{nested}}}"#),
                    format!(
                        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{nested}}}}}"#
                    ),
                    format!(
                        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"one__echo","arguments":{opened}}}}}"#
                    ),
                ];
                for body in bodies {
                    pipe.send(body.as_bytes()).await;
                    let answer = pipe.message().await;
                    assert!(answer.get("error").is_some(), "{depth} {open}: {answer}");
                    let response = Wire::connect(gateway.address).await.ask(&with_body(&sound, body)).await;
                    assert!(response.message().get("error").is_some(), "{depth} {open}: {response:?}");
                }
            }
        }
        assert_eq!(text(&other.call("one__echo", json!({"text": "others"})).await), "others");
        assert!(pipe.end().await.0.success());
        let (status, said) = gateway.stop().await;
        assert!(status.success() && !said.contains("panicked"), "{said}");
    });
}
